// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/dequantised_source.h"
#include "core/io/ggml_types.h"
#include "golden_dump.h"

#include <QTest>

#include <cmath>
#include <cstring>
#include <numeric>

using namespace kvscope;
using namespace kvscope::test;

namespace {

std::vector<std::byte> bytesOf(const QJsonValue& hex) {
    const auto raw = QByteArray::fromHex(hex.toString().toLatin1());
    std::vector<std::byte> bytes(static_cast<std::size_t>(raw.size()));
    std::memcpy(bytes.data(), raw.data(), bytes.size());
    return bytes;
}

} // namespace

class TestGgmlTypes final : public QObject {
    Q_OBJECT

private slots:
    void decodesAsGgmlDoes_data() {
        QTest::addColumn<QJsonObject>("golden");
        const auto file = readJsonObject(goldenFolder("ggml/blocks.json"));
        QCOMPARE(file["types"].toArray().size(), 6);
        for (const auto& type : file["types"].toArray())
            QTest::newRow(qPrintable(type.toObject()["name"].toString())) << type.toObject();
    }
    void decodesAsGgmlDoes() {
        QFETCH(QJsonObject, golden);
        const auto* type = ggmlType(golden["id"].toInt());
        QVERIFY(type != nullptr);
        QCOMPARE(QString::fromLatin1(type->name.data(), static_cast<qsizetype>(type->name.size())),
                 golden["name"].toString());
        QCOMPARE(type->blockValues, golden["block_values"].toInteger());
        QCOMPARE(type->blockBytes, golden["block_bytes"].toInteger());
        const auto blocks = bytesOf(golden["blocks"]);
        const auto expected = golden["values"].toArray();
        std::vector<float> values(static_cast<std::size_t>(expected.size()));
        dequantise(*type, blocks, values);
        for (qsizetype i = 0; i < expected.size(); ++i)
            QCOMPARE(static_cast<double>(values[static_cast<std::size_t>(i)]), expected[i].toDouble());
    }
    void readsAnyRangeOfDecodedBytes() {
        const auto golden = readJsonObject(goldenFolder("ggml/blocks.json"))["types"].toArray()[3].toObject();
        const auto* type = ggmlType(golden["id"].toInt());
        const auto blocks = bytesOf(golden["blocks"]);
        const auto expected = golden["values"].toArray();
        std::vector<float> values;
        for (const auto& value : expected)
            values.push_back(static_cast<float>(value.toDouble()));
        auto padded = std::vector<std::byte>(5);
        padded.insert(padded.end(), blocks.begin(), blocks.end());
        const auto source =
            dequantisedSource(memorySource(padded, "blocks"), 5, *type, static_cast<std::int64_t>(values.size()), 0);
        QVERIFY(source);
        QCOMPARE((*source)->size(), static_cast<std::int64_t>(values.size() * 4));
        for (const std::int64_t begin : {0, 1, 4, 126, 128, 131, 500}) {
            for (const std::int64_t count : {0, 1, 3, 4, 130, 260}) {
                std::vector<std::byte> read(static_cast<std::size_t>(count));
                QVERIFY((*source)->readAt(begin, read));
                QVERIFY(std::equal(read.begin(), read.end(), std::as_bytes(std::span(values)).begin() + begin));
            }
        }
        std::vector<std::byte> beyond(8);
        QVERIFY(!(*source)->readAt((*source)->size() - 4, beyond));
        QVERIFY(
            !dequantisedSource(memorySource(padded, "blocks"), 6, *type, static_cast<std::int64_t>(values.size()), 0));
        QVERIFY(!dequantisedSource(memorySource(padded, "blocks"), 5, *type, 33, 0));
    }
    void hadamardIsTheSylvesterMatrix() {
        // Row i, column j of the matrix is (-1)^popcount(i & j) / sqrt(n).
        constexpr std::size_t n = 128;
        for (std::size_t row = 0; row < n; row += 9) {
            std::vector<float> values(2 * n, 0.0F);
            values[n + row] = 1.0F;
            hadamard(values, n);
            for (std::size_t column = 0; column < n; ++column) {
                const float sign = std::popcount(row & column) % 2 == 0 ? 1.0F : -1.0F;
                QCOMPARE(values[n + column], sign / std::sqrt(static_cast<float>(n)));
                QCOMPARE(values[column], 0.0F);
            }
        }
        std::vector<float> values(64);
        std::iota(values.begin(), values.end(), -7.5F);
        const auto before = values;
        hadamard(values, 64);
        hadamard(values, 64);
        for (std::size_t i = 0; i < values.size(); ++i)
            QVERIFY(std::abs(values[i] - before[i]) < 1e-4F);
    }
    void unknownTypesAreNotRead() {
        for (const int id : {-1, 4, 5, 9, 10, 14, 24, 31, 999})
            QVERIFY(ggmlType(id) == nullptr);
    }
};

QTEST_APPLESS_MAIN(TestGgmlTypes)
#include "test_ggml_types.moc"
