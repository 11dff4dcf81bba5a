// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/base/thread_pool.h"
#include "core/stats/quantity.h"

#include <cstdint>
#include <vector>

namespace kvscope {

/// A value that stands out from its plane.
struct Outlier {
    PlaneId plane;
    TokenIndex token;
    ChannelIndex channel;
    float value = 0;
    /// |value| / rms of the plane under the same quantity.
    double sigma = 0;

    bool operator==(const Outlier&) const = default;
};

/// No more than this many outliers are listed of one channel of one plane, its largest: an outlier channel would fill
/// the list otherwise.
inline constexpr std::int64_t kOutliersPerChannel = 3;

/// The `count` values that are largest relative to the rms of their plane, over all layers of a kind and sequence,
/// largest first; ties by layer, token, channel. Exact; non-finite values do not count. Layers for which the quantity
/// cannot be had are left out; fails when that leaves none. Reads the planes once (twice for ChannelDeviation).
Result<std::vector<Outlier>> findOutliers(const KvCache& cache, PlaneKind kind, Quantity quantity, std::int64_t count,
                                          ThreadPool& pool, const JobControl& job = {},
                                          SequenceIndex sequence = SequenceIndex(0));

/// Mean of every channel of a plane over all its tokens (finite values; 0 where there are none), as readQuantity needs
/// them for ChannelDeviation. Reads the plane once.
Result<std::vector<float>> computeChannelMeans(const KvCache& cache, PlaneId plane, ThreadPool& pool,
                                               const JobControl& job = {});

} // namespace kvscope
