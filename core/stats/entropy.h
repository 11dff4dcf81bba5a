// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/scope.h"

#include <cstdint>
#include <span>
#include <vector>

namespace kvscope {

/// Bins of CacheGen's quantiser that can be chosen.
inline constexpr std::int64_t kMinQuantiserBins = 4;
inline constexpr std::int64_t kMaxQuantiserBins = 256;

/// Quantises one row as CacheGen does: s = max|x| over the row, M = bins / 2 - 1, symbol = rint(x * M / s + M) in
/// 0..2M, ties to even, in double. An all-zero row and non-finite values give M; s is over the finite values.
void quantiseRow(std::span<const float> row, std::int64_t bins, std::span<std::uint8_t> symbols);

/// Bits a value of one table of counts: -sum p log2 p; 0 when it is empty.
double entropyOf(std::span<const std::int64_t> counts);

/// CacheGen's figure 5: entropy in bits a value of the quantised values, when the values that share an index share a
/// table. Each is the mean of the groups' entropies, weighted by their sizes.
struct GroupedEntropy {
    double all = 0;
    double layer = 0;
    double channel = 0;
    double token = 0;
    double layerChannel = 0;
    double layerToken = 0;

    bool operator==(const GroupedEntropy&) const = default;
};

/// Entropies within one plane: one table, a table a channel, a table a token.
struct PlaneEntropy {
    PlaneId plane;
    double all = 0;
    double channel = 0;
    double token = 0;
    /// How often each symbol occurs.
    std::vector<std::int64_t> symbolCounts;

    bool operator==(const PlaneEntropy&) const = default;
};

struct EntropyStatistics {
    StatisticsScope scope;
    std::int64_t bins = 32;
    /// Over all layers of the scope.
    GroupedEntropy grouped;
    std::vector<PlaneEntropy> planes;
};

/// Quantises every row of the scope (over the scope's channels) and counts symbols. Channels and tokens are matched
/// between layers by their index. Reads the scope once; memory is bins * 8 bytes for each (layer, channel).
Result<EntropyStatistics> computeEntropy(const KvCache& cache, const StatisticsScope& scope, std::int64_t bins,
                                         ThreadPool& pool, const JobControl& job = {});

} // namespace kvscope
