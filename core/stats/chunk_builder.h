// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/pyramid_file.h"
#include "core/stats/pyramid_layout.h"
#include "core/stats/reduce_block.h"

#include <array>
#include <span>
#include <vector>

namespace kvscope {

/// Summaries of whole chunks of a plane, one row of cells per chunk and family; the coarse levels grow out of them.
using ChunkTops = std::array<CellSums, kAllCellFamilies.size()>;

/// Builds chunks of planes of one shape: reads the rows once and writes all levels up to the chunk's size. Holds the
/// buffers; keep one per worker.
class ChunkBuilder {
public:
    explicit ChunkBuilder(const PlaneLayout& plane);

    /// Whether the plane has the shape that the buffers were made for.
    [[nodiscard]] bool fits(const PlaneLayout& plane) const;

    /// Builds one chunk into the file and into its row of `tops`. `channelMeans` as in readQuantity.
    Result<void> build(const KvCache& cache, Quantity quantity, const PlaneLayout& plane, std::int64_t chunk,
                       std::span<const float> channelMeans, const PyramidFile& file, ChunkTops& tops);

private:
    /// One level within the chunk. The finest channel level keeps only the group that is being filled.
    struct Level {
        std::int64_t rows = 0;
        CellSums sums;
        std::vector<std::byte> encoded;
    };

    Result<void> readRows(const KvCache& cache, Quantity quantity, const PlaneLayout& plane, TokenRange tokens,
                          std::span<const float> channelMeans);
    /// Rows of a block that starts `skip` rows into what readRows read of `read` rows.
    [[nodiscard]] StoredRows rowsAt(std::int64_t skip, std::int64_t rows, std::int64_t read) const;
    void addBlock(const PlaneLayout& plane, std::int64_t block, const StoredRows& stored, bool last);
    void addChannels(const PlaneLayout& plane, std::int64_t block, const StoredRows& stored, bool last);
    void mergeUpwards(const PlaneLayout& plane);
    Level& level(CellFamily family, std::size_t index) { return levels_[static_cast<std::size_t>(family)][index]; }

    std::int64_t heads_;
    std::int64_t headDim_;
    std::int64_t chunkTokens_;
    bool native_;
    bool byHead_;
    DType type_;
    std::int64_t readTokens_;
    BlockReducer reducer_;
    std::vector<std::byte> stored_;
    std::vector<float> derived_;
    /// Per head and four tokens of one block.
    CellSums block_;
    std::array<std::vector<Level>, kAllCellFamilies.size()> levels_;
};

/// Encodes rows of sums that lie row by row into the groups of a coarse level (one row a group) and writes them.
Result<void> writeCoarseLevel(const LevelLayout& level, CellSumsView rows, const PyramidFile& file);

} // namespace kvscope
