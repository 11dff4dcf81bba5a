// SPDX-License-Identifier: GPL-3.0-or-later
#include "naive_map.h"

#include <QtTest>

using namespace kvscope;
using namespace kvscope::test;

namespace {

/// Empty when the cell agrees with the naive one, otherwise what differs.
QString difference(const Cell& cell, const NaiveCell& naive, double scale) {
    const auto near = [&](double a, double b) { return std::abs(a - b) <= scale * 1e-6 + 1e-6 * std::abs(b); };
    if (cell.hasNonFinite != naive.nonFinite)
        return "non-finite flag";
    if (static_cast<std::int64_t>(cell.count) != naive.count)
        return QString("count %1 not %2").arg(cell.count).arg(naive.count);
    if (naive.count == 0)
        return std::isnan(cell.min) && std::isnan(cell.max) && std::isnan(cell.mean) && std::isnan(cell.rms)
                   ? QString()
                   : QString("an empty cell has values");
    if (!near(cell.min, naive.min) || !near(cell.max, naive.max))
        return QString("range %1..%2 not %3..%4").arg(cell.min).arg(cell.max).arg(naive.min).arg(naive.max);
    if (!near(cell.mean, naive.mean))
        return QString("mean %1 not %2").arg(cell.mean).arg(naive.mean);
    if (!near(cell.rms, naive.rms))
        return QString("rms %1 not %2").arg(cell.rms).arg(naive.rms);
    return {};
}

const Rope kRope = Rope::plain(10000.0, 16, Rope::Pairing::HalfSplit);

/// Three layers of different size, one without V.
KnownCache raggedCache(DType type, std::int64_t sequences = 1) {
    return makeKnownCache({{2, 16, 150, 150}, {4, 16, 97, 64}, {1, 16, 150, -1}}, type, PlausibleValues(7), sequences,
                          0, {kRope, kRope, kRope});
}

} // namespace

class TestCacheMap : public QObject {
    Q_OBJECT

private slots:
    void everyCellOfEveryMap_data();
    void everyCellOfEveryMap();
    void shapes();
    void partsEqualTheWhole();
    void nonFiniteValuesCountInNothing();
    void wrongRectanglesAreRefused();
    void planeRmsIsThatOfTheValues();
};

void TestCacheMap::everyCellOfEveryMap_data() {
    QTest::addColumn<int>("map");
    QTest::addColumn<int>("quantity");
    QTest::addColumn<int>("type");
    for (const MapKind map : kAllMapKinds) {
        for (const Quantity quantity : kAllQuantities) {
            for (const DType type : {DType::F16, DType::BF16, DType::F32})
                QTest::addRow("map %d, %s, %s", static_cast<int>(map), nameOf(quantity).data(), nameOf(type).data())
                    << static_cast<int>(map) << static_cast<int>(quantity) << static_cast<int>(type);
        }
    }
}

void TestCacheMap::everyCellOfEveryMap() {
    QFETCH(int, map);
    QFETCH(int, quantity);
    QFETCH(int, type);
    const KnownCache known = raggedCache(static_cast<DType>(type), 2);
    QVERIFY(!known.cache.isNull());
    ThreadPool pool(2);
    const auto maps = CacheMap::create(known.cache, pool);
    MapSpec spec;
    spec.map = static_cast<MapKind>(map);
    spec.quantity = static_cast<Quantity>(quantity);
    spec.sequence = SequenceIndex(1);
    spec.layer = LayerIndex(1);
    for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value}) {
        spec.kind = kind;
        NaiveMap naive(known, spec);
        const MapShape shape = maps->shape(spec);
        if (spec.quantity == Quantity::KeyBeforeRope && kind == PlaneKind::Value) {
            QCOMPARE(shape, MapShape());
            continue;
        }
        QVERIFY(shape.columns > 0 && shape.rows > 0);
        for (const CellStep step : {CellStep{1, 1}, CellStep{4, 2}, CellStep{64, 1}, CellStep{256, 4}}) {
            const CellRect all{0, 0, (shape.columns + step.columns - 1) / step.columns,
                               (shape.rows + step.rows - 1) / step.rows};
            const auto block = maps->read(spec, all, step);
            QVERIFY2(block, block ? "" : block.error().message().c_str());
            QVERIFY(block->exact);
            for (std::int64_t row = 0; row < all.rows; ++row) {
                for (std::int64_t column = 0; column < all.columns; ++column) {
                    const QString wrong = difference(block->at(column, row), naive.cell(column, row, step), 1.0);
                    QVERIFY2(wrong.isEmpty(), qPrintable(QString("step %1x%2 cell %3,%4: %5")
                                                             .arg(step.columns)
                                                             .arg(step.rows)
                                                             .arg(column)
                                                             .arg(row)
                                                             .arg(wrong)));
                }
            }
        }
    }
}

void TestCacheMap::shapes() {
    const KnownCache known = raggedCache(DType::F16);
    ThreadPool pool(1);
    const auto maps = CacheMap::create(known.cache, pool);
    MapSpec spec;
    QCOMPARE(maps->shape(spec), (MapShape{150, 3}));
    spec.map = MapKind::LayerChannel;
    QCOMPARE(maps->shape(spec), (MapShape{64, 3}));
    spec.map = MapKind::HeadToken;
    spec.layer = LayerIndex(1);
    QCOMPARE(maps->shape(spec), (MapShape{97, 4}));
    spec.map = MapKind::TokenChannel;
    QCOMPARE(maps->shape(spec), (MapShape{97, 64}));
    spec.head = HeadIndex(3);
    QCOMPARE(maps->shape(spec), (MapShape{97, 16}));
    spec.head = HeadIndex(4);
    QCOMPARE(maps->shape(spec), MapShape());
    spec.head.reset();
    spec.kind = PlaneKind::Value;
    spec.layer = LayerIndex(2);
    QCOMPARE(maps->shape(spec), MapShape());
    spec.layer = LayerIndex(3);
    QCOMPARE(maps->shape(spec), MapShape());
    spec.layer = LayerIndex(0);
    spec.sequence = SequenceIndex(1);
    QCOMPARE(maps->shape(spec), MapShape());
}

void TestCacheMap::partsEqualTheWhole() {
    const KnownCache known = raggedCache(DType::F16);
    ThreadPool pool(2);
    const auto maps = CacheMap::create(known.cache, pool);
    MapSpec spec;
    spec.map = MapKind::TokenChannel;
    spec.layer = LayerIndex(1);
    spec.head = HeadIndex(2);
    const CellStep step{2, 2};
    const auto whole = maps->read(spec, {0, 0, 49, 8}, step);
    const auto part = maps->read(spec, {13, 3, 36, 5}, step);
    QVERIFY(whole && part);
    QCOMPARE(part->cells.size(), std::size_t{36 * 5});
    for (std::int64_t row = 0; row < 5; ++row) {
        for (std::int64_t column = 0; column < 36; ++column) {
            QCOMPARE(part->at(column, row).rms, whole->at(column + 13, row + 3).rms);
            QCOMPARE(part->at(column, row).count, whole->at(column + 13, row + 3).count);
        }
    }
}

void TestCacheMap::nonFiniteValuesCountInNothing() {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const float infinity = std::numeric_limits<float>::infinity();
    PlausibleValues plausible(3);
    const KnownCache known =
        makeKnownCache({{2, 16, 130, 130}}, DType::F16, [&](PlaneId id, std::int64_t token, std::int64_t channel) {
            if (channel == 5 || (token == 70 && channel == 9))
                return nan;
            if (token == 3 && channel == 17)
                return -infinity;
            return plausible(id, token, channel);
        });
    ThreadPool pool(2);
    const auto maps = CacheMap::create(known.cache, pool);
    MapSpec spec;
    spec.map = MapKind::TokenChannel;
    NaiveMap naive(known, spec);
    const CellStep step{64, 1};
    const auto block = maps->read(spec, {0, 0, 3, 32}, step);
    QVERIFY(block);
    for (std::int64_t row = 0; row < 32; ++row) {
        for (std::int64_t column = 0; column < 3; ++column) {
            const QString wrong = difference(block->at(column, row), naive.cell(column, row, step), 1.0);
            QVERIFY2(wrong.isEmpty(), qPrintable(QString("%1,%2: %3").arg(column).arg(row).arg(wrong)));
        }
    }
    QVERIFY(block->at(0, 5).hasNonFinite);
    QCOMPARE(block->at(0, 5).count, 0U);
    QVERIFY(std::isnan(block->at(0, 5).maxAbs()));
    QCOMPARE(block->at(1, 9).count, 63U);
}

void TestCacheMap::wrongRectanglesAreRefused() {
    const KnownCache known = raggedCache(DType::F16);
    ThreadPool pool(1);
    const auto maps = CacheMap::create(known.cache, pool);
    const MapSpec spec;
    const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
    QVERIFY(!maps->read(spec, {0, 0, 151, 1}, {1, 1}));
    QVERIFY(!maps->read(spec, {-1, 0, 1, 1}, {1, 1}));
    QVERIFY(!maps->read(spec, {huge, 0, huge, 1}, {1, 1}));
    QVERIFY(!maps->read(spec, {0, 0, 1, 1}, {0, 1}));
    QVERIFY(!maps->read(spec, {0, 0, 1, 1}, {huge, huge}));
    const auto empty = maps->read(spec, {0, 0, 0, 0}, {1, 1});
    QVERIFY(empty);
    QVERIFY(empty->cells.empty());
    std::stop_source stop;
    stop.request_stop();
    const auto stopped = maps->read(spec, {0, 0, 150, 3}, {1, 1}, JobControl{stop.get_token()});
    QVERIFY(!stopped);
    QVERIFY(stopped.error().kind == Error::Kind::Cancelled);
}

void TestCacheMap::planeRmsIsThatOfTheValues() {
    const KnownCache known = raggedCache(DType::F16);
    ThreadPool pool(1);
    const auto maps = CacheMap::create(known.cache, pool);
    const PlaneId id{LayerIndex(1), PlaneKind::Value, SequenceIndex(0)};
    for (const Quantity quantity : {Quantity::Value, Quantity::DeltaPrevious, Quantity::ChannelDeviation}) {
        double squares = 0;
        const auto values = naiveQuantity(known, id, quantity);
        for (const double value : values)
            squares += value * value;
        const double expected = std::sqrt(squares / static_cast<double>(values.size()));
        QVERIFY(std::abs(maps->planeRms(id, quantity) - expected) <= 1e-6 * expected);
    }
    QCOMPARE(maps->planeRms(id, Quantity::KeyBeforeRope), 0.0);
}

QTEST_APPLESS_MAIN(TestCacheMap)
#include "test_cache_map.moc"
