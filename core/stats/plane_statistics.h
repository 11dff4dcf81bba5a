// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/fits.h"
#include "core/stats/histogram.h"
#include "core/stats/moments.h"
#include "core/stats/rank_refinement.h"
#include "core/stats/scope.h"

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace kvscope {

/// Distances from the mean, in standard deviations, beyond which values are counted as outliers.
inline constexpr std::array kOutlierSigmas{3.0, 4.0, 6.0};
/// A channel whose rms is more than this many times the median rms of its plane's channels is an outlier channel.
inline constexpr double kOutlierChannelFactor = 4.0;

/// What there is to say about one set of values. All numbers are 0 when there is no finite value.
struct SeriesStatistics {
    Moments moments;
    /// Exact percentiles of |x| and the median.
    Ranks ranks;
    /// Values with |x - mean| > kOutlierSigmas[i] standard deviations.
    std::array<std::int64_t, kOutlierSigmas.size()> outliers{};
    Histogram histogram;
    std::optional<GaussianFit> gaussian;
    std::optional<LaplaceFit> laplace;
};

/// Values and their deltas, in the ranges of one scope.
struct SeriesSet {
    SeriesStatistics value;
    /// x[t] - x[t-1] for every token but the first of the plane.
    SeriesStatistics deltaPrevious;
    /// x[t] - x[anchor], the anchor being the first token of its group of 10; anchors themselves do not count.
    SeriesStatistics deltaAnchor;

    /// CacheGen's figure 3: var(value) / var(delta). Nothing when the deltas do not vary.
    [[nodiscard]] std::optional<double> varianceRatioPrevious() const;
    [[nodiscard]] std::optional<double> varianceRatioAnchor() const;
};

/// Statistics of one plane.
struct PlaneStatistics {
    PlaneId plane;
    bool beforeRope = false;
    TokenRange tokens;
    ChannelRange channelRange;
    SeriesSet series;
    /// Moments of every channel of channelRange, and of its deltas (empty without deltas).
    std::vector<Moments> channels;
    std::vector<Moments> channelDeltaPrevious;
    std::vector<Moments> channelDeltaAnchor;
    /// Largest channel rms / median channel rms; nothing when the median is 0.
    std::optional<double> channelOutlierRatio;
    /// Channels (of the plane) whose rms is above kOutlierChannelFactor times the median, largest first.
    std::vector<ChannelIndex> outlierChannels;

    /// The variance ratios with each channel's own mean taken out first: sum of the channels' variances over that of
    /// their deltas. Nothing when the deltas do not vary.
    [[nodiscard]] std::optional<double> varianceRatioPreviousWithinChannels() const;
    [[nodiscard]] std::optional<double> varianceRatioAnchorWithinChannels() const;
};

struct StatisticsOptions {
    /// Deltas cost about twice as much again as the values alone.
    bool deltas = true;
    /// Bins of all histograms; by default 256 over +- the largest 99.9th percentile of |value| and |delta|.
    std::optional<BinRange> histogramRange{};
    std::int64_t defaultBins = 256;
};

/// Statistics of all planes of a scope.
struct CacheStatistics {
    StatisticsScope scope;
    /// The bins that all histograms share.
    BinRange histogramRange;
    std::vector<PlaneStatistics> planes;
    /// All planes together.
    SeriesSet total;
};

/// Reads the scope twice, block by block, on all workers of the pool. Progress is in stored bytes. Results do not
/// depend on the number of threads.
Result<CacheStatistics> computeStatistics(const KvCache& cache, const StatisticsScope& scope,
                                          const StatisticsOptions& options, ThreadPool& pool,
                                          const JobControl& job = {});

} // namespace kvscope
