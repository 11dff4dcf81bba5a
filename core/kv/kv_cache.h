// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/kv/geometry.h"
#include "core/kv/rope.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace kvscope {

/// Something about a dump that its reader wants the user to know.
struct CacheNote {
    enum class Severity : std::uint8_t { Info, Warning };
    Severity severity = Severity::Info;
    std::string text;
};

/// The tokens a cache was computed from; the two lists are empty or hold one entry per text position.
struct CacheTokens {
    std::vector<std::int64_t> ids;
    std::vector<std::string> texts;
};

/// What a cache says about itself besides its values.
struct CacheInfo {
    /// What to call it: a file or folder name.
    std::string name;
    /// Where it came from; empty for caches that are not files.
    std::filesystem::path path;
    /// Format as people call it, e.g. "NumPy .npy", "safetensors", "llama.cpp session state".
    std::string format;
    /// Layout as read, e.g. "[layer, K/V, head, token, dim]".
    std::string layout;
    /// Model name where known.
    std::string model;
    /// Made by a generator, not by a model; shown wherever the dump is.
    bool synthetic = false;
    /// Tokens per sequence; may be shorter than the batch or empty.
    std::vector<CacheTokens> tokens;
    /// RoPE of each layer's K, where known; empty, or one entry per layer (nullopt: this layer has none).
    std::vector<std::optional<Rope>> rope;
    std::vector<CacheNote> notes;
    /// Identifies content for caches on disk (path, size, modification time and layout hashed); 0 when there is no such
    /// thing.
    std::uint64_t fingerprint = 0;
};

/// Where the values of a cache come from. Implementations are immutable and safe to read from any thread.
class CacheSource {
public:
    CacheSource() = default;
    virtual ~CacheSource() = default;
    CacheSource(const CacheSource&) = delete;
    CacheSource& operator=(const CacheSource&) = delete;

    [[nodiscard]] virtual const KvGeometry& geometry() const = 0;
    [[nodiscard]] virtual const CacheInfo& info() const = 0;

    /// Reads rows as float32 [tokens.size()][channels.size()]. The caller (KvCache) has checked plane, ranges and size.
    [[nodiscard]] virtual Result<void> readRows(PlaneId plane, TokenRange tokens, ChannelRange channels,
                                                std::span<float> out) const = 0;
    /// Reads whole rows in the plane's dtype, little-endian [tokens.size()][channels()], without a scale applied.
    [[nodiscard]] virtual Result<void> readNative(PlaneId plane, TokenRange tokens, std::span<std::byte> out) const = 0;
    /// As readNative, into [heads][tokens.size()][headDim].
    [[nodiscard]] virtual Result<void> readNativeByHead(PlaneId plane, TokenRange tokens,
                                                        std::span<std::byte> out) const;
    /// Whether the rows of each head lie together, so that readNativeByHead moves fewer bytes than readNative.
    [[nodiscard]] virtual bool headsLieApart(PlaneId /*plane*/) const { return false; }
    /// Whether readNative gives the same values as readRows (no scale, no block quantisation in between).
    [[nodiscard]] virtual bool nativeIsExact(PlaneId plane) const = 0;
};

/// A read-only KV cache: cheap to copy, safe to use from any thread.
class KvCache {
public:
    KvCache() = default;
    explicit KvCache(std::shared_ptr<const CacheSource> source)
        : source_(std::move(source)) {}

    [[nodiscard]] bool isNull() const { return source_ == nullptr; }
    [[nodiscard]] const KvGeometry& geometry() const { return source_->geometry(); }
    [[nodiscard]] const CacheInfo& info() const { return source_->info(); }

    /// Reads rows as float32 into out = [tokens.size()][channels.size()]; errors name the plane, range or file offset.
    [[nodiscard]] Result<void> readRows(PlaneId plane, TokenRange tokens, ChannelRange channels,
                                        std::span<float> out) const;
    /// All channels.
    [[nodiscard]] Result<void> readRows(PlaneId plane, TokenRange tokens, std::span<float> out) const;
    /// Reads rows in the plane's own dtype, little-endian, into out = [tokens.size()][channels] values.
    [[nodiscard]] Result<void> readNative(PlaneId plane, TokenRange tokens, std::span<std::byte> out) const;
    /// As readNative, into out = [heads][tokens.size()][headDim] values.
    [[nodiscard]] Result<void> readNativeByHead(PlaneId plane, TokenRange tokens, std::span<std::byte> out) const;
    /// Whether readNativeByHead is the quicker of the two.
    [[nodiscard]] bool headsLieApart(PlaneId plane) const { return source_->headsLieApart(plane); }
    /// Whether readNative gives the same values as readRows.
    [[nodiscard]] bool nativeIsExact(PlaneId plane) const { return source_->nativeIsExact(plane); }
    /// RoPE of a layer's K, or null when unknown or absent.
    [[nodiscard]] const Rope* rope(LayerIndex layer) const;
    /// Text of the token at a text position of a sequence; empty when unknown.
    [[nodiscard]] std::string tokenText(SequenceIndex sequence, std::int64_t position) const;

    bool operator==(const KvCache&) const = default;

private:
    std::shared_ptr<const CacheSource> source_;
};

} // namespace kvscope
