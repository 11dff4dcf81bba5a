// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/kv/kv_cache.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace kvscope {

/// Where the tokens of a paged part lie: token t of the part is slot t % blockSize of block blocks[t / blockSize], and
/// a block starts blocks[..] * blockStride elements after the part's offset. With blockSize 1 any order of tokens can
/// be described.
struct PageTable {
    std::int64_t blockSize = 1;
    std::int64_t blockStride = 0;
    std::vector<std::int64_t> blocks;
};

/// A run of stored values that fills a rectangle (token range x head range) of a plane. Strides are in elements and not
/// negative; element (t, h, d) of the part lies at offset + (t * tokenStride + h * headStride + d * dimStride) *
/// sizeOf(stored).
struct StridedPart {
    ByteSourcePtr bytes;
    /// Byte offset of element (0, 0, 0).
    std::int64_t offset = 0;
    DType stored = DType::F16;
    bool bigEndian = false;
    std::int64_t tokenStride = 0;
    std::int64_t headStride = 0;
    std::int64_t dimStride = 1;
    /// First token and head of the plane that this part holds, and how many.
    std::int64_t tokenBegin = 0;
    std::int64_t tokenCount = 0;
    std::int64_t headBegin = 0;
    std::int64_t headCount = 0;
    /// Replaces tokenStride between blocks (tokenStride still applies within a block); null when tokens are regular.
    std::shared_ptr<const PageTable> pages;
    /// Multiplied onto every value (fp8 and int8 dumps with scales).
    float scale = 1.0F;
};

/// The parts of one plane; together they must cover every (token, head) exactly once.
struct StridedPlane {
    PlaneId id;
    std::vector<StridedPart> parts;
};

/// A cache whose planes are strided runs of stored values in files or memory: every uncompressed format is one of
/// these. Checks the geometry, that parts tile their planes, that strides and pages stay inside their sources, and that
/// dtypes agree; an error names the plane. Reads touch only the bytes they need and keep preads large where the layout
/// allows it.
Result<KvCache> makeStridedCache(KvGeometry geometry, CacheInfo info, std::vector<StridedPlane> planes);

/// A cache in memory: values[i] is the plane of geometry.allPlanes()[i] as float32 [tokens][channels]; plane dtypes
/// must be F32.
Result<KvCache> makeMemoryCache(KvGeometry geometry, CacheInfo info, std::vector<std::vector<float>> values);

/// The element-wise difference a - b of two caches (read on demand, as f32), over the planes, tokens and channels that
/// both have. Fails when they have no plane of equal head count and head dimension in common.
Result<KvCache> makeDifferenceCache(const KvCache& a, const KvCache& b);

} // namespace kvscope
