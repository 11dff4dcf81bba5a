// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/chunk_codec.h"
#include "core/codec/encode_report.h"
#include "core/kv/kv_cache.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace kvscope {

/// A pipeline with what was measured for it on its plane.
struct CalibratedPipeline {
    Pipeline pipeline;
    PlaneCalibration calibration;

    bool operator==(const CalibratedPipeline&) const = default;
};

/// One chunk of an encoded plane.
struct EncodedPart {
    TokenRange tokens;
    /// Index into EncodedPlane::pipelines.
    std::size_t pipeline = 0;
    std::vector<std::byte> bytes;
};

/// One plane encoded; immutable once made.
struct EncodedPlane {
    PlaneId plane;
    PlaneGeometry geometry;
    std::vector<CalibratedPipeline> pipelines;
    /// By token, without gaps, covering the plane.
    std::vector<EncodedPart> parts;
};
using EncodedPlanePtr = std::shared_ptr<const EncodedPlane>;
using EncodedPlanes = std::map<PlaneId, EncodedPlanePtr>;

/// Where the encoded chunks of a plane come from when they are not in memory.
class ChunkStore {
public:
    ChunkStore() = default;
    virtual ~ChunkStore() = default;
    ChunkStore(const ChunkStore&) = delete;
    ChunkStore& operator=(const ChunkStore&) = delete;

    /// Chunks of a plane by token, without gaps; empty for planes that it does not hold.
    [[nodiscard]] virtual std::vector<TokenRange> chunks(PlaneId plane) const = 0;
    /// Bytes of one chunk.
    [[nodiscard]] virtual Result<std::vector<std::byte>> read(PlaneId plane, std::size_t chunk) const = 0;
    /// How that chunk is decoded; lives as long as the store.
    [[nodiscard]] virtual const CalibratedPipeline& pipeline(PlaneId plane, std::size_t chunk) const = 0;
    /// What to call it in messages.
    [[nodiscard]] virtual const std::string& name() const = 0;
};

/// Decoded values that are kept for the next reader, in bytes.
inline constexpr std::int64_t kDecodedCacheBytes = std::int64_t{64} << 20;

/// A cache whose planes are decoded when they are read, chunk by chunk, the last few kept. Geometry and info say what
/// it is; planes that the store does not hold are read from `rest` (may be null: then they must not be in the
/// geometry).
KvCache makeDecodedCache(KvGeometry geometry, CacheInfo info, std::shared_ptr<const ChunkStore> store,
                         KvCache rest = {}, std::int64_t keepBytes = kDecodedCacheBytes);

/// The same over planes that were just encoded from `original`; its other planes (queries) are passed through.
KvCache makeDecodedCache(const KvCache& original, EncodedPlanes planes);

/// Bits a value as a cache: every value is what its channel cost in its chunk, everything included. Planes that the
/// report does not have are left out.
Result<KvCache> makeBitsCache(const KvCache& original, const EncodeReport& report);

} // namespace kvscope
