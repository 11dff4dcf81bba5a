// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/quantity.h"
#include "tests/unit/stats_test_data.h"

#include <QTest>

#include <cmath>
#include <limits>

using namespace kvscope;
using namespace kvscope::testing;

namespace {

std::vector<float> read(const KvCache& cache, Quantity quantity, PlaneId plane, TokenRange tokens,
                        std::span<const float> means = {}) {
    std::vector<float> out(static_cast<std::size_t>(tokens.size() * cache.geometry().find(plane)->channels()));
    const auto done = readQuantity(cache, quantity, plane, tokens, means, out);
    return done ? out : std::vector<float>();
}

/// 23 tokens of 2 heads of 3 dimensions: value = 100 token^2 + channel.
KvCache squares() {
    std::vector<float> values;
    for (int t = 0; t < 23; ++t)
        for (int c = 0; c < 6; ++c)
            values.push_back(static_cast<float>(100 * t * t + c - (c % 2) * 20000));
    return singlePlane(2, 3, std::move(values));
}

} // namespace

class TestQuantity : public QObject {
    Q_OBJECT

private slots:
    void magnitude() {
        const auto cache = squares();
        const auto rows = read(cache, Quantity::Magnitude, planeId(0, PlaneKind::Key), tokenRange(0, 2));
        QCOMPARE(rows.size(), std::size_t(12));
        QCOMPARE(rows[0], 0.0F);
        QCOMPARE(rows[1], 19999.0F);
        QCOMPARE(rows[6 + 2], 102.0F);
    }

    void deltasDoNotDependOnTheBlock_data() {
        QTest::addColumn<int>("quantity");
        QTest::addColumn<int>("block");
        for (const int block : {1, 3, 7, 10, 23}) {
            QTest::addRow("previous/%d", block) << static_cast<int>(Quantity::DeltaPrevious) << block;
            QTest::addRow("anchor/%d", block) << static_cast<int>(Quantity::DeltaAnchor) << block;
        }
    }

    void deltasDoNotDependOnTheBlock() {
        QFETCH(int, quantity);
        QFETCH(int, block);
        const auto cache = squares();
        for (int begin = 0; begin < 23; begin += block) {
            const int end = std::min(23, begin + block);
            const auto rows =
                read(cache, static_cast<Quantity>(quantity), planeId(0, PlaneKind::Key), tokenRange(begin, end));
            QCOMPARE(rows.size(), static_cast<std::size_t>(6 * (end - begin)));
            for (int t = begin; t < end; ++t) {
                const int reference =
                    static_cast<Quantity>(quantity) == Quantity::DeltaAnchor ? t / 10 * 10 : std::max(0, t - 1);
                for (int c = 0; c < 6; ++c)
                    QCOMPARE(rows[static_cast<std::size_t>((t - begin) * 6 + c)],
                             static_cast<float>(100 * (t * t - reference * reference)));
            }
        }
    }

    void firstTokenKeepsNonFiniteVisible() {
        const auto cache = singlePlane(1, 2, {std::numeric_limits<float>::infinity(), 1.0F, 2.0F, 3.0F});
        const auto rows = read(cache, Quantity::DeltaPrevious, planeId(0, PlaneKind::Key), tokenRange(0, 2));
        QVERIFY(std::isnan(rows[0]));
        QCOMPARE(rows[1], 0.0F);
        QVERIFY(std::isinf(rows[2]));
        QCOMPARE(rows[3], 2.0F);
    }

    void deviationNeedsOneMeanAChannel() {
        const auto cache = squares();
        const std::vector<float> means{1, 2, 3, 4, 5, 6};
        const auto rows = read(cache, Quantity::ChannelDeviation, planeId(0, PlaneKind::Key), tokenRange(1, 2), means);
        QCOMPARE(rows, (std::vector<float>{99, 101 - 20000 - 2, 99, 103 - 20000 - 4, 99, 105 - 20000 - 6}));
        std::vector<float> out(6);
        const auto short_ = readQuantity(cache, Quantity::ChannelDeviation, planeId(0, PlaneKind::Key),
                                         tokenRange(0, 1), std::span(means).first(5), out);
        QVERIFY(!short_);
        QVERIFY(short_.error().what.find("6 means") != std::string::npos);
    }

    void keyBeforeRopeIsTheRecordingOrUndone() {
        const auto recorded = loadSmall(true);
        const auto undone = loadSmall(false);
        QVERIFY(recorded && undone);
        const auto golden = loadFloatNpy(goldenStats() / "small.kpre.npy");
        QVERIFY(golden);
        for (std::int64_t layer = 0; layer < 3; ++layer) {
            const PlaneId plane = planeId(layer, PlaneKind::Key);
            QVERIFY(isAvailable(*recorded, Quantity::KeyBeforeRope, plane));
            QVERIFY(isAvailable(*undone, Quantity::KeyBeforeRope, plane));
            const auto fromRecording = read(*recorded, Quantity::KeyBeforeRope, plane, tokenRange(0, 53));
            // Read from the middle, so that a position counted from the block's start would show.
            const auto fromRotation = read(*undone, Quantity::KeyBeforeRope, plane, tokenRange(20, 53));
            QCOMPARE(fromRecording.size(), std::size_t(53 * 32));
            QCOMPARE(fromRotation.size(), std::size_t(33 * 32));
            const float* expected = golden->data() + layer * 53 * 32;
            for (std::size_t i = 0; i < fromRecording.size(); ++i)
                QCOMPARE(fromRecording[i], expected[i]);
            for (std::size_t i = 0; i < fromRotation.size(); ++i)
                QVERIFY(std::fabs(fromRotation[i] - expected[20 * 32 + i]) < 1e-5F);
        }
    }

    void keyBeforeRopeWithoutRopeIsRefused() {
        const auto cache = squares();
        const PlaneId key = planeId(0, PlaneKind::Key);
        QVERIFY(!isAvailable(cache, Quantity::KeyBeforeRope, key));
        std::vector<float> out(6);
        const auto refused = readQuantity(cache, Quantity::KeyBeforeRope, key, tokenRange(0, 1), {}, out);
        QVERIFY(!refused);
        QVERIFY(!refused.error().advice.empty());

        const auto stories = loadSmall(false);
        QVERIFY(stories);
        const PlaneId value = planeId(0, PlaneKind::Value);
        QVERIFY(!isAvailable(*stories, Quantity::KeyBeforeRope, value));
        std::vector<float> row(32);
        QVERIFY(!readQuantity(*stories, Quantity::KeyBeforeRope, value, tokenRange(0, 1), {}, row));
    }

    void badRangesAreRefusedForEveryQuantity() {
        const auto cache = squares();
        const std::vector<float> means(6);
        std::vector<float> out(12);
        for (const Quantity quantity : kAllQuantities) {
            QVERIFY(!readQuantity(cache, quantity, planeId(0, PlaneKind::Key), tokenRange(22, 24), means, out));
            QVERIFY(!readQuantity(cache, quantity, planeId(0, PlaneKind::Key), tokenRange(-1, 1), means, out));
            QVERIFY(!readQuantity(cache, quantity, planeId(1, PlaneKind::Key), tokenRange(0, 2), means, out));
            QVERIFY(!nameOf(quantity).empty());
        }
    }

    void emptyRangeReadsNothing() {
        const auto cache = squares();
        for (const Quantity quantity : {Quantity::Value, Quantity::DeltaPrevious, Quantity::DeltaAnchor})
            QVERIFY(readQuantity(cache, quantity, planeId(0, PlaneKind::Key), tokenRange(5, 5), {}, {}).has_value());
    }
};

QTEST_APPLESS_MAIN(TestQuantity)
#include "test_quantity.moc"
