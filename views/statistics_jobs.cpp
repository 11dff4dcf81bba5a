// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/statistics_jobs.h"

#include "core/stats/quantity.h"
#include "views/number_format.h"

#include <QCoreApplication>

#include <algorithm>

namespace kvscope::views {

namespace {

QString tr(const char* text) {
    return QCoreApplication::translate("Statistics", text);
}

template <class Axis> std::string rangeText(const std::optional<Range<Axis>>& range) {
    return range ? std::to_string(range->begin.value) + ':' + std::to_string(range->end.value) : std::string("*");
}

std::string keyOf(const char* topic, const StatisticsScope& scope) {
    return std::string(topic) + '/' + std::string(nameOf(scope.kind)) +
           (scope.beforeRope ? "/before/" : "/as stored/") + std::to_string(scope.sequence.value) + '/' +
           rangeText(scope.layers) + '/' + rangeText(scope.channels) + '/' + rangeText(scope.tokens);
}

/// Bins that leave enough values in each for a smooth outline.
std::int64_t binsFor(std::int64_t values) {
    return values < 10'000 ? 64 : values < 100'000 ? 128 : 256;
}

} // namespace

QString KindChoice::name() const {
    return beforeRope ? tr("K before RoPE") : QString::fromUtf8(nameOf(kind).data(), qsizetype(nameOf(kind).size()));
}

bool holds(const KvCache& cache, KindChoice choice, LayerIndex layer, SequenceIndex sequence) {
    const PlaneId id{layer, choice.kind, sequence};
    const PlaneGeometry* plane = cache.geometry().find(id);
    return plane != nullptr && plane->values() > 0 &&
           (!choice.beforeRope || isAvailable(cache, Quantity::KeyBeforeRope, id));
}

std::vector<LayerIndex> layersOf(const KvCache& cache, KindChoice choice, SequenceIndex sequence) {
    std::vector<LayerIndex> layers;
    for (LayerIndex layer(0); layer.value < cache.geometry().layerCount(); ++layer) {
        if (holds(cache, choice, layer, sequence))
            layers.push_back(layer);
    }
    return layers;
}

std::vector<KindChoice> choicesOf(const KvCache& cache) {
    std::vector<KindChoice> choices;
    for (const KindChoice choice : {KindChoice{PlaneKind::Key, false}, KindChoice{PlaneKind::Key, true},
                                    KindChoice{PlaneKind::Value, false}, KindChoice{PlaneKind::Latent, false}}) {
        if (!layersOf(cache, choice, SequenceIndex(0)).empty())
            choices.push_back(choice);
    }
    return choices;
}

StatisticsScope layerScope(KindChoice choice, LayerIndex layer, SequenceIndex sequence) {
    StatisticsScope scope = cacheScope(choice, sequence);
    scope.layers = LayerRange{layer, layer + 1};
    return scope;
}

StatisticsScope cacheScope(KindChoice choice, SequenceIndex sequence) {
    StatisticsScope scope;
    scope.kind = choice.kind;
    scope.beforeRope = choice.beforeRope;
    scope.sequence = sequence;
    return scope;
}

StatisticsScope selectionScope(const KvCache& cache, KindChoice choice, const Selection& selection) {
    StatisticsScope scope = cacheScope(choice, selection.sequence);
    scope.layers = selection.layers;
    scope.tokens = selection.tokens;
    scope.channels = selection.channels;
    const PlaneGeometry* plane = cache.geometry().find(selection.layer(), choice.kind);
    if (!scope.channels && selection.head && plane != nullptr) {
        const std::int64_t first = selection.head->value * plane->headDim;
        scope.channels = channelRange(first, first + plane->headDim);
    }
    return scope;
}

std::int64_t valuesIn(const KvCache& cache, const StatisticsScope& scope) {
    std::int64_t values = 0;
    for (const LayerIndex layer : layersOf(cache, {scope.kind, scope.beforeRope}, scope.sequence)) {
        if (scope.layers && !scope.layers->contains(layer))
            continue;
        const PlaneGeometry& plane = *cache.geometry().find(PlaneId{layer, scope.kind, scope.sequence});
        const TokenRange tokens = tokenRange(0, plane.tokens);
        const ChannelRange channels = channelRange(0, plane.channels());
        values += tokens.intersected(scope.tokens.value_or(tokens)).size() *
                  channels.intersected(scope.channels.value_or(channels)).size();
    }
    return values;
}

std::string statisticsKey(const StatisticsScope& scope) {
    return keyOf("statistics", scope);
}

std::string entropyKey(const StatisticsScope& scope) {
    return keyOf("entropy", scope);
}

std::string correlationKey(const StatisticsScope& scope) {
    return keyOf("correlation", scope);
}

std::string profileKey(const StatisticsScope& scope) {
    return keyOf("profile", scope);
}

StatisticsService::Job statisticsJob(const Document& document, const StatisticsScope& scope, bool transient) {
    return StatisticsService::job<CacheStatistics>(
        statisticsKey(scope),
        [cache = document.cache(), scope, &pool = document.pool()](const JobControl& job) {
            StatisticsOptions options;
            options.defaultBins = binsFor(valuesIn(cache, scope));
            return computeStatistics(cache, scope, options, pool, job);
        },
        transient);
}

StatisticsService::Job entropyJob(const Document& document, const StatisticsScope& scope) {
    return StatisticsService::job<EntropyStatistics>(
        entropyKey(scope), [cache = document.cache(), scope, &pool = document.pool()](const JobControl& job) {
            return computeEntropy(cache, scope, kEntropyBins, pool, job);
        });
}

StatisticsService::Job correlationJob(const Document& document, const StatisticsScope& scope) {
    return StatisticsService::job<std::vector<LagCorrelation>>(
        correlationKey(scope), [cache = document.cache(), scope, &pool = document.pool()](const JobControl& job) {
            return computeLagCorrelation(cache, scope, kShownLags, pool, job);
        });
}

StatisticsService::Job profileJob(const Document& document, const StatisticsScope& scope) {
    return StatisticsService::job<std::vector<TokenProfile>>(
        profileKey(scope), [cache = document.cache(), scope, &pool = document.pool()](const JobControl& job) {
            return computeTokenProfiles(cache, scope, kProfileBuckets, pool, job);
        });
}

QString channelName(const PlaneGeometry& plane, ChannelIndex channel) {
    if (plane.heads <= 1)
        return formatCount(channel.value);
    return tr("%1 (head %2, dim %3)")
        .arg(formatCount(channel.value), formatCount(plane.headOf(channel).value),
             formatCount(channel.value % plane.headDim));
}

std::optional<LargestOutlier> largestOutlier(const PlaneStatistics& plane) {
    const double rms = plane.series.value.moments.rms();
    const auto largest = std::max_element(plane.channels.begin(), plane.channels.end(),
                                          [](const Moments& a, const Moments& b) { return a.maxAbs() < b.maxAbs(); });
    if (!(rms > 0) || largest == plane.channels.end())
        return std::nullopt;
    return LargestOutlier{plane.channelRange.begin + (largest - plane.channels.begin()),
                          largest->max >= -largest->min ? largest->max : largest->min, largest->maxAbs() / rms};
}

QString outlierText(double value, double timesRms) {
    return tr("%1, %2\u00d7 the rms of its plane").arg(formatNumber(value), formatNumber(timesRms, 3));
}

} // namespace kvscope::views
