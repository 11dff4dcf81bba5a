// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/dtype.h"
#include "core/stats/cell_sums.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace kvscope {

/// Tokens summarised by one pass of BlockReducer.
inline constexpr std::size_t kBlockTokens = 64;
/// Tokens under one per-head cell of a block, and such cells of a head.
inline constexpr std::size_t kHeadTokens = 4;
inline constexpr std::size_t kBlockHeadCells = kBlockTokens / kHeadTokens;

/// Up to kBlockTokens rows of a plane as stored: rows of one head are `rowBytes` apart, heads of one row `headBytes`.
struct StoredRows {
    DType type = DType::F32;
    const std::byte* first = nullptr;
    std::size_t rows = 0;
    std::size_t rowBytes = 0;
    std::size_t headBytes = 0;

    /// Rows of `heads` heads each, one after the other.
    static StoredRows packed(DType type, const std::byte* first, std::size_t rows, std::size_t heads,
                             std::size_t headDim) {
        const std::size_t headBytes = headDim * static_cast<std::size_t>(sizeOf(type));
        return {type, first, rows, heads * headBytes, headBytes};
    }
};

/// Summarises blocks of up to 64 rows of a plane in one pass, both ways: per channel over the rows, and per head over
/// its channels and four rows. Sums run in float within a block; blocks whose squares leave float's range, or that
/// hold NaN or infinity, are summed again in double. Not thread-safe; keep one per worker.
class BlockReducer {
public:
    BlockReducer(std::size_t heads, std::size_t headDim);

    /// Whether rows of this type can be given as stored; others are converted to F32 first.
    static bool takes(DType type) { return type == DType::F16 || type == DType::BF16 || type == DType::F32; }

    /// Reduces 1 to 64 rows of all heads. `channels` receives one cell per channel, `heads` cell head * kBlockHeadCells
    /// + row / kHeadTokens (empty where there are no rows). What the cells held before is replaced.
    void reduce(const StoredRows& stored, CellSumsView channels, CellSumsView heads);

    /// As reduce(), without the channels' cells: their sums, each of stored.rows values, are returned as they came and
    /// hold until the next call. Nothing when the block needs double; the heads' cells are then undefined.
    std::optional<BlockSums> reduceInFloat(const StoredRows& stored, CellSumsView heads);

private:
    void reduceInDouble(const StoredRows& stored, CellSumsView channels, CellSumsView heads) const;

    std::size_t heads_;
    std::size_t headDim_;
    /// Minima, maxima, sums and squares of the block's channels, then sums and squares of its heads.
    std::vector<float> scratch_;
};

} // namespace kvscope
