// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/model_config.h"

#include <QFile>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QtTest>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

using namespace kvscope;

namespace {

QJsonArray cases() {
    QFile file(QStringLiteral(KVSCOPE_SOURCE_DIR "/tests/golden/rope/rope.json"));
    return file.open(QIODevice::ReadOnly) ? QJsonDocument::fromJson(file.readAll()).array() : QJsonArray();
}

std::vector<float> valuesOf(const QJsonArray& rows) {
    std::vector<float> values;
    for (const auto& row : rows) {
        for (const auto& value : row.toArray())
            values.push_back(static_cast<float>(value.toDouble()));
    }
    return values;
}

PlaneGeometry planeOf(const QJsonObject& item) {
    PlaneGeometry plane;
    plane.heads = 1;
    plane.headDim = item["head_dim"].toInt();
    for (const auto& position : item["positions"].toArray())
        plane.positions.push_back(position.toInt());
    plane.tokens = static_cast<std::int64_t>(plane.positions.size());
    plane.dtype = DType::F32;
    return plane;
}

/// Rotates `from` and returns how far it lies from `to`, in units of what the producer's own precision allows at each
/// position.
double distance(const QJsonObject& item, const Rope& rope, RopeDirection direction) {
    const bool apply = direction == RopeDirection::Apply;
    auto rows = valuesOf(item[apply ? "before" : "after"].toArray());
    const auto wanted = valuesOf(item[apply ? "after" : "before"].toArray());
    const PlaneGeometry plane = planeOf(item);
    rotate(rope, direction, plane, tokenRange(0, plane.tokens), rows);
    double worst = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const auto token = TokenIndex(static_cast<std::int64_t>(i) / plane.channels());
        const double allowed = 4.0 * (1e-6 + 2.5e-7 * static_cast<double>(plane.position(token)));
        worst = std::max(worst, std::abs(static_cast<double>(rows[i]) - static_cast<double>(wanted[i])) / allowed);
    }
    return worst;
}

} // namespace

/// RoPE against transformers and torch (tests/golden/rope/make_rope.py).
class TestGoldenRope : public QObject {
    Q_OBJECT

private slots:
    void plainRotationsAgree();
    void configurationsAgree_data();
    void configurationsAgree();
};

void TestGoldenRope::plainRotationsAgree() {
    int compared = 0;
    for (const auto& value : cases()) {
        const QJsonObject item = value.toObject();
        if (item["pairs"].toString() != "interleaved")
            continue;
        const Rope rope = Rope::plain(item["theta"].toDouble(), item["rotary_dim"].toInt(), Rope::Pairing::Interleaved);
        QVERIFY(distance(item, rope, RopeDirection::Apply) <= 1);
        QVERIFY(distance(item, rope, RopeDirection::Undo) <= 1);
        ++compared;
    }
    QCOMPARE(compared, 3);
}

void TestGoldenRope::configurationsAgree_data() {
    QTest::addColumn<QJsonObject>("item");
    QTest::addColumn<QByteArray>("config");
    for (const auto& value : cases()) {
        const QJsonObject item = value.toObject();
        for (const auto& config : item["configs"].toArray()) {
            const QByteArray text = QJsonDocument(config.toObject()).toJson(QJsonDocument::Compact);
            QTest::newRow(text.constData()) << item << text;
        }
    }
}

void TestGoldenRope::configurationsAgree() {
    QFETCH(QJsonObject, item);
    QFETCH(QByteArray, config);
    const auto text = std::as_bytes(std::span(config.constData(), static_cast<std::size_t>(config.size())));
    const auto file = memorySource({text.begin(), text.end()}, "config.json");
    const auto read = readModelConfig(*file);
    QVERIFY2(read, read ? "" : read.error().message().c_str());
    const auto ropes = read->ropes(1, item["head_dim"].toInt());
    QVERIFY(ropes.size() == 1 && ropes[0]);
    QVERIFY(ropes[0]->pairing == Rope::Pairing::HalfSplit);
    const double applied = distance(item, *ropes[0], RopeDirection::Apply);
    QVERIFY2(applied <= 1, qPrintable(QString("%1 times what is allowed").arg(applied)));
    const double undone = distance(item, *ropes[0], RopeDirection::Undo);
    QVERIFY2(undone <= 1, qPrintable(QString("%1 times what is allowed").arg(undone)));
}

QTEST_APPLESS_MAIN(TestGoldenRope)
#include "test_golden_rope.moc"
