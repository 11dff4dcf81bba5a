// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/cell_sum.h"

#include <cstdint>
#include <vector>

namespace kvscope {

/// Which cells of one plane are wanted. Token cell i covers tokens [(firstCell + i) * tokenStep, ...), clipped to the
/// plane; channel group g covers channels [channelBegin + g * groupChannels, ...), clipped to channelEnd.
struct PlaneQuery {
    PlaneId plane;
    Quantity quantity = Quantity::Value;
    std::int64_t firstCell = 0;
    std::int64_t tokenCells = 0;
    std::int64_t tokenStep = 1;
    std::int64_t channelBegin = 0;
    std::int64_t channelEnd = 0;
    std::int64_t groupChannels = 1;

    [[nodiscard]] std::int64_t groups() const {
        return (channelEnd - channelBegin + groupChannels - 1) / groupChannels;
    }
};

/// Whether every channel group of the query is made of whole heads.
inline bool areWholeHeads(const PlaneQuery& query, std::int64_t headDim) {
    return query.channelBegin % headDim == 0 && query.channelEnd % headDim == 0 &&
           (query.groupChannels % headDim == 0 || query.groupChannels >= query.channelEnd - query.channelBegin);
}

/// Where the sums of a query go: token cell i of channel group g is merged into sums[origin + i * tokenStride + g *
/// groupStride].
struct CellSink {
    std::vector<CellSum>& sums;
    std::int64_t origin = 0;
    std::int64_t tokenStride = 1;
    std::int64_t groupStride = 0;

    [[nodiscard]] CellSum& at(std::int64_t tokenCell, std::int64_t group) const {
        return sums[static_cast<std::size_t>(origin + tokenCell * tokenStride + group * groupStride)];
    }
};

} // namespace kvscope
