// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/correlation.h"
#include "core/stats/entropy.h"
#include "core/stats/plane_statistics.h"
#include "core/stats/token_profile.h"
#include "views/chart_data.h"
#include "views/explanations.h"
#include "views/selection.h"
#include "views/statistics_service.h"

#include <QString>

#include <optional>
#include <vector>

namespace kvscope::views {

/// One of the sets of values that statistics views put side by side.
struct KindChoice {
    PlaneKind kind = PlaneKind::Key;
    bool beforeRope = false;

    bool operator==(const KindChoice&) const = default;
    /// "K", "K before RoPE", "V" ...
    [[nodiscard]] QString name() const;
    /// The kind whose colour it has.
    [[nodiscard]] PlaneKind colourKind() const { return beforeRope ? PlaneKind::KeyBeforeRope : kind; }
    [[nodiscard]] ChartSeries::Look barLook() const {
        return beforeRope ? ChartSeries::Look::Hatched : ChartSeries::Look::Solid;
    }
    [[nodiscard]] ChartSeries::Look lineLook() const {
        return beforeRope ? ChartSeries::Look::Dashed : ChartSeries::Look::Solid;
    }
};

/// K, K before RoPE (where it can be had for some layer), V and the latent, as far as the cache has them.
std::vector<KindChoice> choicesOf(const KvCache& cache);
/// Whether a layer holds values of a choice.
bool holds(const KvCache& cache, KindChoice choice, LayerIndex layer, SequenceIndex sequence);
/// Layers that hold values of a choice.
std::vector<LayerIndex> layersOf(const KvCache& cache, KindChoice choice, SequenceIndex sequence);

/// The scope of all values of one layer.
StatisticsScope layerScope(KindChoice choice, LayerIndex layer, SequenceIndex sequence);
/// The scope of all layers.
StatisticsScope cacheScope(KindChoice choice, SequenceIndex sequence);
/// The selected layers, head or channels and tokens of a choice.
StatisticsScope selectionScope(const KvCache& cache, KindChoice choice, const Selection& selection);

/// How many values a scope covers; 0 where the cache holds nothing of it.
std::int64_t valuesIn(const KvCache& cache, const StatisticsScope& scope);

/// Names of results, equal for equal scopes.
std::string statisticsKey(const StatisticsScope& scope);
std::string entropyKey(const StatisticsScope& scope);
std::string correlationKey(const StatisticsScope& scope);
std::string profileKey(const StatisticsScope& scope);

/// Bins of the quantiser whose symbols' entropy is shown: CacheGen's finest.
inline constexpr std::int64_t kEntropyBins = 32;
inline constexpr std::int64_t kShownLags = 128;
inline constexpr std::int64_t kProfileBuckets = 4096;

/// Jobs that give CacheStatistics, EntropyStatistics, std::vector<LagCorrelation> and std::vector<TokenProfile>.
StatisticsService::Job statisticsJob(const Document& document, const StatisticsScope& scope, bool transient = false);
StatisticsService::Job entropyJob(const Document& document, const StatisticsScope& scope);
StatisticsService::Job correlationJob(const Document& document, const StatisticsScope& scope);
StatisticsService::Job profileJob(const Document& document, const StatisticsScope& scope);

/// "17 (head 2, dim 1)": how people and files name a channel.
QString channelName(const PlaneGeometry& plane, ChannelIndex channel);

/// The value of a plane that stands out most: what "largest outlier" means wherever it is said.
struct LargestOutlier {
    ChannelIndex channel;
    double value = 0;
    /// |value| over the rms of all values of its plane.
    double timesRms = 0;
};
/// Nothing for a plane without a value other than zero.
std::optional<LargestOutlier> largestOutlier(const PlaneStatistics& plane);
/// "-25.17, 5.03× the rms of its plane"
QString outlierText(double value, double timesRms);

} // namespace kvscope::views
