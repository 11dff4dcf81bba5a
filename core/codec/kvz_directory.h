// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/codec/encoded_cache.h"
#include "core/codec/plan.h"
#include "core/kv/kv_cache.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvscope {

/// Most values that one chunk may hold.
inline constexpr std::int64_t kMaxChunkValues = std::int64_t{1} << 27;

/// The level below all others: the tokens that the cache was computed from, without any value. No plan's level has this
/// name.
inline constexpr std::string_view kTextLevelName = "text";

/// Whether a cache knows its tokens, so that a .kvz of it has the text level.
bool hasText(const CacheInfo& info);
/// Bytes that the text level takes in a .kvz.
std::int64_t textBytes(const CacheInfo& info);

/// Where one chunk of a plane lies.
struct KvzChunk {
    std::int64_t offset = 0;
    std::int64_t bytes = 0;
    std::uint64_t hash = 0;
    TokenRange tokens;
    /// Index into KvzPlane::pipelines.
    std::size_t pipeline = 0;

    bool operator==(const KvzChunk&) const = default;
};

/// One plane at one level.
struct KvzPlane {
    std::vector<CalibratedPipeline> pipelines;
    std::vector<KvzChunk> chunks;

    bool operator==(const KvzPlane&) const = default;
};

/// Headline error of each kind of a layer (headlineError()), over all sequences; nothing where it was not measured.
using KvzLayerError = std::array<std::optional<double>, kAllPlaneKinds.size()>;

/// One level: the whole cache encoded with one plan.
struct KvzLevel {
    std::string name;
    CodecPlan plan;
    /// What was lost, one entry a layer; empty when it was not measured.
    std::vector<KvzLayerError> errors;
    std::map<PlaneId, KvzPlane> planes;

    bool operator==(const KvzLevel&) const = default;
    /// Bytes of all chunks.
    [[nodiscard]] std::int64_t bytes() const;
};

/// All that a .kvz says about itself; everything but the chunks' bytes.
struct KvzDirectory {
    /// Only planes that are encoded.
    KvGeometry geometry;
    /// Name, model, tokens, RoPE, and the format and layout that the dump had.
    CacheInfo info;
    /// Empty in a file of the text level alone.
    std::vector<KvzLevel> levels;

    /// The names of all levels in order, the text level last where there is one.
    [[nodiscard]] std::vector<std::string> levelNames() const;
};

/// Directory as bytes: the length of the description as a 64-bit number, the description (JSON), the index (binary).
std::vector<std::byte> toBytes(const KvzDirectory& directory);

/// Reads a directory and checks it: geometry, plans, that chunks lie between the header and `fileBytes` and cover their
/// planes without gaps. `where` names the file.
Result<KvzDirectory> directoryFromBytes(std::span<const std::byte> bytes, std::int64_t fileBytes,
                                        const std::string& where);

/// The JSON part: geometry, info, and names, plans and pipelines of the levels; `pipelines[i]` lists those of level i.
std::string descriptionToJson(const KvzDirectory& directory, const std::vector<std::vector<Pipeline>>& pipelines);
Result<void> descriptionFromJson(std::string_view text, const std::string& where, KvzDirectory& directory,
                                 std::vector<std::vector<Pipeline>>& pipelines);

} // namespace kvscope
