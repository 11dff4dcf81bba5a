// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/cell_codec.h"
#include "core/stats/quantity.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace kvscope {

/// What one cell of a pyramid level spans besides tokens.
enum class CellFamily : std::uint8_t {
    Channels, ///< one channel; from 64 tokens on
    Heads,    ///< all channels of one head; from 8 tokens on
    Whole     ///< all channels; from 4 tokens on
};
inline constexpr std::array kAllCellFamilies{CellFamily::Channels, CellFamily::Heads, CellFamily::Whole};

/// Levels span powers of eight tokens a row; the whole layer has one of four tokens besides.
inline constexpr std::int64_t kLevelRatio = 8;

/// Tokens a row of the finest level of a family. Finer steps are read from the dump.
constexpr std::int64_t finestStep(CellFamily family) {
    switch (family) {
    case CellFamily::Channels:
        return 64;
    case CellFamily::Heads:
        return 8;
    case CellFamily::Whole:
        return 4;
    }
    return 1;
}

/// One level of one family of a plane: rows of `width` cells, `groupRows` rows encoded together. Within a group a
/// channel level lies row by row, the others cell by cell of the row (all rows of head 0, then of head 1 ...).
struct LevelLayout {
    std::int64_t tokenStep = 1;
    std::int64_t rows = 0;
    std::int64_t width = 0;
    std::int64_t groupRows = 1;
    /// Byte offset of the first group in the file.
    std::int64_t offset = 0;

    [[nodiscard]] std::int64_t groups() const { return (rows + groupRows - 1) / groupRows; }
    [[nodiscard]] std::int64_t groupCells() const { return groupRows * width; }
    [[nodiscard]] std::int64_t groupBytes() const { return encodedBytes(groupCells()); }
};

/// Where the levels of one plane lie, and the chunks of tokens in which it is built.
struct PlaneLayout {
    PlaneId id;
    std::int64_t tokens = 0;
    std::int64_t heads = 0;
    std::int64_t headDim = 0;
    /// Rows are read as stored in this type, or as float32 through readQuantity.
    bool native = false;
    DType type = DType::F32;
    /// Native rows are read head by head.
    bool byHead = false;
    /// Tokens built at once: 512 or 4096. Levels up to this step are written chunk by chunk, the ones above when the
    /// plane is complete.
    std::int64_t chunkTokens = 512;
    /// Levels of each family from fine to coarse; the last has one row.
    std::array<std::vector<LevelLayout>, kAllCellFamilies.size()> levels;
    /// Byte offset of the plane's summary: checksum, rms, channel means.
    std::int64_t summaryOffset = 0;

    [[nodiscard]] std::int64_t channels() const { return heads * headDim; }
    [[nodiscard]] std::int64_t chunks() const { return (tokens + chunkTokens - 1) / chunkTokens; }
    [[nodiscard]] std::int64_t summaryBytes() const { return 16 + 4 * channels(); }
    [[nodiscard]] const std::vector<LevelLayout>& family(CellFamily family) const {
        return levels[static_cast<std::size_t>(family)];
    }
};

/// The pyramid of one quantity of a cache as bytes of one file; follows from the geometry alone.
struct PyramidLayout {
    std::vector<PlaneLayout> planes;
    std::int64_t fileBytes = 0;
    /// Changes with anything that changes the bytes or their meaning.
    std::uint64_t hash = 0;
};

/// Bytes before the first level.
inline constexpr std::int64_t kPyramidHeaderBytes = 64;

/// Lays out the planes for which the quantity is available; fails when the cache is too large to have a pyramid.
Result<PyramidLayout> layOutPyramid(const KvCache& cache, Quantity quantity);

} // namespace kvscope
