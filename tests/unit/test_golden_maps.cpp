// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/open_dump.h"
#include "core/stats/cache_map.h"

#include <QFile>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QtTest>

using namespace kvscope;

namespace {

const QString kFolder = QStringLiteral(KVSCOPE_SOURCE_DIR "/tests/golden/stats/");

std::optional<MapKind> mapFrom(const QString& name) {
    if (name == "LayerToken")
        return MapKind::LayerToken;
    if (name == "HeadToken")
        return MapKind::HeadToken;
    if (name == "TokenChannel")
        return MapKind::TokenChannel;
    if (name == "LayerChannel")
        return MapKind::LayerChannel;
    return std::nullopt;
}

std::optional<Quantity> quantityFrom(const QString& name) {
    if (name == "Value")
        return Quantity::Value;
    if (name == "Magnitude")
        return Quantity::Magnitude;
    if (name == "DeltaPrevious")
        return Quantity::DeltaPrevious;
    if (name == "DeltaAnchor")
        return Quantity::DeltaAnchor;
    if (name == "ChannelDeviation")
        return Quantity::ChannelDeviation;
    if (name == "KeyBeforeRope")
        return Quantity::KeyBeforeRope;
    return std::nullopt;
}

} // namespace

/// The cells of every map and quantity against numpy's (tests/golden/stats/make_maps.py).
class TestGoldenMaps : public QObject {
    Q_OBJECT

private slots:
    void cellsEqualNumpys();
};

void TestGoldenMaps::cellsEqualNumpys() {
    OpenOptions options;
    options.axes = "LXTC";
    options.heads = 4;
    options.ropeTheta = 10000.0;
    options.ropePairing = Rope::Pairing::Interleaved;
    const auto opened = openDump((kFolder + "small.kv.npy").toStdString(), options);
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    ThreadPool pool(2);
    const auto map = CacheMap::create(opened->cache, pool);
    for (const Quantity quantity : kAllQuantities) {
        map->prepare(quantity);
        QTRY_VERIFY(map->isComplete(quantity));
    }

    QFile file(kFolder + "small.maps.json");
    QVERIFY(file.open(QIODevice::ReadOnly));
    const QJsonArray cells = QJsonDocument::fromJson(file.readAll()).object()["cells"].toArray();
    QVERIFY(cells.size() > 300);
    for (const auto& item : cells) {
        const QJsonArray want = item.toArray();
        const QByteArray name = QJsonDocument(want).toJson(QJsonDocument::Compact);
        const auto kind = mapFrom(want[0].toString());
        const auto quantity = quantityFrom(want[2].toString());
        QVERIFY2(kind && quantity, name.constData());
        MapSpec spec;
        spec.map = *kind;
        spec.kind = want[1].toString() == "K" ? PlaneKind::Key : PlaneKind::Value;
        spec.quantity = *quantity;
        spec.layer = LayerIndex(want[3].toInt());
        const CellStep step{want[6].toInt(), want[7].toInt()};
        const auto block = map->read(spec, {want[4].toInt(), want[5].toInt(), 1, 1}, step);
        QVERIFY2(block, block ? "" : (name + ": " + block.error().message().c_str()).constData());
        QVERIFY2(block->exact && block->cells.size() == 1, name.constData());
        const Cell& cell = block->cells.front();
        // A single value is exact but for float32 arithmetic. A cell of many may come from the pyramid, which rounds
        // min and max outward and keeps mean and rms to about 11 bits.
        const double low = want[8].toDouble();
        const double high = want[9].toDouble();
        const double rms = want[11].toDouble();
        const double arithmetic = 2e-6 * (spec.kind == PlaneKind::Key ? 28.0 : 3.1); // largest magnitude of the values
        const bool summary = want[12].toInt() > 1;
        const auto outward = [&](double bound) { return arithmetic + (summary ? std::abs(bound) / 128 : 0); };
        const double inward = arithmetic + (summary ? rms / 512 : 0);
        QVERIFY2(cell.min <= low + arithmetic && cell.min >= low - outward(low), name.constData());
        QVERIFY2(cell.max >= high - arithmetic && cell.max <= high + outward(high), name.constData());
        QVERIFY2(std::abs(cell.mean - want[10].toDouble()) <= inward, name.constData());
        QVERIFY2(std::abs(cell.rms - rms) <= inward, name.constData());
        QCOMPARE(static_cast<int>(cell.count), want[12].toInt());
    }
}

QTEST_APPLESS_MAIN(TestGoldenMaps)
#include "test_golden_maps.moc"
