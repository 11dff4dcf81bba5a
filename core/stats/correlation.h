// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/scope.h"

#include <cstdint>
#include <vector>

namespace kvscope {

/// How alike tokens are that lie `lag` apart, for lags 1, 2, ... With xc = x - channel mean over the T tokens of the
/// scope: sum over t < T - lag of xc[t] * xc[t + lag], divided by sum over t of xc[t]^2, for each channel; the mean
/// over the channels whose values vary. Non-finite values count as the channel's mean.
struct LagCorrelation {
    PlaneId plane;
    /// Entry i is lag i + 1; shorter than asked when there are fewer tokens, and empty when no channel varies.
    std::vector<double> byLag;
    /// The same with the numerator divided by T - lag and the denominator by T.
    std::vector<double> byLagUnbiased;
};

/// The most lags that can be asked for.
inline constexpr std::int64_t kMaxLag = 256;

/// For every plane of the scope. Reads it twice (means, products).
Result<std::vector<LagCorrelation>> computeLagCorrelation(const KvCache& cache, const StatisticsScope& scope,
                                                          std::int64_t maxLag, ThreadPool& pool,
                                                          const JobControl& job = {});

} // namespace kvscope
