// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/plane_statistics.h"
#include "tests/unit/golden_stats.h"

#include <QTest>

#include <limits>
#include <numeric>
#include <random>

using namespace kvscope;
using namespace kvscope::testing;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

void compareMoments(const Moments& moments, const Json& golden) {
    const double sigma = golden["std"];
    KVSCOPE_NEAR(moments.mean, golden["mean"], sigma);
    KVSCOPE_NEAR(moments.variance(), golden["var"], 0);
    KVSCOPE_NEAR(moments.stddev(), golden["std"], 0);
    KVSCOPE_NEAR(moments.min, golden["min"], 0);
    KVSCOPE_NEAR(moments.max, golden["max"], 0);
    KVSCOPE_NEAR(moments.rms(), golden["rms"], 0);
    KVSCOPE_NEAR(moments.meanAbs(), golden["mean_abs"], 0);
    KVSCOPE_NEAR(moments.skewness(), golden["skew"], 1);
    KVSCOPE_NEAR(moments.excessKurtosis(), golden["kurtosis"], 1);
    QCOMPARE(moments.nonFinite, std::int64_t(0));
}

/// `moved` values may lie in the neighbouring bin: deltas are float32 differences here and float64 ones in the golden
/// numbers, so that one that falls on the edge of a bin may round to its other side.
void compareHistogram(const Histogram& histogram, const Json& golden, std::int64_t moved) {
    QCOMPARE(histogram.below, golden["below"].get<std::int64_t>());
    QCOMPARE(histogram.above, golden["above"].get<std::int64_t>());
    const auto counts = golden["counts"].get<std::vector<std::int64_t>>();
    QCOMPARE(histogram.counts.size(), counts.size());
    std::int64_t different = 0;
    for (std::size_t i = 0; i < counts.size(); ++i)
        different += std::abs(histogram.counts[i] - counts[i]);
    QVERIFY2(different <= 2 * moved, qPrintable(QString::number(different)));
    QCOMPARE(histogram.total(), std::accumulate(counts.begin(), counts.end(), histogram.below + histogram.above));
}

void compareFits(const SeriesStatistics& series, const Json& golden) {
    QVERIFY(series.gaussian && series.laplace);
    const double sigma = golden["gaussian"]["sigma"];
    KVSCOPE_NEAR(series.gaussian->mu, golden["gaussian"]["mu"], sigma);
    KVSCOPE_NEAR(series.gaussian->sigma, sigma, 0);
    KVSCOPE_NEAR(-series.gaussian->logLikelihood, golden["gaussian"]["nll"], 0);
    KVSCOPE_NEAR(series.laplace->median, golden["laplace"]["mu"], sigma);
    KVSCOPE_NEAR(series.laplace->scale, golden["laplace"]["b"], 0);
    KVSCOPE_NEAR(-series.laplace->logLikelihood, golden["laplace"]["nll"], 0);
}

void compareDelta(const SeriesStatistics& series, std::optional<double> ratio, const Json& golden) {
    compareMoments(series.moments, golden);
    compareHistogram(series.histogram, golden["histogram"], 1);
    compareFits(series, golden["fits"]);
    QVERIFY(ratio.has_value());
    KVSCOPE_NEAR(*ratio, golden["variance_ratio"], 0);
}

void comparePlane(const PlaneStatistics& plane, const Json& golden) {
    const SeriesStatistics& value = plane.series.value;
    compareMoments(value.moments, golden);
    compareHistogram(value.histogram, golden["histogram"], 0);
    compareFits(value, golden["fits"]);
    QCOMPARE(value.outliers[0], golden["outliers_3_sigma"].get<std::int64_t>());
    QCOMPARE(value.outliers[1], golden["outliers_4_sigma"].get<std::int64_t>());
    QCOMPARE(value.outliers[2], golden["outliers_6_sigma"].get<std::int64_t>());
    KVSCOPE_NEAR(value.ranks.magnitudePercentiles[0], golden["percentiles_abs"]["0.5"], 0);
    KVSCOPE_NEAR(value.ranks.magnitudePercentiles[1], golden["percentiles_abs"]["50"], 0);
    KVSCOPE_NEAR(value.ranks.magnitudePercentiles[3], golden["percentiles_abs"]["99.5"], 0);
    compareDelta(plane.series.deltaPrevious, plane.series.varianceRatioPrevious(), golden["delta_prev"]);
    compareDelta(plane.series.deltaAnchor, plane.series.varianceRatioAnchor(), golden["delta_anchor"]);
    const Json& channels = golden["channel"];
    QCOMPARE(plane.channels.size(), channels["mean"].size());
    for (std::size_t c = 0; c < plane.channels.size(); ++c) {
        const double sigma = channels["std"][c];
        KVSCOPE_NEAR(plane.channels[c].mean, channels["mean"][c], sigma);
        KVSCOPE_NEAR(plane.channels[c].stddev(), sigma, 0);
        KVSCOPE_NEAR(plane.channels[c].rms(), channels["rms"][c], 0);
        KVSCOPE_NEAR(plane.channels[c].excessKurtosis(), channels["kurtosis"][c], 1);
        KVSCOPE_NEAR(plane.channels[c].min, channels["min"][c], 0);
        KVSCOPE_NEAR(plane.channels[c].max, channels["max"][c], 0);
    }
    QVERIFY(plane.channelOutlierRatio.has_value());
    KVSCOPE_NEAR(*plane.channelOutlierRatio, golden["channel_outlier_ratio"], 0);
}

/// tokens x channels of values that have an offset and a spread of their own in every channel.
std::vector<float> noise(std::int64_t tokens, std::int64_t channels, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    // Drawn once and walked through: millions of draws would take longer than the statistics.
    std::vector<float> drawn(65537);
    for (float& value : drawn)
        value = normal(random);
    std::vector<float> values;
    values.reserve(static_cast<std::size_t>(tokens * channels));
    for (std::int64_t t = 0; t < tokens; ++t)
        for (std::int64_t c = 0; c < channels; ++c)
            values.push_back(drawn[values.size() % drawn.size()] * static_cast<float>(1 + c % 5) +
                             static_cast<float>(c % 7));
    return values;
}

const StatisticsOptions kGoldenBins{true, BinRange{-16, 16, 256}, 256};

} // namespace

class TestStatistics : public QObject {
    Q_OBJECT

private slots:
    void planesEqualNumpy_data() { addGoldenRows(); }

    void planesEqualNumpy() {
        QFETCH(QString, name);
        const auto dump = loadGolden(name.toStdString());
        if (!dump)
            QSKIP("the dump is not there (KVSCOPE_TEST_DATA)");
        ThreadPool pool(2);
        for (const GoldenKind& kind : kGoldenKinds) {
            const StatisticsScope scope{.kind = kind.kind, .beforeRope = kind.beforeRope};
            const auto statistics = computeStatistics(dump->cache, scope, kGoldenBins, pool);
            QVERIFY(statistics.has_value());
            const Json& planes = dump->golden["planes"][kind.name];
            QCOMPARE(statistics->planes.size(), planes.size());
            for (std::size_t layer = 0; layer < planes.size(); ++layer) {
                comparePlane(statistics->planes[layer], planes[layer]);
                if (QTest::currentTestFailed())
                    return;
            }
        }
    }

    /// 16-bit planes take another way (exact counters, one pass for the values); it must lead to the same numbers as
    /// the float32 way over the same values.
    void halfPlanesEqualTheirFloatTwins_data() {
        QTest::addColumn<int>("dtype");
        QTest::newRow("f16") << static_cast<int>(DType::F16);
        QTest::newRow("bf16") << static_cast<int>(DType::BF16);
    }

    void halfPlanesEqualTheirFloatTwins() {
        QFETCH(int, dtype);
        const auto half = singlePlane(2, 8, noise(301, 16, 7), static_cast<DType>(dtype));
        std::vector<float> rounded(301 * 16);
        QVERIFY(half.readRows(planeId(0, PlaneKind::Key), tokenRange(0, 301), rounded));
        const auto full = singlePlane(2, 8, rounded);
        ThreadPool pool(2);
        for (const bool deltas : {true, false}) {
            const StatisticsOptions options{deltas, BinRange{-8, 8, 100}, 256};
            const auto a = computeStatistics(half, {}, options, pool);
            const auto b = computeStatistics(full, {}, options, pool);
            QVERIFY(a && b);
            const SeriesSet& x = a->planes[0].series;
            const SeriesSet& y = b->planes[0].series;
            QCOMPARE(x.value.ranks.median, y.value.ranks.median);
            QCOMPARE(x.value.ranks.magnitudePercentiles, y.value.ranks.magnitudePercentiles);
            QCOMPARE(x.value.outliers, y.value.outliers);
            QVERIFY(x.value.histogram == y.value.histogram);
            QVERIFY(x.value.moments == y.value.moments);
            KVSCOPE_NEAR(x.value.laplace->scale, y.value.laplace->scale, 0);
            QVERIFY(x.deltaAnchor.moments == y.deltaAnchor.moments);
            QCOMPARE(x.deltaAnchor.moments.count, deltas ? std::int64_t(270 * 16) : std::int64_t(0));
            QVERIFY(a->total.value.histogram == b->total.value.histogram);
        }
    }

    void totalIsAllPlanesTogether() {
        auto source = std::make_shared<MemorySource>();
        const auto first = noise(90, 6, 1);
        const auto second = noise(45, 6, 2);
        addPlane(*source, planeId(0, PlaneKind::Value), 2, 3, first);
        addPlane(*source, planeId(1, PlaneKind::Value), 2, 3, second);
        std::vector<float> both = first;
        both.insert(both.end(), second.begin(), second.end());
        const auto joined = singlePlane(1, 1, both);
        ThreadPool pool(2);
        const StatisticsOptions options{false, BinRange{-10, 10, 64}, 256};
        const auto a = computeStatistics(KvCache(source), {.kind = PlaneKind::Value}, options, pool);
        const auto b = computeStatistics(joined, {}, options, pool);
        QVERIFY(a && b);
        const SeriesStatistics& x = a->total.value;
        const SeriesStatistics& y = b->total.value;
        QCOMPARE(x.moments.count, y.moments.count);
        KVSCOPE_NEAR(x.moments.mean, y.moments.mean, 0);
        KVSCOPE_NEAR(x.moments.excessKurtosis(), y.moments.excessKurtosis(), 0);
        QCOMPARE(x.ranks.median, y.ranks.median);
        QCOMPARE(x.ranks.magnitudePercentiles, y.ranks.magnitudePercentiles);
        QCOMPARE(x.outliers, y.outliers);
        QVERIFY(x.histogram == y.histogram);
        KVSCOPE_NEAR(x.laplace->scale, y.laplace->scale, 0);
    }

    /// Long enough for several segments: the bits must not depend on how many workers there are.
    void threadsDoNotChangeTheBits() {
        const auto cache = singlePlane(4, 16, noise(150'000, 64, 3));
        ThreadPool one(1);
        ThreadPool three(3);
        const auto a = computeStatistics(cache, {}, {}, one);
        const auto b = computeStatistics(cache, {}, {}, three);
        QVERIFY(a && b);
        QVERIFY(cutSegments(*resolveScope(cache, {})).size() > 2);
        QVERIFY(a->histogramRange == b->histogramRange);
        const SeriesSet& x = a->planes[0].series;
        const SeriesSet& y = b->planes[0].series;
        for (const auto& [p, q] : {std::pair(&x.value, &y.value), std::pair(&x.deltaPrevious, &y.deltaPrevious),
                                   std::pair(&x.deltaAnchor, &y.deltaAnchor)}) {
            QVERIFY(p->moments == q->moments);
            QVERIFY(p->histogram == q->histogram);
            QCOMPARE(p->ranks.median, q->ranks.median);
            QCOMPARE(p->outliers, q->outliers);
            QVERIFY(p->laplace == q->laplace);
        }
        QVERIFY(a->planes[0].channels == b->planes[0].channels);
        QCOMPARE(x.deltaPrevious.moments.count, std::int64_t(149'999 * 64));
        QCOMPARE(x.deltaAnchor.moments.count, std::int64_t(135'000 * 64));
    }

    void scopeCutsTokensAndChannels() {
        const auto values = noise(57, 12, 5);
        const auto cache = singlePlane(3, 4, values);
        ThreadPool pool(1);
        const StatisticsScope scope{.channels = channelRange(4, 8), .tokens = tokenRange(13, 200)};
        const auto statistics = computeStatistics(cache, scope, {}, pool);
        QVERIFY(statistics.has_value());
        const PlaneStatistics& plane = statistics->planes[0];
        QCOMPARE(plane.tokens, tokenRange(13, 57));
        QCOMPARE(plane.channels.size(), std::size_t(4));
        double sum = 0;
        double delta = 0;
        double anchored = 0;
        std::int64_t followers = 0;
        for (std::size_t t = 13; t < 57; ++t) {
            for (std::size_t c = 4; c < 8; ++c) {
                sum += values[t * 12 + c];
                delta += values[t * 12 + c] - values[(t - 1) * 12 + c];
                if (t % 10 != 0) {
                    anchored += values[t * 12 + c] - values[t / 10 * 10 * 12 + c];
                    ++followers;
                }
            }
        }
        KVSCOPE_NEAR(plane.series.value.moments.mean, sum / (44 * 4), 1);
        // The delta of the first token chosen is to its predecessor, although that lies outside.
        QCOMPARE(plane.series.deltaPrevious.moments.count, std::int64_t(44 * 4));
        KVSCOPE_NEAR(plane.series.deltaPrevious.moments.mean, delta / (44 * 4), 1);
        QCOMPARE(plane.series.deltaAnchor.moments.count, followers);
        KVSCOPE_NEAR(plane.series.deltaAnchor.moments.mean, anchored / static_cast<double>(followers), 1);
    }

    /// A head of K before RoPE: undone over whole heads and cut afterwards, or cut from the recording.
    void headsBeforeRope() {
        const auto recorded = loadSmall(true);
        const auto undone = loadSmall(false);
        QVERIFY(recorded && undone);
        ThreadPool pool(1);
        const StatisticsScope scope{.beforeRope = true,
                                    .layers = layerRange(1, 2),
                                    .channels = channelRange(8, 16),
                                    .tokens = tokenRange(21, 50)};
        const auto a = computeStatistics(*recorded, scope, {}, pool);
        const auto b = computeStatistics(*undone, scope, {}, pool);
        QVERIFY(a && b);
        QCOMPARE(a->planes.size(), std::size_t(1));
        QCOMPARE(a->planes[0].channels.size(), std::size_t(8));
        for (std::size_t c = 0; c < 8; ++c) {
            QVERIFY(std::fabs(a->planes[0].channels[c].mean - b->planes[0].channels[c].mean) < 1e-5);
            QVERIFY(std::fabs(a->planes[0].channels[c].stddev() - b->planes[0].channels[c].stddev()) < 1e-5);
        }
        std::vector<float> rows(29 * 8);
        const PlaneId plane = planeId(1, PlaneKind::KeyBeforeRope);
        QVERIFY(recorded->readRows(plane, tokenRange(21, 50), channelRange(8, 16), rows));
        const Moments expected = momentsOf(rows);
        KVSCOPE_NEAR(a->total.value.moments.mean, expected.mean, 1);
        KVSCOPE_NEAR(a->total.value.moments.variance(), expected.variance(), 0);
    }

    void outlierChannelsAreFoundByRms() {
        std::vector<float> values;
        for (int t = 0; t < 40; ++t)
            for (int c = 0; c < 8; ++c)
                values.push_back((t % 2 == 0 ? 1.0F : -1.0F) * (c == 3 ? 5.0F : c == 6 ? 9.0F : c == 1 ? 3.9F : 1.0F));
        ThreadPool pool(1);
        const auto statistics = computeStatistics(singlePlane(2, 4, values), {}, {}, pool);
        QVERIFY(statistics.has_value());
        const PlaneStatistics& plane = statistics->planes[0];
        KVSCOPE_NEAR(*plane.channelOutlierRatio, 9.0, 0);
        QCOMPARE(plane.outlierChannels, (std::vector{ChannelIndex(6), ChannelIndex(3)}));
        // Alternating signs: a delta is twice the value, so that deltas hurt.
        QVERIFY(std::fabs(*plane.series.varianceRatioPrevious() - 0.25) < 0.01);
        QVERIFY(std::fabs(*plane.varianceRatioPreviousWithinChannels() - 0.25) < 0.01);
    }

    void awkwardValuesStayOutOfTheNumbers() {
        const auto cache = singlePlane(1, 2, {1, kNan, 3, -kInf, 0, kInf, 1e-40F, -2, 5, -0.0F});
        ThreadPool pool(1);
        const auto statistics = computeStatistics(cache, {}, {}, pool);
        QVERIFY(statistics.has_value());
        const SeriesStatistics& value = statistics->planes[0].series.value;
        QCOMPARE(value.moments.count, std::int64_t(7));
        QCOMPARE(value.moments.nonFinite, std::int64_t(3));
        QCOMPARE(value.moments.zeros, std::int64_t(2));
        QCOMPARE(value.moments.denormals, std::int64_t(1));
        QCOMPARE(value.moments.min, -2.0);
        QCOMPARE(value.moments.max, 5.0);
        KVSCOPE_NEAR(value.moments.mean, 1.0, 0);
        QCOMPARE(value.ranks.median, static_cast<double>(1e-40F));
        QCOMPARE(value.histogram.nonFinite, std::int64_t(3));
        QCOMPARE(value.histogram.total(), std::int64_t(7));
        KVSCOPE_NEAR(value.laplace->scale, 11.0 / 7.0, 0);
        QCOMPARE(statistics->planes[0].channels[1].count, std::int64_t(2));
    }

    void constantPlane() {
        const auto cache = singlePlane(1, 4, std::vector<float>(80, 0.1F));
        ThreadPool pool(1);
        const auto statistics = computeStatistics(cache, {}, {}, pool);
        QVERIFY(statistics.has_value());
        const PlaneStatistics& plane = statistics->planes[0];
        QCOMPARE(plane.series.value.moments.skewness(), 0.0);
        QCOMPARE(plane.series.value.moments.excessKurtosis(), 0.0);
        QCOMPARE(plane.series.value.outliers[2], std::int64_t(0));
        QVERIFY(!plane.series.value.gaussian);
        QVERIFY(!plane.series.value.laplace);
        QVERIFY(!plane.series.varianceRatioAnchor());
        QVERIFY(!plane.varianceRatioAnchorWithinChannels());
        KVSCOPE_NEAR(*plane.channelOutlierRatio, 1.0, 0);
        QVERIFY(plane.outlierChannels.empty());
    }

    void zeroPlane() {
        const auto cache = singlePlane(1, 4, std::vector<float>(80, 0.0F));
        ThreadPool pool(1);
        const auto statistics = computeStatistics(cache, {}, {}, pool);
        QVERIFY(statistics.has_value());
        QVERIFY(!statistics->planes[0].channelOutlierRatio);
        QCOMPARE(statistics->histogramRange.high, 1.0);
        QCOMPARE(statistics->planes[0].series.value.moments.zeros, std::int64_t(80));
    }

    void oneTokenHasNoDelta() {
        const auto cache = singlePlane(1, 3, {1, 2, 3});
        ThreadPool pool(1);
        const auto statistics = computeStatistics(cache, {}, {}, pool);
        QVERIFY(statistics.has_value());
        const SeriesSet& series = statistics->total;
        QCOMPARE(series.deltaPrevious.moments.count, std::int64_t(0));
        QCOMPARE(series.deltaAnchor.ranks.median, 0.0);
        QCOMPARE(series.deltaAnchor.histogram.total(), std::int64_t(0));
        QVERIFY(!series.varianceRatioPrevious());
        QCOMPARE(series.value.ranks.median, 2.0);
        QCOMPARE(series.value.ranks.magnitudePercentiles[1], 2.0);
    }

    void oneChannel() {
        std::vector<float> values(1000);
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = static_cast<float>(i);
        ThreadPool pool(2);
        const auto statistics = computeStatistics(singlePlane(1, 1, values), {}, {}, pool);
        QVERIFY(statistics.has_value());
        const SeriesStatistics& value = statistics->total.value;
        KVSCOPE_NEAR(value.moments.mean, 499.5, 0);
        KVSCOPE_NEAR(value.moments.variance(), 83333.25, 0);
        KVSCOPE_NEAR(value.ranks.median, 499.5, 0);
        KVSCOPE_NEAR(value.ranks.magnitudePercentiles[2], 989.01, 0);
        KVSCOPE_NEAR(value.laplace->scale, 250.0, 0);
        KVSCOPE_NEAR(statistics->total.deltaPrevious.moments.mean, 1.0, 0);
        QCOMPARE(statistics->total.deltaPrevious.moments.variance(), 0.0);
    }

    void refusals() {
        const auto cache = singlePlane(1, 2, {1, 2, 3, 4});
        ThreadPool pool(1);
        QVERIFY(!computeStatistics(cache, {.kind = PlaneKind::Value}, {}, pool));
        QVERIFY(!computeStatistics(cache, {.layers = layerRange(4, 9)}, {}, pool));
        QVERIFY(!computeStatistics(cache, {.tokens = tokenRange(2, 2)}, {}, pool));
        const auto rope = computeStatistics(cache, {.beforeRope = true}, {}, pool);
        QVERIFY(!rope && !rope.error().advice.empty());
        QVERIFY(!computeStatistics(cache, {}, {true, BinRange{1, 1, 10}, 256}, pool));
        QVERIFY(!computeStatistics(cache, {}, {true, BinRange{0, 1, 0}, 256}, pool));
        QVERIFY(!computeStatistics(cache, {}, {true, std::nullopt, -5}, pool));
    }

    void cancelAndProgress() {
        const auto cache = singlePlane(4, 16, noise(3000, 64, 4));
        ThreadPool pool(2);
        Progress progress;
        QVERIFY(computeStatistics(cache, {}, {}, pool, {{}, &progress}));
        QCOMPARE(progress.done(), progress.total());
        QCOMPARE(progress.total(), std::int64_t(2 * 3000 * 64 * 4));
        std::stop_source stop;
        stop.request_stop();
        const auto stopped = computeStatistics(cache, {}, {}, pool, {stop.get_token(), nullptr});
        QVERIFY(!stopped);
        QCOMPARE(stopped.error().kind, Error::Kind::Cancelled);
    }
};

QTEST_APPLESS_MAIN(TestStatistics)
#include "test_statistics.moc"
