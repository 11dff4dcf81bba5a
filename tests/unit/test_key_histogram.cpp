// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/fits.h"
#include "core/stats/key_histogram.h"
#include "core/stats/rank_refinement.h"
#include "tests/unit/golden_stats.h"

#include <QTest>

#include <algorithm>
#include <limits>
#include <random>

using namespace kvscope;
using namespace kvscope::testing;

namespace {

/// Percentile of sorted values with linear interpolation between order statistics.
double slowPercentile(const std::vector<float>& sorted, double percent) {
    const double at = percent / 100.0 * static_cast<double>(sorted.size() - 1);
    const auto lower = static_cast<std::size_t>(at);
    const std::size_t upper = std::min(lower + 1, sorted.size() - 1);
    return sorted[lower] + (at - std::floor(at)) * (static_cast<double>(sorted[upper]) - sorted[lower]);
}

std::vector<float> widelySpread(std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::uniform_real_distribution<float> exponent(-30.0F, 10.0F);
    std::vector<float> values(count);
    for (float& value : values)
        value = normal(random) * std::exp2(exponent(random)) - 0.001F;
    return values;
}

} // namespace

class TestKeyHistogram : public QObject {
    Q_OBJECT

private slots:
    void everyBitPatternOnce_data() {
        QTest::addColumn<int>("encoding");
        QTest::newRow("f16") << static_cast<int>(KeyEncoding::F16);
        QTest::newRow("bf16") << static_cast<int>(KeyEncoding::BF16);
    }

    void everyBitPatternOnce() {
        QFETCH(int, encoding);
        const bool half = static_cast<KeyEncoding>(encoding) == KeyEncoding::F16;
        std::vector<std::uint16_t> keys(KeyHistogram::kKeys);
        for (std::size_t i = 0; i < keys.size(); ++i)
            keys[i] = static_cast<std::uint16_t>(i);
        KeyHistogram histogram(static_cast<KeyEncoding>(encoding));
        KeyCounter counter;
        counter.add(keys, histogram);
        counter.add(std::span(keys).first(3), histogram);
        counter.drain(histogram);
        QCOMPARE(histogram.counts()[2], std::int64_t(2));
        QCOMPARE(histogram.counts()[3], std::int64_t(1));
        // binary16 has 2 * 1024 codes with all exponent bits set, bfloat16 2 * 128.
        const std::int64_t nonFinite = half ? 2048 : 256;
        QCOMPARE(histogram.total(), 65536 + 3 - nonFinite);
        const Moments moments = histogram.moments();
        QCOMPARE(moments.nonFinite, nonFinite);
        QCOMPARE(moments.count, histogram.total());
        QCOMPARE(moments.zeros, std::int64_t(3));
        QCOMPARE(moments.denormals, half ? 2 * 1023 + 2 : 2 * 127 + 2);
        QCOMPARE(moments.max, half ? 65504.0 : 0x1.FEp127);
        QCOMPARE(moments.min, -moments.max);
        const Histogram binned = histogram.binned({-1, 1, 2});
        QCOMPARE(binned.nonFinite, nonFinite);
        QCOMPARE(binned.total(), histogram.total());
        QCOMPARE(binned.below, binned.above);
        QCOMPARE(histogram.beyond(0, 1), binned.below + binned.above);
    }

    void momentsEqualThoseOfTheValues() {
        const auto cache = loadSmall(false, DType::F16);
        QVERIFY(cache.has_value());
        ThreadPool pool(2);
        const PlaneId plane = planeId(2, PlaneKind::Value);
        const auto histogram = computeKeyHistogram(*cache, plane, tokenRange(7, 53), pool);
        QVERIFY(histogram.has_value());
        std::vector<float> values(46 * 32);
        QVERIFY(cache->readRows(plane, tokenRange(7, 53), values));
        const Moments a = histogram->moments();
        const Moments b = momentsOf(values, smallestNormal(DType::F16));
        QCOMPARE(a.count, b.count);
        KVSCOPE_NEAR(a.mean, b.mean, 0);
        KVSCOPE_NEAR(a.variance(), b.variance(), 0);
        KVSCOPE_NEAR(a.skewness(), b.skewness(), 0);
        KVSCOPE_NEAR(a.excessKurtosis(), b.excessKurtosis(), 0);
        KVSCOPE_NEAR(a.meanAbs(), b.meanAbs(), 0);
        QCOMPARE(a.min, b.min);
        QCOMPARE(a.max, b.max);
        Histogram expected({-2, 2, 37});
        expected.add(values);
        QVERIFY(histogram->binned({-2, 2, 37}) == expected);
    }

    void ranksNeedTwoPassesForFloats() {
        for (const unsigned seed : {1U, 2U, 3U}) {
            auto values = widelySpread(5000 + seed, seed);
            KeyHistogram keys(KeyEncoding::F32Top);
            KeyCounter counter;
            counter.addTopBits(values, keys);
            counter.drain(keys);
            const RankRefinement refinement(keys);
            QVERIFY(refinement.needed());
            auto counters = refinement.makeCounters();
            refinement.count(values, counters);
            std::vector<std::int64_t> sum;
            refinement.merge(counters, sum);
            const Ranks ranks = refinement.ranks(sum);

            double fromPivot = 0;
            for (const float value : values)
                fromPivot += std::fabs(value - refinement.pivot());
            std::sort(values.begin(), values.end());
            QCOMPARE(ranks.median, slowPercentile(values, 50));
            double deviation = 0;
            for (const float value : values)
                deviation += std::fabs(value - ranks.median);
            KVSCOPE_NEAR(fromPivot + refinement.pivotCorrection(sum, ranks.median), deviation, 0);
            for (float& value : values)
                value = std::fabs(value);
            std::sort(values.begin(), values.end());
            for (std::size_t i = 0; i < kMagnitudePercentiles.size(); ++i)
                QCOMPARE(ranks.magnitudePercentiles[i], slowPercentile(values, kMagnitudePercentiles[i]));
            const double bound = magnitudeBound(keys, 0.99);
            const double exact = values[static_cast<std::size_t>(0.99 * static_cast<double>(values.size() - 1))];
            QVERIFY(bound >= exact && bound <= exact * (1 + 1.0 / 128));
        }
    }

    void negativeMedian() {
        std::vector<float> values;
        for (int i = 0; i < 1001; ++i)
            values.push_back(-100.0F - static_cast<float>(i) * 1e-5F);
        KeyHistogram keys(KeyEncoding::F32Top);
        KeyCounter counter;
        counter.addTopBits(values, keys);
        counter.drain(keys);
        const RankRefinement refinement(keys);
        auto counters = refinement.makeCounters();
        refinement.count(values, counters);
        std::vector<std::int64_t> sum;
        refinement.merge(counters, sum);
        std::sort(values.begin(), values.end());
        QCOMPARE(refinement.ranks(sum).median, static_cast<double>(values[500]));
        QVERIFY(refinement.pivot() <= values[500]);
    }

    void emptyHasNoRanks() {
        const KeyHistogram keys(KeyEncoding::F32Top);
        const RankRefinement refinement(keys);
        QVERIFY(!refinement.needed());
        QCOMPARE(refinement.ranks({}).median, 0.0);
        QCOMPARE(refinement.pivotCorrection({}, 0), 0.0);
        QCOMPARE(magnitudeBound(keys, 0.5), 0.0);
        QCOMPARE(KeyHistogram(KeyEncoding::BF16).moments(), Moments());
    }

    void binsOfRunsEqualBinsOfValues() {
        auto values = widelySpread(9001, 4);
        const float inf = std::numeric_limits<float>::infinity();
        values.insert(values.end(), {inf, -inf, std::numeric_limits<float>::quiet_NaN(), -0.5F, 1.25F, 0.0F, -0.0F,
                                     std::numeric_limits<float>::max(), std::nextafter(1.25F, 2.0F)});
        for (const std::int64_t bins : {1, 7, 256, 1000}) {
            const BinRange range{-0.5, 1.25, bins};
            Histogram runs(range);
            Histogram single(range);
            runs.add(values);
            for (const float value : values)
                single.add(static_cast<double>(value), 1);
            QVERIFY(runs == single);
            QCOMPARE(runs.nonFinite, std::int64_t(3));
            QVERIFY(runs.counts.back() >= 1);
        }
    }

    void densitiesIntegrateToOne() {
        Histogram histogram({-3, 3, 60});
        histogram.add(widelySpread(2000, 9));
        double sum = static_cast<double>(histogram.below + histogram.above) / static_cast<double>(histogram.total());
        for (std::int64_t bin = 0; bin < 60; ++bin)
            sum += histogram.density(bin) * histogram.range.width();
        KVSCOPE_NEAR(sum, 1.0, 0);
        QCOMPARE(Histogram({0, 1, 4}).density(0), 0.0);
        const GaussianFit gaussian{1, 2, 0};
        const LaplaceFit laplace{-1, 0.5, 0};
        double areaGaussian = 0;
        double areaLaplace = 0;
        for (int i = -4000; i < 4000; ++i) {
            areaGaussian += gaussian.density(i * 0.01) * 0.01;
            areaLaplace += laplace.density(i * 0.01) * 0.01;
        }
        QVERIFY(std::fabs(areaGaussian - 1) < 1e-6);
        QVERIFY(std::fabs(areaLaplace - 1) < 1e-3);
    }

    void refusals() {
        ThreadPool pool(1);
        const PlaneId plane = planeId(0, PlaneKind::Key);
        const auto floats = singlePlane(1, 2, {1, 2, 3, 4});
        QVERIFY(!computeKeyHistogram(floats, plane, tokenRange(0, 2), pool));
        const auto halves = singlePlane(1, 2, {1, 2, 3, 4}, DType::BF16);
        QVERIFY(computeKeyHistogram(halves, plane, tokenRange(0, 2), pool));
        QVERIFY(!computeKeyHistogram(halves, plane, tokenRange(0, 3), pool));
        QVERIFY(!computeKeyHistogram(halves, plane, tokenRange(1, 1), pool));
        QVERIFY(!computeKeyHistogram(halves, planeId(0, PlaneKind::Value), tokenRange(0, 1), pool));
        QVERIFY(!checkBinRange({0, std::numeric_limits<double>::infinity(), 4}));
        QVERIFY(!checkBinRange({-std::numeric_limits<double>::max(), std::numeric_limits<double>::max(), 4}));
        QVERIFY(!checkBinRange({0, 1, kMaxBins + 1}));
        QVERIFY(checkBinRange({0, 1, kMaxBins}));
    }
};

QTEST_APPLESS_MAIN(TestKeyHistogram)
#include "test_key_histogram.moc"
