// SPDX-License-Identifier: GPL-3.0-or-later
#include "naive_map.h"

#include <QSemaphore>
#include <QTemporaryDir>
#include <QtTest>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <thread>

using namespace kvscope;
using namespace kvscope::test;

namespace {

const Rope kRope = Rope::plain(10000.0, 16, Rope::Pairing::HalfSplit);

/// Lengths around block and chunk borders, heads and dimensions of every kind, one layer without V.
const std::vector<KnownLayer> kLayers{{2, 16, 5000, 5000}, {3, 10, 700, 64}, {1, 40, 4097, -1}, {8, 5, 1, 513}};

KnownCache awkwardCache(DType type, std::uint64_t fingerprint = 0, bool headsFirst = false) {
    return makeKnownCache(kLayers, type, PlausibleValues(11), 1, fingerprint,
                          {kRope, std::nullopt, std::nullopt, std::nullopt}, headsFirst);
}

/// Builds a quantity's pyramid and waits for it; false when it fails or takes more than a minute.
bool buildAndWait(CacheMap& map, Quantity quantity) {
    auto changed = std::make_shared<QSemaphore>();
    map.setChangedCallback([changed] { changed->release(); });
    map.prepare(quantity);
    while (!map.isComplete(quantity)) {
        if (map.buildError(quantity) || !changed->tryAcquire(1, 60000))
            return false;
    }
    return true;
}

CellRect wholeRect(MapShape shape, CellStep step) {
    return {0, 0, (shape.columns + step.columns - 1) / step.columns, (shape.rows + step.rows - 1) / step.rows};
}

double largestMagnitude(const KnownCache& known) {
    double largest = 0;
    for (const auto& [id, values] : known.values) {
        for (const double value : values)
            largest = std::isfinite(value) ? std::max(largest, std::abs(value)) : largest;
    }
    return largest;
}

/// Empty when the cell keeps the pyramid's promise towards the naive one: min and max outward by at most a 2^-10th,
/// mean and rms to 2^-10, down to a billionth of the largest value.
QString broken(const Cell& cell, const NaiveCell& naive, double largest) {
    constexpr double kStep = 0x1p-10;
    // Derived quantities are computed in float before they are reduced.
    const double floor = largest * 1e-6;
    const auto within = [&](double a, double b) { return std::abs(a - b) <= kStep * std::abs(b) + floor; };
    if (cell.hasNonFinite != naive.nonFinite)
        return "non-finite flag";
    if (naive.count == 0)
        return cell.count == 0 && std::isnan(cell.min) && std::isnan(cell.rms) ? QString() : QString("not empty");
    if (naive.nonFinite ? cell.count < naive.count : cell.count != naive.count)
        return QString("count %1 not %2").arg(cell.count).arg(naive.count);
    if (cell.min > naive.min + floor || !within(cell.min, naive.min))
        return QString("min %1 not %2").arg(cell.min).arg(naive.min);
    if (cell.max < naive.max - floor || !within(cell.max, naive.max))
        return QString("max %1 not %2").arg(cell.max).arg(naive.max);
    if (std::abs(cell.mean - naive.mean) > kStep * naive.rms + floor)
        return QString("mean %1 not %2").arg(cell.mean).arg(naive.mean);
    if (!within(cell.rms, naive.rms))
        return QString("rms %1 not %2").arg(cell.rms).arg(naive.rms);
    if (std::abs(cell.stddev() - naive.stddev) > 2 * kStep * naive.stddev + 1e-3 * naive.rms + floor)
        return QString("standard deviation %1 not %2").arg(cell.stddev()).arg(naive.stddev);
    return {};
}

/// Compares every cell of a map at a step.
QString compareAll(CacheMap& map, const KnownCache& known, const MapSpec& spec, NaiveMap& naive, CellStep step,
                   double largest) {
    const CellRect all = wholeRect(map.shape(spec), step);
    const auto block = map.read(spec, all, step);
    if (!block)
        return QString::fromStdString(block.error().message());
    if (!block->exact)
        return "not exact";
    Q_UNUSED(known)
    for (std::int64_t row = 0; row < all.rows; ++row) {
        for (std::int64_t column = 0; column < all.columns; ++column) {
            const QString wrong = broken(block->at(column, row), naive.cell(column, row, step), largest);
            if (!wrong.isEmpty())
                return QString("step %1x%2 cell %3,%4: %5")
                    .arg(step.columns)
                    .arg(step.rows)
                    .arg(column)
                    .arg(row)
                    .arg(wrong);
        }
    }
    return {};
}

} // namespace

class TestPyramid : public QObject {
    Q_OBJECT

private slots:
    void tiledEqualsNaive_data();
    void tiledEqualsNaive();
    void outliersSurviveEveryStep();
    void hugeAndTinyValues_data();
    void hugeAndTinyValues();
    void nonFiniteValues();
    void readsWhileBuilding();
    void cancelStopsAndPrepareGoesOn();
    void mapMayGoWhileBuilding();
    void keptPyramidIsUsedAgain();
    void damagedPyramidIsBuiltAnew_data();
    void damagedPyramidIsBuiltAnew();
    void otherDumpDoesNotUseIt();
    void previewComesFromTheRightTokens();
    void failingReadEndsTheBuild();
};

void TestPyramid::tiledEqualsNaive_data() {
    QTest::addColumn<int>("quantity");
    QTest::addColumn<int>("type");
    QTest::addColumn<bool>("headsFirst");
    for (const DType type : {DType::F16, DType::BF16, DType::F32}) {
        for (const Quantity quantity : kAllQuantities)
            QTest::addRow("%s, %s", nameOf(quantity).data(), nameOf(type).data())
                << static_cast<int>(quantity) << static_cast<int>(type) << false;
        QTest::addRow("value, %s, heads first", nameOf(type).data())
            << static_cast<int>(Quantity::Value) << static_cast<int>(type) << true;
    }
}

void TestPyramid::tiledEqualsNaive() {
    QFETCH(int, quantity);
    QFETCH(int, type);
    QFETCH(bool, headsFirst);
    const KnownCache known = awkwardCache(static_cast<DType>(type), 0, headsFirst);
    const double largest = largestMagnitude(known);
    ThreadPool pool(2);
    const auto map = CacheMap::create(known.cache, pool);
    MapSpec spec;
    spec.quantity = static_cast<Quantity>(quantity);
    QVERIFY(buildAndWait(*map, spec.quantity));
    QCOMPARE(map->progress(spec.quantity), 1.0);
    for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value}) {
        spec.kind = kind;
        for (const MapKind mapKind : kAllMapKinds) {
            spec.map = mapKind;
            for (std::int64_t layer = 0; layer < 4; ++layer) {
                spec.layer = LayerIndex(layer);
                const bool layered = mapKind == MapKind::LayerToken || mapKind == MapKind::LayerChannel;
                if (map->shape(spec) == MapShape() || (layered && layer > 0))
                    continue;
                NaiveMap naive(known, spec);
                for (const CellStep step :
                     {CellStep{1, 1}, CellStep{4, 1}, CellStep{8, 2}, CellStep{32, 1}, CellStep{64, 1}, CellStep{64, 8},
                      CellStep{512, 1}, CellStep{1024, 4}, CellStep{4096, 1}, CellStep{1 << 20, 1}}) {
                    const QString wrong = compareAll(*map, known, spec, naive, step, largest);
                    QVERIFY2(wrong.isEmpty(), qPrintable(QString("kind %1 map %2 layer %3 %4")
                                                             .arg(static_cast<int>(kind))
                                                             .arg(static_cast<int>(mapKind))
                                                             .arg(layer)
                                                             .arg(wrong)));
                }
            }
        }
    }
    for (const PlaneId id : known.cache.geometry().allPlanes()) {
        if (map->shape({MapKind::HeadToken, id.kind, spec.quantity, id.sequence, id.layer, {}}) == MapShape())
            continue;
        double squares = 0;
        const auto values = naiveQuantity(known, id, spec.quantity);
        for (const double value : values)
            squares += value * value;
        const double rms = std::sqrt(squares / static_cast<double>(values.size()));
        QVERIFY(std::abs(map->planeRms(id, spec.quantity) - rms) <= 1e-5 * rms + 1e-6 * largest);
    }
}

void TestPyramid::outliersSurviveEveryStep() {
    PlausibleValues plausible(2);
    const KnownCache known =
        makeKnownCache({{4, 32, 9000, -1}}, DType::F16, [&](PlaneId id, std::int64_t token, std::int64_t channel) {
            if (token == 8191 && channel == 77)
                return 3000.5F;
            if (token == 4096 && channel == 5)
                return -2999.0F;
            return plausible(id, token, channel);
        });
    ThreadPool pool(2);
    const auto map = CacheMap::create(known.cache, pool);
    QVERIFY(buildAndWait(*map, Quantity::Value));
    MapSpec spec;
    for (const MapKind kind : kAllMapKinds) {
        spec.map = kind;
        for (std::int64_t step = 1; step <= 16384; step *= 2) {
            const MapShape shape = map->shape(spec);
            const bool byChannel = kind == MapKind::LayerChannel;
            const CellStep steps{byChannel ? std::min<std::int64_t>(step, 128) : step, 1};
            const std::int64_t high = kind == MapKind::TokenChannel ? 77 : kind == MapKind::HeadToken ? 2 : 0;
            const std::int64_t low = kind == MapKind::TokenChannel ? 5 : 0;
            const auto cells = map->read(spec, wholeRect(shape, steps), steps);
            QVERIFY(cells);
            const Cell& top = cells->at((byChannel ? 77 : 8191) / steps.columns, high);
            const Cell& bottom = cells->at((byChannel ? 5 : 4096) / steps.columns, low);
            QVERIFY(top.max >= 3000.0F && top.max < 3004.0F);
            QVERIFY(bottom.min <= -2999.0F && bottom.min > -3003.0F);
        }
    }
}

void TestPyramid::hugeAndTinyValues_data() {
    QTest::addColumn<int>("type");
    QTest::newRow("bf16") << static_cast<int>(DType::BF16);
    QTest::newRow("f32") << static_cast<int>(DType::F32);
}

void TestPyramid::hugeAndTinyValues() {
    QFETCH(int, type);
    PlausibleValues plausible(8);
    // Channels of the size 1, 1e30 and 1e-30 side by side.
    const auto scaleOf = [](std::int64_t channel) { return channel % 3 == 0 ? 1.0 : channel % 3 == 1 ? 1e30 : 1e-30; };
    const KnownCache known = makeKnownCache(
        {{2, 12, 1500, -1}}, static_cast<DType>(type), [&](PlaneId id, std::int64_t token, std::int64_t channel) {
            return static_cast<float>(static_cast<double>(plausible(id, token, channel)) * scaleOf(channel));
        });
    ThreadPool pool(2);
    const auto map = CacheMap::create(known.cache, pool);
    QVERIFY(buildAndWait(*map, Quantity::Value));
    MapSpec spec;
    spec.map = MapKind::TokenChannel;
    NaiveMap naive(known, spec);
    const CellStep step{512, 1};
    const auto cells = map->read(spec, wholeRect(map->shape(spec), step), step);
    QVERIFY(cells);
    for (std::int64_t row = 0; row < 24; ++row) {
        for (std::int64_t column = 0; column < 3; ++column) {
            const Cell& cell = cells->at(column, row);
            const NaiveCell expected = naive.cell(column, row, step);
            QVERIFY(std::isfinite(cell.rms) && std::isfinite(cell.max) && std::isfinite(cell.min));
            QVERIFY(static_cast<double>(cell.min) <= expected.min && static_cast<double>(cell.max) >= expected.max);
            if (row % 3 == 1) {
                QVERIFY(std::abs(cell.rms - expected.rms) <= 1e-3 * expected.rms);
                QVERIFY(std::abs(cell.max - expected.max) <= 2e-3 * std::abs(expected.max));
            }
        }
    }
    // Where the small channels lie in groups of their own they keep their precision too.
    const KnownCache small = makeKnownCache(
        {{1, 8, 700, -1}}, static_cast<DType>(type), [&](PlaneId id, std::int64_t token, std::int64_t channel) {
            return static_cast<float>(static_cast<double>(plausible(id, token, channel)) * 1e-22);
        });
    const auto smallMap = CacheMap::create(small.cache, pool);
    QVERIFY(buildAndWait(*smallMap, Quantity::Value));
    NaiveMap smallNaive(small, spec);
    const QString wrong = compareAll(*smallMap, small, spec, smallNaive, {64, 1}, largestMagnitude(small));
    QVERIFY2(wrong.isEmpty(), qPrintable(wrong));
}

void TestPyramid::nonFiniteValues() {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const float infinity = std::numeric_limits<float>::infinity();
    for (const DType type : {DType::F16, DType::BF16, DType::F32}) {
        PlausibleValues plausible(4);
        const KnownCache known =
            makeKnownCache({{2, 20, 1300, -1}}, type, [&](PlaneId id, std::int64_t token, std::int64_t channel) {
                if (channel == 7)
                    return nan;
                if (token == 640 && channel == 30)
                    return -infinity;
                if (token == 1 && channel == 31)
                    return infinity;
                return plausible(id, token, channel);
            });
        ThreadPool pool(2);
        const auto map = CacheMap::create(known.cache, pool);
        QVERIFY(buildAndWait(*map, Quantity::Value));
        MapSpec spec;
        spec.map = MapKind::TokenChannel;
        NaiveMap naive(known, spec);
        for (const CellStep step : {CellStep{64, 1}, CellStep{512, 1}, CellStep{2048, 1}}) {
            const QString wrong = compareAll(*map, known, spec, naive, step, largestMagnitude(known));
            // The mean of a tainted cell counts its parts as if they were whole: equal here, one value in 64 is off.
            QVERIFY2(wrong.isEmpty() || wrong.contains("mean"), qPrintable(wrong));
        }
        const auto cells = map->read(spec, wholeRect(map->shape(spec), {64, 1}), {64, 1});
        QVERIFY(cells);
        QVERIFY(cells->at(3, 7).hasNonFinite && cells->at(3, 7).count == 0);
        QVERIFY(cells->at(10, 30).hasNonFinite && std::isfinite(cells->at(10, 30).min));
        QVERIFY(!cells->at(9, 30).hasNonFinite);
        QVERIFY(cells->at(0, 31).hasNonFinite && std::isfinite(cells->at(0, 31).max));
    }
}

void TestPyramid::readsWhileBuilding() {
    PlausibleValues plausible(21);
    const KnownCache known = makeKnownCache(
        {{4, 32, 20000, 20000}, {4, 32, 20000, 20000}}, DType::F16,
        [&](PlaneId id, std::int64_t token, std::int64_t channel) { return plausible(id, token, channel); });
    ThreadPool pool(3);
    const auto map = CacheMap::create(known.cache, pool);
    const auto finished = std::make_shared<QSemaphore>();
    map->setChangedCallback([finished] { finished->release(); });
    map->prepare(Quantity::Value);
    map->prepare(Quantity::DeltaPrevious);
    // Every exact picture read meanwhile agrees with the final one (which is rounded); the others are samples.
    std::vector<CellBlock> seen;
    MapSpec spec;
    const CellStep step{256, 1};
    while (!map->isComplete(Quantity::Value)) {
        for (const MapKind kind : kAllMapKinds) {
            spec.map = kind;
            const auto cells = map->read(spec, wholeRect(map->shape(spec), step), step);
            QVERIFY(cells);
            if (cells->exact && kind == MapKind::TokenChannel)
                seen.push_back(*cells);
        }
    }
    spec.map = MapKind::TokenChannel;
    const auto last = map->read(spec, wholeRect(map->shape(spec), step), step);
    QVERIFY(last && last->exact);
    for (const CellBlock& block : seen) {
        for (std::size_t i = 0; i < block.cells.size(); ++i)
            QVERIFY(std::abs(block.cells[i].rms - last->cells[i].rms) <= 1e-3F * last->cells[i].rms);
    }
    while (!map->isComplete(Quantity::DeltaPrevious))
        QVERIFY(finished->tryAcquire(1, 60000));
}

void TestPyramid::cancelStopsAndPrepareGoesOn() {
    const KnownCache known = awkwardCache(DType::F32);
    ThreadPool pool(1);
    const auto map = CacheMap::create(known.cache, pool);
    // The only worker is kept busy until the builds are cancelled.
    QSemaphore started;
    QSemaphore release;
    pool.post([&] {
        started.release();
        release.acquire();
    });
    started.acquire();
    map->prepare(Quantity::Value);
    map->cancelBuilds();
    release.release();
    QSemaphore drained;
    pool.post([&] { drained.release(); });
    drained.acquire();
    QVERIFY(!map->isComplete(Quantity::Value));
    QCOMPARE(map->progress(Quantity::Value), 0.0);
    QVERIFY(buildAndWait(*map, Quantity::Value));
}

void TestPyramid::mapMayGoWhileBuilding() {
    const KnownCache known = awkwardCache(DType::F32);
    ThreadPool pool(2);
    std::atomic<int> late{0};
    for (int round = 0; round < 20; ++round) {
        auto map = CacheMap::create(known.cache, pool);
        const auto gone = std::make_shared<std::atomic<bool>>(false);
        map->setChangedCallback([gone, &late] { late += gone->load() ? 1 : 0; });
        map->prepare(Quantity::DeltaAnchor);
        map->prepare(Quantity::Value);
        if (round % 2 == 0)
            std::this_thread::yield();
        map.reset();
        gone->store(true);
    }
    QCOMPARE(late.load(), 0);
}

void TestPyramid::keptPyramidIsUsedAgain() {
    QTemporaryDir folder;
    CacheMapOptions options;
    options.cacheFolder = folder.path().toStdString();
    const KnownCache known = awkwardCache(DType::F16, 42);
    ThreadPool pool(2);
    MapSpec spec;
    spec.map = MapKind::TokenChannel;
    const CellStep step{64, 1};
    std::vector<Cell> before;
    {
        const auto map = CacheMap::create(known.cache, pool, options);
        QVERIFY(!map->isComplete(Quantity::Value));
        QVERIFY(buildAndWait(*map, Quantity::Value));
        before = map->read(spec, wholeRect(map->shape(spec), step), step)->cells;
    }
    QCOMPARE(QDir(folder.path()).entryList(QDir::Files).size(), 1);
    const auto again = CacheMap::create(known.cache, pool, options);
    QVERIFY(again->isComplete(Quantity::Value));
    QCOMPARE(again->progress(Quantity::Value), 1.0);
    QVERIFY(!again->isComplete(Quantity::Magnitude));
    const auto cells = again->read(spec, wholeRect(again->shape(spec), step), step);
    QVERIFY(cells && cells->exact);
    for (std::size_t i = 0; i < before.size(); ++i)
        QCOMPARE(cells->cells[i].rms, before[i].rms);
    const PlaneId id{LayerIndex(0), PlaneKind::Key, SequenceIndex(0)};
    QVERIFY(again->planeRms(id, Quantity::Value) > 0);
    // An unfinished one leaves nothing behind.
    {
        const auto unfinished = CacheMap::create(known.cache, pool, options);
        unfinished->prepare(Quantity::DeltaAnchor);
        unfinished->cancelBuilds();
    }
    QSemaphore drained;
    for (int i = 0; i < 2; ++i)
        pool.parallelFor(8, [](std::int64_t) {});
    QVERIFY(again->isComplete(Quantity::Value));
}

void TestPyramid::damagedPyramidIsBuiltAnew_data() {
    QTest::addColumn<int>("damage");
    QTest::newRow("flipped header byte") << 0;
    QTest::newRow("cut short") << 1;
    QTest::newRow("empty") << 2;
    QTest::newRow("all cells flipped") << 3;
    QTest::newRow("a pipe of its name") << 4;
}

void TestPyramid::damagedPyramidIsBuiltAnew() {
    QFETCH(int, damage);
    QTemporaryDir folder;
    CacheMapOptions options;
    options.cacheFolder = folder.path().toStdString();
    const KnownCache known = awkwardCache(DType::F16, 43);
    ThreadPool pool(2);
    QVERIFY(buildAndWait(*CacheMap::create(known.cache, pool, options), Quantity::Value));
    const auto names = QDir(folder.path()).entryList(QDir::Files);
    QCOMPARE(names.size(), 1);
    const std::string path = folder.filePath(names[0]).toStdString();
    const auto size = std::filesystem::file_size(path);
    if (damage == 4) {
        std::filesystem::remove(path);
        QCOMPARE(::mkfifo(path.c_str(), 0600), 0);
    } else if (damage == 1 || damage == 2) {
        std::filesystem::resize_file(path, damage == 1 ? size / 2 : 0);
    } else {
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        std::string bytes(size, '\0');
        file.read(bytes.data(), static_cast<std::streamsize>(size));
        const std::size_t end = damage == 0 ? 20 : size;
        for (std::size_t i = damage == 0 ? 19 : 64; i < end; ++i)
            bytes[i] = static_cast<char>(bytes[i] ^ 0x5A);
        file.seekp(0);
        file.write(bytes.data(), static_cast<std::streamsize>(size));
    }
    const auto map = CacheMap::create(known.cache, pool, options);
    const auto changed = std::make_shared<QSemaphore>();
    map->setChangedCallback([changed] { changed->release(); });
    MapSpec spec;
    spec.map = MapKind::TokenChannel;
    NaiveMap naive(known, spec);
    // What is delivered at once is right already (read from the dump), and the pyramid comes back.
    const CellStep step{64, 1};
    const QString wrong = compareAll(*map, known, spec, naive, step, largestMagnitude(known));
    QVERIFY2(wrong.isEmpty(), qPrintable(wrong));
    if (damage != 3)
        QVERIFY(!map->isComplete(Quantity::Value));
    map->prepare(Quantity::Value);
    while (!map->isComplete(Quantity::Value))
        QVERIFY(changed->tryAcquire(1, 60000));
    const auto reopened = CacheMap::create(known.cache, pool, options);
    QVERIFY(reopened->isComplete(Quantity::Value));
    const QString after = compareAll(*reopened, known, spec, naive, step, largestMagnitude(known));
    QVERIFY2(after.isEmpty(), qPrintable(after));
    QVERIFY(reopened->isComplete(Quantity::Value));
}

void TestPyramid::otherDumpDoesNotUseIt() {
    QTemporaryDir folder;
    CacheMapOptions options;
    options.cacheFolder = folder.path().toStdString();
    ThreadPool pool(2);
    QVERIFY(buildAndWait(*CacheMap::create(awkwardCache(DType::F16, 44).cache, pool, options), Quantity::Value));
    QVERIFY(!CacheMap::create(awkwardCache(DType::F16, 45).cache, pool, options)->isComplete(Quantity::Value));
    QVERIFY(!CacheMap::create(awkwardCache(DType::BF16, 44).cache, pool, options)->isComplete(Quantity::Value));
    QVERIFY(!CacheMap::create(awkwardCache(DType::F16, 0).cache, pool, options)->isComplete(Quantity::Value));
    QVERIFY(CacheMap::create(awkwardCache(DType::F16, 44).cache, pool, options)->isComplete(Quantity::Value));
}

void TestPyramid::previewComesFromTheRightTokens() {
    // The value tells its token and channel, so a sampled cell shows where it came from.
    const std::int64_t tokens = 1 << 16;
    const KnownCache known =
        makeKnownCache({{2, 40, tokens, -1}}, DType::F32, [](PlaneId, std::int64_t token, std::int64_t channel) {
            return static_cast<float>(token) + static_cast<float>(channel) * 0.001F;
        });
    ThreadPool pool(2);
    const auto map = CacheMap::create(known.cache, pool);
    for (const MapKind kind : {MapKind::LayerToken, MapKind::HeadToken, MapKind::TokenChannel}) {
        MapSpec spec;
        spec.map = kind;
        const CellStep step{128, 1};
        const MapShape shape = map->shape(spec);
        const auto cells = map->read(spec, wholeRect(shape, step), step);
        QVERIFY(cells);
        QVERIFY(!cells->exact);
        for (std::int64_t row = 0; row < shape.rows; ++row) {
            for (std::int64_t column = 0; column < tokens / 128; ++column) {
                const Cell& cell = cells->at(column, row);
                const double from = static_cast<double>(column) * 128;
                QVERIFY(cell.count > 0);
                // At most one sampling stride before the cell, never after it.
                QVERIFY(cell.mean >= from - 1024 && cell.mean < from + 129);
                if (kind == MapKind::TokenChannel && column % 8 == 0)
                    QVERIFY(std::abs(cell.mean - std::floor(cell.mean) - static_cast<double>(row) * 0.001) < 0.01);
            }
        }
    }
    MapSpec channels;
    channels.map = MapKind::LayerChannel;
    const auto cells = map->read(channels, wholeRect(map->shape(channels), {1, 1}), {1, 1});
    QVERIFY(cells && !cells->exact);
    QVERIFY(std::abs(cells->at(5, 0).mean - 32768.0F) < 1000.0F);
    const PlaneId id{LayerIndex(0), PlaneKind::Key, SequenceIndex(0)};
    QVERIFY(std::abs(map->planeRms(id, Quantity::Value) - 37837.0) < 1000.0);
}

namespace {

/// Fails for tokens from a place on, as a file that shrank does.
class ShrunkSource final : public CacheSource {
public:
    explicit ShrunkSource(KvCache whole)
        : whole_(std::move(whole)) {}
    [[nodiscard]] const KvGeometry& geometry() const override { return whole_.geometry(); }
    [[nodiscard]] const CacheInfo& info() const override { return whole_.info(); }
    [[nodiscard]] Result<void> readRows(PlaneId plane, TokenRange tokens, ChannelRange channels,
                                        std::span<float> out) const override {
        if (tokens.end.value > 3000)
            return fail("became shorter", "dump", "Open it again");
        return whole_.readRows(plane, tokens, channels, out);
    }
    [[nodiscard]] Result<void> readNative(PlaneId plane, TokenRange tokens, std::span<std::byte> out) const override {
        if (tokens.end.value > 3000)
            return fail("became shorter", "dump", "Open it again");
        return whole_.readNative(plane, tokens, out);
    }
    [[nodiscard]] bool nativeIsExact(PlaneId plane) const override { return whole_.nativeIsExact(plane); }

private:
    KvCache whole_;
};

} // namespace

void TestPyramid::failingReadEndsTheBuild() {
    const KnownCache known = awkwardCache(DType::F16);
    ThreadPool pool(2);
    const auto map = CacheMap::create(KvCache(std::make_shared<ShrunkSource>(known.cache)), pool);
    for (const Quantity quantity : {Quantity::Value, Quantity::DeltaPrevious, Quantity::ChannelDeviation}) {
        QVERIFY(!buildAndWait(*map, quantity));
        QVERIFY(map->buildError(quantity));
        QCOMPARE(map->buildError(quantity)->what, std::string("became shorter"));
        QVERIFY(!map->isComplete(quantity));
    }
    // What is still there can be read.
    MapSpec spec;
    QVERIFY(map->read(spec, {0, 0, 2, 1}, {64, 1}));
    QVERIFY(!map->read(spec, {78, 0, 1, 1}, {64, 1}));
}

QTEST_APPLESS_MAIN(TestPyramid)
#include "test_pyramid.moc"
