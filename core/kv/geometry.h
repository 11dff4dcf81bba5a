// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/index.h"
#include "core/kv/dtype.h"

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvscope {

/// Which matrix of a layer. Key, Value and Latent (MLA: compressed KV and shared rotary key) make up the cache; Query
/// and KeyBeforeRope are recordings that some dumps hold beside it.
enum class PlaneKind : std::uint8_t { Key, Value, Latent, Query, KeyBeforeRope };
inline constexpr std::array kAllPlaneKinds{PlaneKind::Key, PlaneKind::Value, PlaneKind::Latent, PlaneKind::Query,
                                           PlaneKind::KeyBeforeRope};

/// "K", "V", "latent", "Q", "K before RoPE".
std::string_view nameOf(PlaneKind kind);

/// Whether the kind is part of the cache itself (and so counts towards its size).
constexpr bool isCacheKind(PlaneKind kind) {
    return kind == PlaneKind::Key || kind == PlaneKind::Value || kind == PlaneKind::Latent;
}

/// Names one plane: the matrix [tokens][channels] of a (sequence, layer, kind).
struct PlaneId {
    LayerIndex layer;
    PlaneKind kind = PlaneKind::Key;
    SequenceIndex sequence;

    constexpr auto operator<=>(const PlaneId&) const = default;
};

/// Shape and storage of one plane.
struct PlaneGeometry {
    std::int64_t heads = 0;
    std::int64_t headDim = 0;
    /// Tokens held, without padding.
    std::int64_t tokens = 0;
    /// What reads deliver natively. Block-quantised storage is delivered as f32; `storage` names it.
    DType dtype = DType::F16;
    /// Name of the stored type where it differs from dtype (e.g. "Q8_0"); empty otherwise.
    std::string storage;
    /// Text position of slot 0 (sliding windows start later).
    std::int64_t firstPosition = 0;
    /// Text position of every slot where they are not consecutive (evicted caches); empty when they are.
    std::vector<std::int64_t> positions;
    /// Bytes of one stored row where values are quantised in blocks; 0 where a row is channels() values of dtype.
    std::int64_t storedRowBytes = 0;

    bool operator==(const PlaneGeometry&) const = default;

    [[nodiscard]] std::int64_t channels() const { return heads * headDim; }
    [[nodiscard]] std::int64_t values() const { return tokens * channels(); }
    /// Bytes as stored.
    [[nodiscard]] std::int64_t storedBytes() const {
        return storedRowBytes > 0 ? tokens * storedRowBytes : values() * sizeOf(dtype);
    }
    /// Position in the text of a slot.
    [[nodiscard]] std::int64_t position(TokenIndex slot) const {
        return positions.empty() ? firstPosition + slot.value : positions[static_cast<std::size_t>(slot.value)];
    }
    [[nodiscard]] HeadIndex headOf(ChannelIndex channel) const { return HeadIndex(channel.value / headDim); }
};

/// The planes of one layer, by kind; the same for every sequence of the batch.
struct LayerGeometry {
    std::array<std::optional<PlaneGeometry>, kAllPlaneKinds.size()> planes;

    bool operator==(const LayerGeometry&) const = default;

    [[nodiscard]] const std::optional<PlaneGeometry>& plane(PlaneKind kind) const {
        return planes[static_cast<std::size_t>(kind)];
    }
    std::optional<PlaneGeometry>& plane(PlaneKind kind) { return planes[static_cast<std::size_t>(kind)]; }
};

/// Shape of a whole cache.
struct KvGeometry {
    std::int64_t sequences = 1;
    std::vector<LayerGeometry> layers;

    bool operator==(const KvGeometry&) const = default;

    [[nodiscard]] std::int64_t layerCount() const { return static_cast<std::int64_t>(layers.size()); }
    /// The plane's geometry, or null when the cache has no such plane.
    [[nodiscard]] const PlaneGeometry* find(PlaneId id) const;
    [[nodiscard]] const PlaneGeometry* find(LayerIndex layer, PlaneKind kind) const {
        return find(PlaneId{layer, kind, SequenceIndex(0)});
    }
    /// Kinds that at least one layer holds, in enum order.
    [[nodiscard]] std::vector<PlaneKind> kinds() const;
    /// All planes of one kind and sequence, by layer.
    [[nodiscard]] std::vector<PlaneId> planes(PlaneKind kind, SequenceIndex sequence = SequenceIndex(0)) const;
    /// All planes, by sequence, layer, kind.
    [[nodiscard]] std::vector<PlaneId> allPlanes() const;
    /// The longest plane of a kind, in tokens; 0 when there is none.
    [[nodiscard]] std::int64_t maxTokens(PlaneKind kind) const;
    /// The widest plane of a kind, in channels; 0 when there is none.
    [[nodiscard]] std::int64_t maxChannels(PlaneKind kind) const;
    /// The most heads of a kind; 0 when there is none.
    [[nodiscard]] std::int64_t maxHeads(PlaneKind kind) const;
    /// Bytes of K, V and latent planes at their stored dtype, all sequences.
    [[nodiscard]] std::int64_t cacheBytes() const;
    /// Values of K, V and latent planes, all sequences.
    [[nodiscard]] std::int64_t cacheValues() const;
};

/// Checks that every count is positive (0 tokens allowed), positions match tokens and no size leaves int64.
/// Returns what is wrong, or nothing.
std::optional<std::string> findGeometryProblem(const KvGeometry& geometry);

} // namespace kvscope

template <> struct std::hash<kvscope::PlaneId> {
    std::size_t operator()(const kvscope::PlaneId& id) const noexcept {
        return std::hash<std::int64_t>{}((id.layer.value << 20) ^ (id.sequence.value << 4) ^
                                         static_cast<std::int64_t>(id.kind));
    }
};
