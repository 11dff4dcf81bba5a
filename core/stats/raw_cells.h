// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/plane_query.h"

#include <span>

namespace kvscope {

/// Answers a query exactly by reading every token under it. `channelMeans` as in readQuantity.
Result<void> addRawCells(const KvCache& cache, const PlaneQuery& query, std::span<const float> channelMeans,
                         const CellSink& sink, const JobControl& job);

/// Mean of the finite values of every channel over all tokens, by reading the whole plane.
Result<std::vector<float>> readChannelMeans(const KvCache& cache, PlaneId plane, const JobControl& job);

} // namespace kvscope
