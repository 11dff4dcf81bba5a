// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/correlation.h"
#include "core/stats/entropy.h"
#include "core/stats/token_profile.h"
#include "tests/unit/golden_stats.h"

#include <QTest>

#include <limits>
#include <numeric>
#include <random>

using namespace kvscope;
using namespace kvscope::testing;

namespace {

std::vector<float> noise(std::int64_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    // Drawn once and walked through: millions of draws would take longer than the statistics.
    std::vector<float> drawn(65537);
    for (float& value : drawn)
        value = normal(random);
    std::vector<float> values(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = drawn[i % drawn.size()];
    return values;
}

} // namespace

/// Statistics along the token axis, and entropies.
class TestTokenStatistics : public QObject {
    Q_OBJECT

private slots:
    void entropyEqualsNumpy_data() { addGoldenRows(); }

    void entropyEqualsNumpy() {
        QFETCH(QString, name);
        const auto dump = loadGolden(name.toStdString());
        if (!dump)
            QSKIP("the dump is not there (KVSCOPE_TEST_DATA)");
        ThreadPool pool(2);
        for (const GoldenKind& kind : kGoldenKinds) {
            const StatisticsScope scope{.kind = kind.kind, .beforeRope = kind.beforeRope};
            const auto entropy = computeEntropy(dump->cache, scope, 32, pool);
            QVERIFY(entropy.has_value());
            const Json& all = dump->golden["entropy"][kind.name];
            KVSCOPE_NEAR(entropy->grouped.all, all["all"], 0);
            KVSCOPE_NEAR(entropy->grouped.layer, all["layer"], 0);
            KVSCOPE_NEAR(entropy->grouped.channel, all["channel"], 0);
            KVSCOPE_NEAR(entropy->grouped.token, all["token"], 0);
            KVSCOPE_NEAR(entropy->grouped.layerChannel, all["layer_channel"], 0);
            KVSCOPE_NEAR(entropy->grouped.layerToken, all["layer_token"], 0);
            const Json& planes = dump->golden["planes"][kind.name];
            QCOMPARE(entropy->planes.size(), planes.size());
            for (std::size_t layer = 0; layer < planes.size(); ++layer) {
                const PlaneEntropy& plane = entropy->planes[layer];
                QCOMPARE(plane.symbolCounts, planes[layer]["symbol_counts"].get<std::vector<std::int64_t>>());
                KVSCOPE_NEAR(plane.all, planes[layer]["entropy"]["plane"], 0);
                KVSCOPE_NEAR(plane.channel, planes[layer]["entropy"]["channel"], 0);
                KVSCOPE_NEAR(plane.token, planes[layer]["entropy"]["token"], 0);
                KVSCOPE_NEAR(entropyOf(plane.symbolCounts), plane.all, 0);
            }
        }
    }

    void correlationEqualsNumpy_data() { addGoldenRows(); }

    void correlationEqualsNumpy() {
        QFETCH(QString, name);
        const auto dump = loadGolden(name.toStdString());
        if (!dump)
            QSKIP("the dump is not there (KVSCOPE_TEST_DATA)");
        ThreadPool pool(2);
        for (const GoldenKind& kind : kGoldenKinds) {
            const StatisticsScope scope{.kind = kind.kind, .beforeRope = kind.beforeRope};
            const auto correlation = computeLagCorrelation(dump->cache, scope, 32, pool);
            QVERIFY(correlation.has_value());
            const Json& planes = dump->golden["planes"][kind.name];
            QCOMPARE(correlation->size(), planes.size());
            for (std::size_t layer = 0; layer < planes.size(); ++layer) {
                QCOMPARE((*correlation)[layer].byLag.size(), planes[layer]["correlation"].size());
                for (std::size_t lag = 0; lag < 32; ++lag) {
                    KVSCOPE_NEAR((*correlation)[layer].byLag[lag], planes[layer]["correlation"][lag], 1);
                    KVSCOPE_NEAR((*correlation)[layer].byLagUnbiased[lag], planes[layer]["correlation_unbiased"][lag],
                                 1);
                }
            }
        }
    }

    void tokensEqualNumpy() {
        const auto dump = loadGolden("small");
        QVERIFY(dump.has_value());
        ThreadPool pool(2);
        for (const GoldenKind& kind : kGoldenKinds) {
            const StatisticsScope scope{.kind = kind.kind, .beforeRope = kind.beforeRope};
            const auto profiles = computeTokenProfiles(dump->cache, scope, 1000, pool);
            QVERIFY(profiles.has_value());
            const Json& planes = dump->golden["planes"][kind.name];
            for (std::size_t layer = 0; layer < planes.size(); ++layer) {
                const Json& token = planes[layer]["token"];
                const TokenProfile& profile = (*profiles)[layer];
                QCOMPARE(profile.bucketTokens, std::int64_t(1));
                QCOMPARE(profile.buckets.size(), token["rms"].size());
                for (std::size_t t = 0; t < profile.buckets.size(); ++t) {
                    const TokenBucket& bucket = profile.buckets[t];
                    const double rms = token["rms"][t];
                    KVSCOPE_NEAR(bucket.rms, rms, 0);
                    KVSCOPE_NEAR(bucket.meanNorm, rms * std::sqrt(32.0), 0);
                    KVSCOPE_NEAR(bucket.maxNorm, rms * std::sqrt(32.0), 0);
                    KVSCOPE_NEAR(bucket.maxAbs, std::max(-token["min"][t].get<double>(), token["max"][t].get<double>()),
                                 0);
                }
            }
        }
    }

    void quantiserFollowsCacheGen() {
        std::vector<std::uint8_t> symbols(6);
        const std::vector<float> row{-2, -1, 0, 0.05F, 1, std::numeric_limits<float>::quiet_NaN()};
        quantiseRow(row, 16, symbols);
        // s = 2, M = 7; -1 * 7 / 2 = -3.5 and 3.5 are ties and go to the even symbols 4 (3.5 + 7 = 10.5 -> 10).
        QCOMPARE(symbols, (std::vector<std::uint8_t>{0, 4, 7, 7, 10, 7}));
        quantiseRow(std::vector<float>(6, 0.0F), 16, symbols);
        QCOMPARE(symbols, std::vector<std::uint8_t>(6, 7));
        quantiseRow(row, 256, symbols);
        QCOMPARE(symbols[0], std::uint8_t(0));
        QCOMPARE(symbols[4], std::uint8_t(190));
    }

    void entropyOfKnownTables() {
        QCOMPARE(entropyOf(std::vector<std::int64_t>{}), 0.0);
        QCOMPARE(entropyOf(std::vector<std::int64_t>{0, 0}), 0.0);
        QCOMPARE(entropyOf(std::vector<std::int64_t>{5, 0}), 0.0);
        QCOMPARE(entropyOf(std::vector<std::int64_t>{4, 4, 4, 4}), 2.0);
    }

    /// Layers of different length and width share tables only where both have the index.
    void raggedLayersWeighTheirGroups() {
        auto source = std::make_shared<MemorySource>();
        addPlane(*source, planeId(0, PlaneKind::Key), 1, 4, noise(4 * 30, 1));
        addPlane(*source, planeId(1, PlaneKind::Key), 1, 2, noise(2 * 10, 2));
        ThreadPool pool(2);
        const auto entropy = computeEntropy(KvCache(source), {}, 8, pool);
        QVERIFY(entropy.has_value());
        QCOMPARE(entropy->planes.size(), std::size_t(2));
        const auto& a = entropy->planes[0];
        const auto& b = entropy->planes[1];
        KVSCOPE_NEAR(entropy->grouped.layer, (a.all * 120 + b.all * 20) / 140, 0);
        KVSCOPE_NEAR(entropy->grouped.layerChannel, (a.channel * 120 + b.channel * 20) / 140, 0);
        KVSCOPE_NEAR(entropy->grouped.layerToken, (a.token * 120 + b.token * 20) / 140, 0);
        QVERIFY(entropy->grouped.channel >= entropy->grouped.layerChannel);
        QVERIFY(entropy->grouped.token >= entropy->grouped.layerToken);
        QVERIFY(entropy->grouped.all >= entropy->grouped.channel);
    }

    void threadsDoNotChangeTheBits() {
        const auto cache = singlePlane(2, 32, noise(64 * 140'000, 3));
        ThreadPool one(1);
        ThreadPool three(3);
        QVERIFY(cutSegments(*resolveScope(cache, {})).size() > 2);
        const auto a = computeEntropy(cache, {}, 32, one);
        const auto b = computeEntropy(cache, {}, 32, three);
        QVERIFY(a && b);
        QVERIFY(a->grouped == b->grouped);
        QVERIFY(a->planes == b->planes);
        const auto c = computeLagCorrelation(cache, {}, 9, one);
        const auto d = computeLagCorrelation(cache, {}, 9, three);
        QVERIFY(c && d);
        QCOMPARE((*c)[0].byLag.size(), std::size_t(9));
        QVERIFY((*c)[0].byLag == (*d)[0].byLag);
        const auto e = computeTokenProfiles(cache, {}, 7, one);
        const auto f = computeTokenProfiles(cache, {}, 7, three);
        QVERIFY(e && f);
        QCOMPARE((*e)[0].buckets.size(), std::size_t(7));
        for (std::size_t i = 0; i < 7; ++i) {
            QVERIFY((*e)[0].buckets[i].rms == (*f)[0].buckets[i].rms);
            QVERIFY((*e)[0].buckets[i].cosineToMean == (*f)[0].buckets[i].cosineToMean);
        }
        // White noise: no correlation, and the norm of 64 normal values.
        QVERIFY(std::fabs((*c)[0].byLag[4]) < 0.01);
        QVERIFY(std::fabs((*e)[0].buckets[3].meanNorm - 8.0) < 0.1);
    }

    /// A period of four tokens, long enough for the lags to reach over borders of blocks and segments.
    void lagsReachOverBlocks() {
        std::vector<float> values;
        const std::vector<float> wave{1, 0, -1, 0};
        for (std::size_t t = 0; t < 100'000; ++t)
            for (std::size_t c = 0; c < 50; ++c)
                values.push_back(wave[(t + c) % 4] * static_cast<float>(c + 1));
        ThreadPool pool(2);
        const auto correlation = computeLagCorrelation(singlePlane(1, 50, values), {}, 6, pool);
        QVERIFY(correlation.has_value());
        const std::vector<double> expected{0, -1, 0, 1, 0, -1};
        for (std::size_t lag = 0; lag < 6; ++lag)
            QVERIFY(std::fabs((*correlation)[0].byLagUnbiased[lag] - expected[lag]) < 1e-4);
    }

    void shortAndConstantPlanes() {
        ThreadPool pool(1);
        const auto oneToken = computeLagCorrelation(singlePlane(1, 3, {1, 2, 3}), {}, 8, pool);
        QVERIFY(oneToken && (*oneToken)[0].byLag.empty());
        const auto constant = computeLagCorrelation(singlePlane(1, 1, std::vector<float>(20, 0.1F)), {}, 8, pool);
        QVERIFY(constant && (*constant)[0].byLag.empty());
        // The channel that does not vary must not count.
        std::vector<float> values;
        for (int t = 0; t < 20; ++t) {
            values.push_back(7.3F);
            values.push_back(t % 2 == 0 ? 1.0F : -1.0F);
        }
        const auto one = computeLagCorrelation(singlePlane(1, 2, values), {}, 8, pool);
        QVERIFY(one.has_value());
        KVSCOPE_NEAR((*one)[0].byLag[0], -19.0 / 20.0, 0);
        const auto entropy = computeEntropy(singlePlane(1, 1, std::vector<float>(20, 0.0F)), {}, 32, pool);
        QVERIFY(entropy.has_value());
        QCOMPARE(entropy->grouped.all, 0.0);
        QCOMPARE(entropy->planes[0].symbolCounts[15], std::int64_t(20));
    }

    void profileBucketsAndCosine() {
        // Mean (1, 0): tokens along it, across it, against it; and one of nothing but NaN.
        const float nan = std::numeric_limits<float>::quiet_NaN();
        const auto cache = singlePlane(1, 2, {6, 0, 0, 5, -3, 0, 0, -5, 1, 0, nan, nan});
        ThreadPool pool(1);
        const auto single = computeTokenProfiles(cache, {}, 100, pool);
        QVERIFY(single.has_value());
        const auto& tokens = (*single)[0].buckets;
        QCOMPARE(tokens.size(), std::size_t(6));
        KVSCOPE_NEAR(tokens[0].cosineToMean, 1.0, 0);
        KVSCOPE_NEAR(tokens[1].cosineToMean, 0.0, 1);
        KVSCOPE_NEAR(tokens[2].cosineToMean, -1.0, 0);
        QCOMPARE(tokens[5].cosineToMean, 0.0);
        QCOMPARE(tokens[5].rms, 0.0);
        QCOMPARE(tokens[5].nonFinite, std::int64_t(2));
        const auto pairs = computeTokenProfiles(cache, {}, 3, pool);
        QVERIFY(pairs.has_value());
        QCOMPARE((*pairs)[0].bucketTokens, std::int64_t(2));
        const TokenBucket& first = (*pairs)[0].buckets[0];
        QCOMPARE(first.tokens, tokenRange(0, 2));
        KVSCOPE_NEAR(first.meanNorm, 5.5, 0);
        KVSCOPE_NEAR(first.maxNorm, 6.0, 0);
        KVSCOPE_NEAR(first.rms, std::sqrt(61.0 / 4.0), 0);
        KVSCOPE_NEAR(first.cosineToMean, 0.5, 0);
    }

    void refusals() {
        const auto cache = singlePlane(1, 2, {1, 2, 3, 4});
        ThreadPool pool(1);
        QVERIFY(!computeEntropy(cache, {}, 3, pool));
        QVERIFY(!computeEntropy(cache, {}, 257, pool));
        QVERIFY(!computeLagCorrelation(cache, {}, 0, pool));
        QVERIFY(!computeLagCorrelation(cache, {}, kMaxLag + 1, pool));
        QVERIFY(!computeTokenProfiles(cache, {}, 0, pool));
        std::stop_source stop;
        stop.request_stop();
        const JobControl job{stop.get_token(), nullptr};
        QCOMPARE(computeEntropy(cache, {}, 32, pool, job).error().kind, Error::Kind::Cancelled);
        QCOMPARE(computeLagCorrelation(cache, {}, 1, pool, job).error().kind, Error::Kind::Cancelled);
        QCOMPARE(computeTokenProfiles(cache, {}, 1, pool, job).error().kind, Error::Kind::Cancelled);
    }
};

QTEST_APPLESS_MAIN(TestTokenStatistics)
#include "test_token_statistics.moc"
