// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/float_formats.h"

#include <QFile>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QtTest>

#include <bit>
#include <cmath>

using namespace kvscope;

namespace {

quint32 bitsOf(const QJsonValue& text) {
    return text.toString().toUInt(nullptr, 16);
}

QString hex(quint32 bits) {
    return QString::number(bits, 16);
}

} // namespace

/// Roundings and decodings against numpy, ml_dtypes and torch (tests/golden/dtypes/make_dtypes.py).
class TestGoldenDtypes : public QObject {
    Q_OBJECT

private slots:
    void initTestCase();
    void roundingToSixteenBits();
    void eightBitCodes();

private:
    QJsonObject golden_;
};

void TestGoldenDtypes::initTestCase() {
    QFile file(QStringLiteral(KVSCOPE_SOURCE_DIR "/tests/golden/dtypes/dtypes.json"));
    QVERIFY(file.open(QIODevice::ReadOnly));
    golden_ = QJsonDocument::fromJson(file.readAll()).object();
}

void TestGoldenDtypes::roundingToSixteenBits() {
    const QJsonArray rows = golden_["rounding"].toArray();
    QVERIFY(rows.size() > 300);
    for (const auto& row : rows) {
        const float value = std::bit_cast<float>(bitsOf(row.toArray()[0]));
        const auto half = static_cast<std::uint16_t>(bitsOf(row.toArray()[1]));
        const auto bfloat = static_cast<std::uint16_t>(bitsOf(row.toArray()[2]));
        if (std::isnan(value)) {
            QVERIFY(std::isnan(floatFromHalf(halfFromFloat(value))));
            QVERIFY(std::isnan(floatFromBfloat(bfloatFromFloat(value))));
            continue;
        }
        QVERIFY2(halfFromFloat(value) == half,
                 qPrintable(row.toArray()[0].toString() + " gives half " + hex(halfFromFloat(value))));
        QVERIFY2(bfloatFromFloat(value) == bfloat,
                 qPrintable(row.toArray()[0].toString() + " gives bfloat " + hex(bfloatFromFloat(value))));
    }
}

void TestGoldenDtypes::eightBitCodes() {
    const QJsonArray e4m3 = golden_["decode"].toObject()["e4m3"].toArray();
    const QJsonArray e5m2 = golden_["decode"].toObject()["e5m2"].toArray();
    QCOMPARE(e4m3.size(), 256);
    QCOMPARE(e5m2.size(), 256);
    const auto agree = [](float found, quint32 wanted) {
        return std::isnan(std::bit_cast<float>(wanted)) ? std::isnan(found) : std::bit_cast<quint32>(found) == wanted;
    };
    for (int code = 0; code < 256; ++code) {
        QVERIFY2(agree(floatFromE4M3(static_cast<std::uint8_t>(code)), bitsOf(e4m3[code])), qPrintable(hex(code)));
        QVERIFY2(agree(floatFromE5M2(static_cast<std::uint8_t>(code)), bitsOf(e5m2[code])), qPrintable(hex(code)));
    }
}

QTEST_APPLESS_MAIN(TestGoldenDtypes)
#include "test_golden_dtypes.moc"
