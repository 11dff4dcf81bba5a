// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/plane_statistics.h"

#include "core/stats/in_order.h"
#include "core/stats/kernels.h"
#include "core/stats/key_histogram.h"
#include "core/stats/series_reader.h"

#include <algorithm>
#include <limits>
#include <mutex>

namespace kvscope {

namespace {

/// What both passes know about one series of one plane, or of all planes together.
struct SeriesState {
    Moments moments;
    /// Kept between the passes only where it is exact and so makes the second one needless.
    std::optional<KeyHistogram> keys;
    std::optional<RankRefinement> refinement;
    std::vector<std::int64_t> counters;
    Histogram histogram;
    std::array<std::int64_t, kOutlierSigmas.size()> outliers{};
    double sumAbsFromPivot = 0;
    Ranks ranks;
    double pivotCorrection = 0;

    /// Reads the ranks off the counters, which are large, and lets those go.
    void finishRanks() {
        ranks = refinement->ranks(counters);
        pivotCorrection = refinement->pivotCorrection(counters, ranks.median);
        counters = {};
    }

    [[nodiscard]] std::array<double, kOutlierSigmas.size()> outlierLimits() const {
        std::array<double, kOutlierSigmas.size()> limits{};
        for (std::size_t i = 0; i < limits.size(); ++i)
            limits[i] = kOutlierSigmas[i] * moments.stddev();
        return limits;
    }
};

using SeriesMoments = std::array<std::optional<ChannelMoments>, kSeriesCount>;

struct PlaneState {
    std::mutex mutex;
    InOrder<SeriesMoments> order;
    SeriesMoments moments;
    std::array<SeriesState, kSeriesCount> series;
    std::size_t firstSegment = 0;
    std::size_t segmentsLeft = 0;
};

/// Sums of one segment of one series in the second pass, about the centre of its plane and of all planes.
struct SegmentSums {
    kernels::Deviations plane;
    kernels::Deviations total;
};

/// Both passes over a scope, and what they share.
class StatisticsJob {
public:
    StatisticsJob(const KvCache& cache, const StatisticsScope& scope, const StatisticsOptions& options,
                  std::vector<ScopedPlane> planes, ThreadPool& pool, const JobControl& job)
        : cache_(cache)
        , scope_(scope)
        , options_(options)
        , planes_(std::move(planes))
        , segments_(cutSegments(planes_))
        , states_(planes_.size())
        , pool_(pool)
        , job_(job)
        , seriesCount_(options.deltas ? std::size_t{kSeriesCount} : std::size_t{1})
        , encoding_(commonEncoding()) {}

    Result<CacheStatistics> run() {
        std::int64_t bytes = 0;
        for (const ScopedPlane& plane : planes_)
            bytes += plane.bytes();
        if (job_.progress != nullptr)
            job_.progress->start(2 * bytes);
        for (std::size_t s = 0; s < seriesCount_; ++s)
            totalKeys_[s].emplace(encodingOf(s));
        KVSCOPE_TRY(runPass([&](std::size_t segment) { return countSegment(segment); }));
        for (std::size_t s = 0; s < seriesCount_; ++s)
            finishCounting(s);
        if (needsSecondPass()) {
            sums_.resize(segments_.size());
            KVSCOPE_TRY(runPass([&](std::size_t segment) { return refineSegment(segment); }));
        } else {
            job_.advance(bytes);
        }
        return collect();
    }

private:
    /// The encoding in which the values of all planes can be counted exactly, or F32Top.
    [[nodiscard]] KeyEncoding commonEncoding() const {
        const auto all = [&](auto test) { return std::all_of(planes_.begin(), planes_.end(), test); };
        if (all([&](const ScopedPlane& plane) { return RowReader(cache_, plane).hasHalfBits(); }))
            return KeyEncoding::F16;
        if (all([&](const ScopedPlane& plane) {
                return plane.geometry->dtype == DType::BF16 && !plane.beforeRope && cache_.nativeIsExact(plane.id);
            }))
            return KeyEncoding::BF16;
        return KeyEncoding::F32Top;
    }

    [[nodiscard]] KeyEncoding encodingOf(std::size_t series) const {
        return series == kValueSeries ? encoding_ : KeyEncoding::F32Top;
    }

    template <class Body> Result<void> runPass(Body body) {
        for (std::size_t i = 0; i < states_.size(); ++i)
            states_[i].segmentsLeft = 0;
        for (std::size_t i = segments_.size(); i-- > 0;) {
            PlaneState& state = states_[segments_[i].plane];
            state.firstSegment = i;
            ++state.segmentsLeft;
        }
        return forEachSegment(segments_.size(), pool_, job_, body);
    }

    /// First pass: moments by channel and keys.
    Result<void> countSegment(std::size_t index) {
        const Segment& segment = segments_[index];
        const ScopedPlane& plane = planes_[segment.plane];
        const float normal = plane.beforeRope ? smallestNormal(DType::F32) : smallestNormal(plane.geometry->dtype);
        SeriesMoments moments;
        std::vector<KeyHistogram> keys;
        std::vector<KeyCounter> counters(seriesCount_);
        for (std::size_t s = 0; s < seriesCount_; ++s) {
            moments[s].emplace(plane.channels.size(), s == kValueSeries ? normal : smallestNormal(DType::F32));
            keys.emplace_back(encodingOf(s));
        }
        SeriesReader reader(cache_, plane, options_.deltas, encoding_ == KeyEncoding::F16);
        KVSCOPE_TRY(forEachBlock(segment.tokens, plane.channels.size(), job_, [&](TokenRange tokens) -> Result<void> {
            KVSCOPE_ASSIGN(const SeriesBlock block, reader.read(tokens));
            for (std::size_t s = 0; s < seriesCount_; ++s) {
                moments[s]->add(block.rows[s]);
                if (s == kValueSeries && encoding_ == KeyEncoding::F16)
                    counters[s].add(block.halfBits, keys[s]);
                else
                    counters[s].addTopBits(block.rows[s], keys[s]);
            }
            job_.advance(tokens.size() * plane.channels.size() * sizeOf(plane.geometry->dtype));
            return {};
        }));

        PlaneState& state = states_[segment.plane];
        state.order.deliver(index - state.firstSegment, std::move(moments), [&](SeriesMoments& part) {
            for (std::size_t s = 0; s < seriesCount_; ++s) {
                if (!state.moments[s])
                    state.moments[s] = std::move(part[s]);
                else
                    state.moments[s]->merge(*part[s]);
            }
        });
        const std::lock_guard lock(state.mutex);
        const bool last = --state.segmentsLeft == 0;
        for (std::size_t s = 0; s < seriesCount_; ++s) {
            counters[s].drain(keys[s]);
            auto& sum = state.series[s].keys;
            if (!sum)
                sum = std::move(keys[s]);
            else
                sum->merge(keys[s]);
            if (last)
                finishPlaneKeys(state.series[s], s);
        }
        return {};
    }

    void finishPlaneKeys(SeriesState& series, std::size_t s) {
        series.refinement.emplace(*series.keys);
        {
            const std::lock_guard lock(totalMutex_);
            totalKeys_[s]->merge(*series.keys);
        }
        if (!series.keys->isExact())
            series.keys.reset();
    }

    /// Between the passes: everything that needs all planes.
    void finishCounting(std::size_t s) {
        SeriesState& total = total_[s];
        for (PlaneState& state : states_) {
            state.series[s].moments = state.moments[s]->total();
            total.moments.merge(state.series[s].moments);
        }
        total.refinement.emplace(*totalKeys_[s]);
        const double bound = magnitudeBound(*totalKeys_[s], kMagnitudePercentiles.back() / 100.0);
        widest_ = std::max(widest_, bound);
        if (totalKeys_[s]->isExact())
            total.keys = std::move(totalKeys_[s]);
        totalKeys_[s].reset();
    }

    [[nodiscard]] bool needsSecondPass() const { return options_.deltas || encoding_ == KeyEncoding::F32Top; }

    [[nodiscard]] BinRange histogramRange() const {
        if (options_.histogramRange)
            return *options_.histogramRange;
        // Nothing above the denormals: no range fits, so that of a unit is as good as any.
        const double limit = widest_ >= std::numeric_limits<float>::min() ? widest_ : 1.0;
        return {-limit, limit, options_.defaultBins};
    }

    /// Second pass: ranks, bins and distances, now that the first has said where to look.
    Result<void> refineSegment(std::size_t index) {
        const Segment& segment = segments_[index];
        const ScopedPlane& plane = planes_[segment.plane];
        PlaneState& state = states_[segment.plane];
        const std::size_t first = encoding_ == KeyEncoding::F32Top ? kValueSeries : kDeltaPreviousSeries;
        const bool several = planes_.size() > 1;
        std::array<RankRefinement::Counters, kSeriesCount> planeCounters;
        std::array<RankRefinement::Counters, kSeriesCount> totalCounters;
        std::array<Histogram, kSeriesCount> histograms;
        for (std::size_t s = first; s < seriesCount_; ++s) {
            planeCounters[s] = state.series[s].refinement->makeCounters();
            if (several)
                totalCounters[s] = total_[s].refinement->makeCounters();
            histograms[s] = Histogram(histogramRange());
        }
        SeriesReader reader(cache_, plane, options_.deltas, false);
        KVSCOPE_TRY(forEachBlock(segment.tokens, plane.channels.size(), job_, [&](TokenRange tokens) -> Result<void> {
            KVSCOPE_ASSIGN(const SeriesBlock block, reader.read(tokens));
            for (std::size_t s = first; s < seriesCount_; ++s) {
                const auto rows = block.rows[s];
                histograms[s].add(rows);
                state.series[s].refinement->count(rows, planeCounters[s]);
                addDeviations(state.series[s], rows, sums_[index][s].plane);
                if (several) {
                    total_[s].refinement->count(rows, totalCounters[s]);
                    addDeviations(total_[s], rows, sums_[index][s].total);
                }
            }
            job_.advance(tokens.size() * plane.channels.size() * sizeOf(plane.geometry->dtype));
            return {};
        }));
        const std::lock_guard lock(state.mutex);
        const bool last = --state.segmentsLeft == 0;
        for (std::size_t s = first; s < seriesCount_; ++s) {
            SeriesState& series = state.series[s];
            series.refinement->merge(planeCounters[s], series.counters);
            mergeHistogram(histograms[s], series.histogram);
            if (last)
                series.finishRanks();
            if (several) {
                const std::lock_guard totalLock(totalMutex_);
                total_[s].refinement->merge(totalCounters[s], total_[s].counters);
            }
        }
        return {};
    }

    static void addDeviations(const SeriesState& series, std::span<const float> rows, kernels::Deviations& sum) {
        const auto part =
            kernels::deviations(rows, series.moments.mean, series.outlierLimits(), series.refinement->pivot());
        addDeviations(part, sum);
    }

    static void addDeviations(const kernels::Deviations& part, kernels::Deviations& sum) {
        for (std::size_t i = 0; i < part.beyond.size(); ++i)
            sum.beyond[i] += part.beyond[i];
        sum.sumAbs += part.sumAbs;
    }

    static void mergeHistogram(const Histogram& part, Histogram& sum) {
        if (sum.counts.empty())
            sum = part;
        else
            sum.merge(part);
    }

    static SeriesStatistics finish(SeriesState& series, const BinRange& range) {
        SeriesStatistics result;
        result.moments = series.moments;
        if (series.keys)
            series.finishRanks();
        result.ranks = series.ranks;
        double sumAbsDeviation = 0;
        if (series.keys) {
            result.histogram = series.keys->binned(range);
            const auto limits = series.outlierLimits();
            for (std::size_t i = 0; i < limits.size(); ++i)
                result.outliers[i] = series.keys->beyond(series.moments.mean, limits[i]);
            sumAbsDeviation = series.keys->sumAbsDeviation(result.ranks.median);
        } else {
            result.histogram = std::move(series.histogram);
            result.outliers = series.outliers;
            sumAbsDeviation = series.sumAbsFromPivot + series.pivotCorrection;
        }
        const auto count = result.moments.count;
        result.gaussian = fitGaussian(result.moments);
        result.laplace =
            fitLaplace(result.ranks.median, count > 0 ? sumAbsDeviation / static_cast<double>(count) : 0.0, count);
        return result;
    }

    static SeriesStatistics& seriesOf(SeriesSet& set, std::size_t s) {
        return s == kValueSeries ? set.value : s == kDeltaPreviousSeries ? set.deltaPrevious : set.deltaAnchor;
    }

    Result<CacheStatistics> collect() {
        CacheStatistics result;
        result.scope = scope_;
        result.histogramRange = histogramRange();
        addSegmentSums();
        for (std::size_t i = 0; i < planes_.size(); ++i)
            result.planes.push_back(collectPlane(i, result.histogramRange));
        for (std::size_t s = 0; s < seriesCount_; ++s) {
            SeriesStatistics& total = seriesOf(result.total, s);
            if (planes_.size() == 1) {
                total = seriesOf(result.planes.front().series, s);
                continue;
            }
            for (PlaneStatistics& plane : result.planes) {
                if (!total_[s].keys)
                    mergeHistogram(seriesOf(plane.series, s).histogram, total_[s].histogram);
            }
            total_[s].finishRanks();
            total = finish(total_[s], result.histogramRange);
        }
        return result;
    }

    /// In the order of the segments, so that the sums do not depend on who was first.
    void addSegmentSums() {
        for (std::size_t i = 0; i < sums_.size(); ++i) {
            for (std::size_t s = 0; s < seriesCount_; ++s) {
                SeriesState& series = states_[segments_[i].plane].series[s];
                for (std::size_t k = 0; k < series.outliers.size(); ++k) {
                    series.outliers[k] += sums_[i][s].plane.beyond[k];
                    total_[s].outliers[k] += sums_[i][s].total.beyond[k];
                }
                series.sumAbsFromPivot += sums_[i][s].plane.sumAbs;
                total_[s].sumAbsFromPivot += sums_[i][s].total.sumAbs;
            }
        }
    }

    PlaneStatistics collectPlane(std::size_t index, const BinRange& range) {
        PlaneState& state = states_[index];
        PlaneStatistics plane;
        plane.plane = planes_[index].id;
        plane.beforeRope = planes_[index].beforeRope;
        plane.tokens = planes_[index].tokens;
        plane.channelRange = planes_[index].channels;
        for (std::size_t s = 0; s < seriesCount_; ++s)
            seriesOf(plane.series, s) = finish(state.series[s], range);
        plane.channels = state.moments[kValueSeries]->channels();
        if (options_.deltas) {
            plane.channelDeltaPrevious = state.moments[kDeltaPreviousSeries]->channels();
            plane.channelDeltaAnchor = state.moments[kDeltaAnchorSeries]->channels();
        }
        findOutlierChannels(plane);
        return plane;
    }

    static void findOutlierChannels(PlaneStatistics& plane) {
        std::vector<double> sorted;
        for (const Moments& channel : plane.channels)
            sorted.push_back(channel.rms());
        const std::vector<double> rms = sorted;
        std::sort(sorted.begin(), sorted.end());
        const double median = 0.5 * (sorted[(sorted.size() - 1) / 2] + sorted[sorted.size() / 2]);
        if (!(median > 0))
            return;
        plane.channelOutlierRatio = sorted.back() / median;
        std::vector<std::size_t> found;
        for (std::size_t c = 0; c < rms.size(); ++c) {
            if (rms[c] > kOutlierChannelFactor * median)
                found.push_back(c);
        }
        std::stable_sort(found.begin(), found.end(), [&](std::size_t a, std::size_t b) { return rms[a] > rms[b]; });
        for (const std::size_t c : found)
            plane.outlierChannels.push_back(plane.channelRange.begin + static_cast<std::int64_t>(c));
    }

    const KvCache& cache_;
    const StatisticsScope& scope_;
    const StatisticsOptions& options_;
    std::vector<ScopedPlane> planes_;
    std::vector<Segment> segments_;
    std::vector<PlaneState> states_;
    ThreadPool& pool_;
    const JobControl& job_;
    std::size_t seriesCount_;
    KeyEncoding encoding_;
    std::mutex totalMutex_;
    std::array<std::optional<KeyHistogram>, kSeriesCount> totalKeys_;
    std::array<SeriesState, kSeriesCount> total_;
    double widest_ = 0;
    std::vector<std::array<SegmentSums, kSeriesCount>> sums_;
};

std::optional<double> ratio(double value, double delta) {
    return delta > 0 ? std::optional(value / delta) : std::nullopt;
}

double sumOfVariances(const std::vector<Moments>& channels) {
    double sum = 0;
    for (const Moments& channel : channels)
        sum += channel.variance();
    return sum;
}

} // namespace

std::optional<double> SeriesSet::varianceRatioPrevious() const {
    return ratio(value.moments.variance(), deltaPrevious.moments.variance());
}

std::optional<double> SeriesSet::varianceRatioAnchor() const {
    return ratio(value.moments.variance(), deltaAnchor.moments.variance());
}

std::optional<double> PlaneStatistics::varianceRatioPreviousWithinChannels() const {
    return ratio(sumOfVariances(channels), sumOfVariances(channelDeltaPrevious));
}

std::optional<double> PlaneStatistics::varianceRatioAnchorWithinChannels() const {
    return ratio(sumOfVariances(channels), sumOfVariances(channelDeltaAnchor));
}

Result<CacheStatistics> computeStatistics(const KvCache& cache, const StatisticsScope& scope,
                                          const StatisticsOptions& options, ThreadPool& pool, const JobControl& job) {
    if (options.histogramRange)
        KVSCOPE_TRY(checkBinRange(*options.histogramRange));
    else
        KVSCOPE_TRY(checkBinRange({-1, 1, options.defaultBins}));
    KVSCOPE_ASSIGN(auto planes, resolveScope(cache, scope));
    return StatisticsJob(cache, scope, options, std::move(planes), pool, job).run();
}

} // namespace kvscope
