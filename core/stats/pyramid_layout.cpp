// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/pyramid_layout.h"

#include "core/base/checked.h"
#include "core/base/hash.h"
#include "core/stats/reduce_block.h"

#include <bit>
#include <cstring>

namespace kvscope {

namespace {

static_assert(finestStep(CellFamily::Channels) == kBlockTokens && finestStep(CellFamily::Whole) == kHeadTokens);

/// Bump when the meaning of the bytes changes.
constexpr std::int64_t kPyramidVersion = 1;
/// Bounds that no real cache meets and that keep the bookkeeping small for made-up ones.
constexpr std::int64_t kMostTokens = std::int64_t{1} << 36;
constexpr std::int64_t kMostChannels = std::int64_t{1} << 24;
constexpr std::int64_t kMostBytes = std::int64_t{1} << 46;
/// A chunk is built in a few milliseconds: about this many bytes as read.
constexpr std::int64_t kNativeChunkBytes = std::int64_t{1} << 24;
constexpr std::int64_t kDerivedChunkBytes = std::int64_t{1} << 22;
/// Cells encoded together, about.
constexpr std::int64_t kGroupCells = 512;
/// Rows of a head level encoded together: a row of the heatmap needs few heads of many tokens.
constexpr std::int64_t kHeadGroupRows = 64;

std::int64_t width(const PlaneLayout& plane, CellFamily family) {
    switch (family) {
    case CellFamily::Channels:
        return plane.channels();
    case CellFamily::Heads:
        return plane.heads;
    case CellFamily::Whole:
        return 1;
    }
    return 1;
}

std::int64_t groupRows(const PlaneLayout& plane, CellFamily family, std::int64_t step, std::int64_t cells) {
    const std::int64_t chunkRows = plane.chunkTokens / step;
    if (chunkRows <= 1)
        return 1;
    switch (family) {
    case CellFamily::Channels:
        return std::clamp<std::int64_t>(
            static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(kGroupCells / cells))), 1, chunkRows);
    case CellFamily::Heads:
        return std::min<std::int64_t>(kHeadGroupRows, chunkRows);
    case CellFamily::Whole:
        return std::min(kGroupCells, chunkRows);
    }
    return 1;
}

/// Appends the levels of one plane at `offset`; returns where they end.
std::int64_t layOutLevels(PlaneLayout& plane, std::int64_t offset) {
    for (const CellFamily family : kAllCellFamilies) {
        auto& levels = plane.levels[static_cast<std::size_t>(family)];
        for (std::int64_t step = finestStep(family);; step = step < kLevelRatio ? kLevelRatio : step * kLevelRatio) {
            LevelLayout level;
            level.tokenStep = step;
            level.rows = (plane.tokens + step - 1) / step;
            level.width = width(plane, family);
            level.groupRows = groupRows(plane, family, step, level.width);
            level.offset = offset;
            offset += level.groups() * level.groupBytes();
            levels.push_back(level);
            if (level.rows <= 1 && step >= plane.chunkTokens)
                break;
        }
    }
    plane.summaryOffset = offset;
    return offset + (plane.summaryBytes() + 7) / 8 * 8;
}

void appendBytes(std::vector<std::byte>& bytes, std::int64_t value) {
    const auto raw = std::bit_cast<std::array<std::byte, sizeof value>>(value);
    bytes.insert(bytes.end(), raw.begin(), raw.end());
}

std::uint64_t identify(const KvCache& cache, Quantity quantity, const PyramidLayout& layout) {
    std::vector<std::byte> identity;
    appendBytes(identity, kPyramidVersion);
    appendBytes(identity, static_cast<std::int64_t>(quantity));
    appendBytes(identity, layout.fileBytes);
    for (const PlaneLayout& plane : layout.planes) {
        for (const std::int64_t value :
             {plane.id.sequence.value, plane.id.layer.value, static_cast<std::int64_t>(plane.id.kind), plane.tokens,
              plane.heads, plane.headDim, static_cast<std::int64_t>(plane.type), plane.chunkTokens})
            appendBytes(identity, value);
        const Rope* rope = cache.rope(plane.id.layer);
        if (quantity != Quantity::KeyBeforeRope || rope == nullptr)
            continue;
        appendBytes(identity, static_cast<std::int64_t>(rope->pairing));
        appendBytes(identity, std::bit_cast<std::int64_t>(rope->attentionScale));
        for (const double frequency : rope->inverseFrequencies)
            appendBytes(identity, std::bit_cast<std::int64_t>(frequency));
        const PlaneGeometry& geometry = *cache.geometry().find(plane.id);
        appendBytes(identity, geometry.firstPosition);
        for (const std::int64_t position : geometry.positions)
            appendBytes(identity, position);
    }
    return hashBytes(identity);
}

} // namespace

Result<PyramidLayout> layOutPyramid(const KvCache& cache, Quantity quantity) {
    PyramidLayout layout;
    layout.fileBytes = kPyramidHeaderBytes;
    for (const PlaneId id : cache.geometry().allPlanes()) {
        const PlaneGeometry& geometry = *cache.geometry().find(id);
        if (geometry.tokens == 0 || !isAvailable(cache, quantity, id))
            continue;
        if (geometry.tokens > kMostTokens || geometry.channels() > kMostChannels)
            return fail("layer " + std::to_string(id.layer.value) + " is too large for an overview", cache.info().name);
        PlaneLayout plane;
        plane.id = id;
        plane.tokens = geometry.tokens;
        plane.heads = geometry.heads;
        plane.headDim = geometry.headDim;
        plane.native = quantity == Quantity::Value && BlockReducer::takes(geometry.dtype) && cache.nativeIsExact(id);
        plane.byHead = plane.native && cache.headsLieApart(id);
        plane.type = plane.native ? geometry.dtype : DType::F32;
        const std::int64_t rowBytes = plane.channels() * sizeOf(plane.type);
        const std::int64_t budget = plane.native ? kNativeChunkBytes : kDerivedChunkBytes;
        plane.chunkTokens = plane.tokens > 512 && rowBytes * 4096 <= budget ? 4096 : 512;
        layout.fileBytes = layOutLevels(plane, layout.fileBytes);
        if (layout.fileBytes > kMostBytes)
            return fail("is too large for an overview", cache.info().name);
        layout.planes.push_back(std::move(plane));
    }
    layout.hash = identify(cache, quantity, layout);
    return layout;
}

} // namespace kvscope
