// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/float_formats.h"
#include "core/io/dump_writer.h"
#include "core/io/open_dump.h"
#include "core/kv/strided_cache.h"

#include <QFile>
#include <QTemporaryDir>
#include <QTest>

#include <cmath>
#include <random>

using namespace kvscope;

namespace {

constexpr std::int64_t kLayers = 3;
constexpr std::int64_t kHeads = 2;
constexpr std::int64_t kDim = 8;
constexpr std::int64_t kTokens = 37;

KvCache makeCache(std::int64_t shorterLastLayer = 0) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal(0.0F, 3.0F);
    KvGeometry geometry;
    geometry.layers.resize(kLayers);
    std::vector<std::vector<float>> values;
    for (std::int64_t layer = 0; layer < kLayers; ++layer)
        for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value}) {
            const std::int64_t tokens = kTokens - (layer == kLayers - 1 ? shorterLastLayer : 0);
            geometry.layers[static_cast<std::size_t>(layer)].plane(kind) =
                PlaneGeometry{kHeads, kDim, tokens, DType::F32, {}, 0, {}};
            std::vector<float> plane(static_cast<std::size_t>(tokens * kHeads * kDim));
            for (float& value : plane)
                value = normal(random);
            values.push_back(std::move(plane));
        }
    CacheInfo info;
    info.name = "test";
    info.rope.assign(kLayers, Rope::plain(10000.0, kDim, Rope::Pairing::HalfSplit));
    return *makeMemoryCache(std::move(geometry), std::move(info), std::move(values));
}

std::vector<float> rowsOf(const KvCache& cache, PlaneId id) {
    std::vector<float> rows(static_cast<std::size_t>(cache.geometry().find(id)->values()));
    const auto read = cache.readRows(id, tokenRange(0, cache.geometry().find(id)->tokens), rows);
    return read ? rows : std::vector<float>();
}

float rounded(float value, DType dtype) {
    if (dtype == DType::F16)
        return floatFromHalf(halfFromFloat(value));
    return dtype == DType::BF16 ? floatFromBfloat(bfloatFromFloat(value)) : value;
}

std::filesystem::path inside(const QTemporaryDir& folder, const char* name) {
    return folder.filePath(QLatin1String(name)).toStdString();
}

} // namespace

class TestDumpWriter : public QObject {
    Q_OBJECT

private slots:
    void whatIsWrittenOpensWithTheSameValues_data() {
        QTest::addColumn<QString>("name");
        QTest::addColumn<int>("dtype");
        const auto row = [](const char* name, DType dtype) {
            QTest::addRow("%s %s", name, std::string(nameOf(dtype)).c_str())
                << QString::fromLatin1(name) << static_cast<int>(dtype);
        };
        for (const char* name : {"out.npy", "out.npz"})
            for (const DType dtype : {DType::F16, DType::F32, DType::F64})
                row(name, dtype);
        for (const char* name : {"out.safetensors", "out.bin"})
            for (const DType dtype : {DType::F16, DType::BF16, DType::F32, DType::F64})
                row(name, dtype);
    }

    void whatIsWrittenOpensWithTheSameValues() {
        QFETCH(QString, name);
        QFETCH(int, dtype);
        const QTemporaryDir folder;
        const auto path = inside(folder, name.toLatin1().constData());
        const auto type = static_cast<DType>(dtype);
        const KvCache cache = makeCache();
        const auto report = convertDump(cache, path, {*dumpFormatOf(path), type, {}});
        QVERIFY2(report.has_value(), report ? "" : report.error().message().c_str());
        QCOMPARE(report->bytes, static_cast<std::int64_t>(std::filesystem::file_size(path)));

        const auto opened = openDump(path);
        QVERIFY2(opened.has_value(), opened ? "" : opened.error().message().c_str());
        QCOMPARE(opened->cache.geometry().layerCount(), kLayers);
        double maxError = 0;
        for (const PlaneId id : cache.geometry().allPlanes()) {
            const auto* shape = opened->cache.geometry().find(id);
            QVERIFY(shape != nullptr);
            QCOMPARE(shape->heads, kHeads);
            QCOMPARE(shape->tokens, kTokens);
            QCOMPARE(static_cast<int>(shape->dtype), dtype);
            const auto before = rowsOf(cache, id);
            const auto after = rowsOf(opened->cache, id);
            QCOMPARE(after.size(), before.size());
            for (std::size_t i = 0; i < before.size(); ++i) {
                QCOMPARE(after[i], rounded(before[i], type));
                if (id.kind == PlaneKind::Key)
                    maxError = std::max(maxError, static_cast<double>(std::abs(after[i] - before[i])));
            }
        }
        QCOMPARE(report->losses.size(), std::size_t(2));
        QCOMPARE(report->losses[0].maxAbsError, maxError);
        QCOMPARE(report->losses[0].values, kLayers * kTokens * kHeads * kDim);
    }

    void ropeIsUndoneAndApplied() {
        const QTemporaryDir folder;
        const KvCache cache = makeCache();
        const auto undone = inside(folder, "undone.safetensors");
        QVERIFY(convertDump(cache, undone, {DumpFileFormat::Safetensors, DType::F32, RopeDirection::Undo}));
        const auto opened = openDump(undone);
        QVERIFY(opened.has_value());
        const PlaneId id{LayerIndex(1), PlaneKind::Key, SequenceIndex(0)};
        const auto rotated = rowsOf(cache, id);
        const auto plain = rowsOf(opened->cache, id);
        // By hand for one pair: dimensions 1 and 5 of head 1 at token 20 turn by 20 * 10000^(-2/8).
        const double angle = 20.0 * std::pow(10000.0, -0.25);
        const std::size_t at = 20 * kHeads * kDim + kDim + 1;
        const double a = static_cast<double>(rotated[at]);
        const double b = static_cast<double>(rotated[at + kDim / 2]);
        QVERIFY(std::abs(static_cast<double>(plain[at]) - (a * std::cos(angle) + b * std::sin(angle))) < 1e-5);
        QVERIFY(std::abs(static_cast<double>(plain[at + kDim / 2]) - (b * std::cos(angle) - a * std::sin(angle))) <
                1e-5);
        QVERIFY(rowsOf(cache, {LayerIndex(1), PlaneKind::Value, {}}) ==
                rowsOf(opened->cache, {LayerIndex(1), PlaneKind::Value, {}}));

        OpenOptions options;
        options.ropeTheta = 10000.0;
        const auto known = openDump(undone, options);
        QVERIFY(known.has_value());
        const auto again = inside(folder, "again.npy");
        QVERIFY(convertDump(known->cache, again, {DumpFileFormat::Npy, DType::F32, RopeDirection::Apply}));
        const auto back = openDump(again);
        QVERIFY(back.has_value());
        const auto values = rowsOf(back->cache, id);
        for (std::size_t i = 0; i < values.size(); ++i)
            QVERIFY(std::abs(values[i] - rotated[i]) < 1e-5F);
    }

    void whatAFormatCannotHoldIsRefused() {
        const QTemporaryDir folder;
        const KvCache ragged = makeCache(5);
        QVERIFY(!convertDump(ragged, inside(folder, "a.npy"), {DumpFileFormat::Npy, {}, {}}));
        QVERIFY(!convertDump(ragged, inside(folder, "a.bin"), {DumpFileFormat::Raw, {}, {}}));
        QVERIFY(convertDump(ragged, inside(folder, "a.npz"), {DumpFileFormat::Npz, {}, {}}).has_value());
        QVERIFY(!convertDump(makeCache(), inside(folder, "b.npz"), {DumpFileFormat::Npz, DType::BF16, {}}));
        QVERIFY(!convertDump(makeCache(), inside(folder, "b.npz"), {DumpFileFormat::Npz, DType::I8, {}}));
        QVERIFY(!convertDump(makeCache(), inside(folder, "nowhere/b.npz"), {DumpFileFormat::Npz, {}, {}}));
        QVERIFY(!convertDump(makeCache(), inside(folder, "nowhere/b.npy"), {DumpFileFormat::Npy, {}, {}}));
        const auto opened = openDump(inside(folder, "a.npz"));
        QVERIFY(opened.has_value());
        QCOMPARE(opened->cache.geometry().find(LayerIndex(kLayers - 1), PlaneKind::Key)->tokens, kTokens - 5);
        QVERIFY(!convertDump(opened->cache, inside(folder, "a.npz"), {DumpFileFormat::Npz, {}, {}}));
    }

    void aCancelledJobLeavesTheOldFileAlone() {
        const QTemporaryDir folder;
        std::stop_source stop;
        stop.request_stop();
        for (const char* name : {"a.npy", "a.npz", "a.safetensors", "a.bin"}) {
            const auto path = inside(folder, name);
            QFile old(folder.filePath(QLatin1String(name)));
            QVERIFY(old.open(QIODevice::WriteOnly) && old.write("old") == 3);
            old.close();
            const auto report =
                convertDump(makeCache(), path, {*dumpFormatOf(path), {}, {}}, JobControl{stop.get_token(), nullptr});
            QVERIFY(!report && report.error().kind == Error::Kind::Cancelled);
            QCOMPARE(std::filesystem::file_size(path), std::uintmax_t(3));
        }
        QCOMPARE(std::distance(std::filesystem::directory_iterator(folder.path().toStdString()), {}),
                 std::ptrdiff_t(4));
    }
};

QTEST_APPLESS_MAIN(TestDumpWriter)
#include "test_dump_writer.moc"
