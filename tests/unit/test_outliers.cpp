// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/outliers.h"
#include "tests/unit/golden_stats.h"

#include <QTest>

#include <algorithm>
#include <limits>
#include <random>
#include <set>

using namespace kvscope;
using namespace kvscope::testing;

namespace {

/// Every value of a kind by plain loops: sorted as the list must be, with at most kOutliersPerChannel of a channel.
std::vector<Outlier> slowOutliers(const KvCache& cache, PlaneKind kind, std::size_t count) {
    std::vector<Outlier> all;
    for (const PlaneId id : cache.geometry().planes(kind)) {
        const auto* plane = cache.geometry().find(id);
        std::vector<float> values(static_cast<std::size_t>(plane->values()));
        if (!cache.readRows(id, tokenRange(0, plane->tokens), values))
            return {};
        double squares = 0;
        for (const float value : values)
            squares += static_cast<double>(value) * value;
        const double rms = std::sqrt(squares / static_cast<double>(values.size()));
        for (std::size_t i = 0; i < values.size(); ++i)
            all.push_back({id, TokenIndex(static_cast<std::int64_t>(i) / plane->channels()),
                           ChannelIndex(static_cast<std::int64_t>(i) % plane->channels()), values[i],
                           std::fabs(static_cast<double>(values[i])) / rms});
    }
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.sigma > b.sigma; });
    std::vector<Outlier> kept;
    std::map<std::pair<PlaneId, std::int64_t>, std::int64_t> perChannel;
    for (const Outlier& outlier : all) {
        if (kept.size() < count && perChannel[{outlier.plane, outlier.channel.value}]++ < kOutliersPerChannel)
            kept.push_back(outlier);
    }
    return kept;
}

} // namespace

class TestOutliers : public QObject {
    Q_OBJECT

private slots:
    void equalsPlainLoops_data() {
        QTest::addColumn<int>("kind");
        QTest::newRow("K") << static_cast<int>(PlaneKind::Key);
        QTest::newRow("V") << static_cast<int>(PlaneKind::Value);
    }

    void equalsPlainLoops() {
        QFETCH(int, kind);
        const auto cache = loadSmall(false);
        QVERIFY(cache.has_value());
        ThreadPool pool(2);
        const auto found = findOutliers(*cache, static_cast<PlaneKind>(kind), Quantity::Value, 100, pool);
        QVERIFY(found.has_value());
        const auto expected = slowOutliers(*cache, static_cast<PlaneKind>(kind), 100);
        QCOMPARE(found->size(), expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i) {
            QCOMPARE((*found)[i].plane, expected[i].plane);
            QCOMPARE((*found)[i].token, expected[i].token);
            QCOMPARE((*found)[i].channel, expected[i].channel);
            QCOMPARE((*found)[i].value, expected[i].value);
            KVSCOPE_NEAR((*found)[i].sigma, expected[i].sigma, 0);
        }
    }

    /// One outlier channel gives three places; the lone spikes of other layers follow. Long enough for segments.
    void oneChannelDoesNotFillTheList() {
        const std::int64_t tokens = 90'000;
        std::mt19937 random(5);
        std::normal_distribution<float> normal;
        auto source = std::make_shared<MemorySource>();
        for (std::int64_t layer = 0; layer < 2; ++layer) {
            std::vector<float> values(static_cast<std::size_t>(tokens * 64));
            for (float& value : values)
                value = normal(random);
            if (layer == 0) {
                for (std::size_t t = 0; t < static_cast<std::size_t>(tokens); ++t)
                    values[t * 64 + 17] = 40.0F;
            } else {
                values[80'001 * 64 + 9] = -60.0F;
                values[3 * 64 + 10] = std::numeric_limits<float>::infinity();
                values[4 * 64 + 10] = std::numeric_limits<float>::quiet_NaN();
            }
            addPlane(*source, planeId(layer, PlaneKind::Value), 4, 16, std::move(values));
        }
        ThreadPool one(1);
        ThreadPool three(3);
        const auto found = findOutliers(KvCache(source), PlaneKind::Value, Quantity::Value, 10, three);
        QVERIFY(found.has_value());
        QCOMPARE(found->size(), std::size_t(10));
        QCOMPARE((*found)[0].plane.layer, LayerIndex(1));
        QCOMPARE((*found)[0].token, TokenIndex(80'001));
        QCOMPARE((*found)[0].channel, ChannelIndex(9));
        QCOMPARE((*found)[0].value, -60.0F);
        QCOMPARE(std::count_if(found->begin(), found->end(),
                               [](const Outlier& outlier) { return outlier.channel == ChannelIndex(17); }),
                 kOutliersPerChannel);
        // Equal values: the earliest tokens.
        const auto first = std::find_if(found->begin(), found->end(),
                                        [](const Outlier& outlier) { return outlier.channel == ChannelIndex(17); });
        QCOMPARE(first->token, TokenIndex(0));
        QCOMPARE((first + 2)->token, TokenIndex(2));
        const auto again = findOutliers(KvCache(source), PlaneKind::Value, Quantity::Value, 10, one);
        QVERIFY(again && *again == *found);
    }

    void derivedQuantities() {
        // Channel 0 stands at 100 all the time; channel 1 jumps once.
        std::vector<float> values;
        for (int t = 0; t < 30; ++t) {
            values.push_back(100.0F);
            values.push_back(t == 12 ? 8.0F : 1.0F);
        }
        const auto cache = singlePlane(1, 2, values);
        ThreadPool pool(2);
        const auto value = findOutliers(cache, PlaneKind::Key, Quantity::Value, 1, pool);
        QVERIFY(value && (*value)[0].channel == ChannelIndex(0));
        const auto deviation = findOutliers(cache, PlaneKind::Key, Quantity::ChannelDeviation, 1, pool);
        QVERIFY(deviation.has_value());
        QCOMPARE((*deviation)[0].channel, ChannelIndex(1));
        QCOMPARE((*deviation)[0].token, TokenIndex(12));
        const auto delta = findOutliers(cache, PlaneKind::Key, Quantity::DeltaPrevious, 5, pool);
        QVERIFY(delta.has_value());
        QCOMPARE(delta->size(), std::size_t(2));
        QCOMPARE((*delta)[0].token, TokenIndex(12));
        QCOMPARE((*delta)[1].value, -7.0F);
        const auto means = computeChannelMeans(cache, planeId(0, PlaneKind::Key), pool);
        QVERIFY(means.has_value());
        QCOMPARE((*means)[0], 100.0F);
        QCOMPARE((*means)[1], static_cast<float>(37.0 / 30.0));
    }

    void nothingStandsOutOfZeros() {
        ThreadPool pool(1);
        const auto found =
            findOutliers(singlePlane(1, 2, std::vector<float>(20)), PlaneKind::Key, Quantity::Value, 5, pool);
        QVERIFY(found && found->empty());
    }

    void refusals() {
        const auto cache = singlePlane(1, 2, {1, 2, 3, 4});
        ThreadPool pool(1);
        QVERIFY(!findOutliers(cache, PlaneKind::Value, Quantity::Value, 5, pool));
        QVERIFY(!findOutliers(cache, PlaneKind::Key, Quantity::KeyBeforeRope, 5, pool));
        QVERIFY(!findOutliers(cache, PlaneKind::Key, Quantity::Value, 0, pool));
        QVERIFY(!computeChannelMeans(cache, planeId(3, PlaneKind::Key), pool));
        std::stop_source stop;
        stop.request_stop();
        const auto stopped = findOutliers(cache, PlaneKind::Key, Quantity::Value, 5, pool, {stop.get_token(), nullptr});
        QCOMPARE(stopped.error().kind, Error::Kind::Cancelled);
    }
};

QTEST_APPLESS_MAIN(TestOutliers)
#include "test_outliers.moc"
