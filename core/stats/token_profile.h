// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/scope.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace kvscope {

/// What the values of some neighbouring tokens are like, over the channels of the scope. Tokens of nothing but
/// non-finite values count as zero.
struct TokenBucket {
    TokenRange tokens;
    /// Root mean square of all values.
    double rms = 0;
    double maxAbs = 0;
    /// Euclidean norm of a token, mean and largest over the tokens.
    double meanNorm = 0;
    double maxNorm = 0;
    /// Cosine between a token and the plane's mean over tokens, mean over the tokens; 0 when either is zero.
    double cosineToMean = 0;
    std::int64_t nonFinite = 0;
};

/// Statistics by token position of one plane (attention sinks show as small norms of V and unlike K at the start).
struct TokenProfile {
    PlaneId plane;
    /// Tokens in a bucket; the last may hold fewer.
    std::int64_t bucketTokens = 1;
    std::vector<TokenBucket> buckets;
};

/// For every plane of the scope, in at most maxBuckets (at least 1) buckets of equal size: one token each while there
/// are few enough. Reads the scope twice (mean, rows).
Result<std::vector<TokenProfile>> computeTokenProfiles(const KvCache& cache, const StatisticsScope& scope,
                                                       std::int64_t maxBuckets, ThreadPool& pool,
                                                       const JobControl& job = {});

} // namespace kvscope
