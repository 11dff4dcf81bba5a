// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/rans.h"
#include "tests/unit/rans_cases.h"

#include <QtTest>

#include <algorithm>
#include <cmath>

using namespace kvscope;
using namespace kvscope::test;

class TestRansTables : public QObject {
    Q_OBJECT

private slots:
    void normalisesNearOptimally() {
        Random random(2);
        for (int i = 0; i < 300; ++i) {
            const RansCounts counts = randomCounts(random);
            const RansFrequencies frequencies = normaliseCounts(counts).value();
            double best = 0;
            double spent = 0;
            double total = 0;
            int sum = 0;
            for (const std::uint32_t count : counts)
                total += count;
            for (std::size_t s = 0; s < 256; ++s) {
                QCOMPARE(frequencies[s] > 0, counts[s] > 0);
                sum += frequencies[s];
                if (counts[s] > 0) {
                    best += counts[s] * std::log2(total / counts[s]);
                    spent += counts[s] * std::log2(4096.0 / frequencies[s]);
                }
            }
            QCOMPARE(sum, 4096);
            const auto table = tableOf(counts);
            QVERIFY(std::abs(static_cast<double>(table.costOf(counts)) / 65536 - spent) <= total * 2e-5 + 1e-6);
            // No exchange of one slot between two symbols makes it better.
            for (int trial = 0; trial < 200; ++trial) {
                const std::size_t to = below(random, 256);
                const std::size_t from = below(random, 256);
                if (to == from || frequencies[to] == 0 || frequencies[from] < 2)
                    continue;
                const double gain = counts[to] * std::log2(1.0 + 1.0 / frequencies[to]);
                const double loss = counts[from] * std::log2(1.0 + 1.0 / (frequencies[from] - 1.0));
                QVERIFY(gain <= loss * 1.09);
            }
            QVERIFY(spent - best < 0.1 * total);
        }
        QVERIFY(!normaliseCounts(RansCounts{}).has_value());
    }

    void exactTablesCostLittleAndDecodeOnEveryPath() {
        Random random(21);
        int exact = 0;
        for (int i = 0; i < 60; ++i) {
            // Bells with their symbols in order of frequency, as pairs of exponents come.
            const std::uint32_t symbols = 20 + below(random, 45);
            const double sigma = symbols * (0.2 + below(random, 100) / 400.0);
            RansCounts counts{};
            for (std::uint32_t s = 0; s < symbols; ++s) {
                const double x = (symbols - s) / sigma;
                counts[s] = 1 + static_cast<std::uint32_t>(1e5 * std::exp(-x * x / 2));
            }
            const RansFrequencies frequencies = normaliseForRegisters(counts).value();
            const auto table = RansTable::fromFrequencies(frequencies).value();
            const auto plain = tableOf(counts);
            double total = 0;
            for (std::uint32_t s = 0; s < symbols; ++s) {
                QVERIFY(frequencies[s] > 0);
                total += counts[s];
            }
            QVERIFY(static_cast<double>(table.costOf(counts)) <=
                    static_cast<double>(plain.costOf(counts)) + 0.03 * 65536 * total);
            if (!table.registerTable().fits || table.registerTable().corrections > 0)
                continue;
            ++exact;
            std::vector<std::uint8_t> row(1000);
            for (std::uint8_t& symbol : row)
                symbol = drawSymbol(table, random, 5);
            const std::vector<RansRow> rows(5, RansRow{&table, row.data()});
            RansEncoder encoder;
            std::vector<std::byte> bytes;
            QVERIFY(encoder.encode(rows, 1000, 4, {}, bytes).has_value());
            for (const RansPath path : kRansPaths) {
                if (!ransPathAvailable(path))
                    continue;
                std::vector<std::uint8_t> back(5 * row.size());
                std::vector<RansOutputRow> outputs;
                for (std::size_t r = 0; r < 5; ++r)
                    outputs.push_back({&table, back.data() + r * row.size()});
                QVERIFY(ransDecode(bytes, outputs, 1000, 4, 0, path).has_value());
                for (std::size_t at = 0; at < back.size(); ++at)
                    QCOMPARE(back[at], row[at % row.size()]);
            }
        }
        QVERIFY2(exact > 40, qPrintable(QString::number(exact)));
        QVERIFY(!normaliseForRegisters(RansCounts{}).has_value());
    }

    void refusesBadSums() {
        RansFrequencies frequencies{};
        QVERIFY(!RansTable::fromFrequencies(frequencies));
        frequencies[3] = 4095;
        QVERIFY(!RansTable::fromFrequencies(frequencies));
        frequencies[9] = 2;
        QVERIFY(!RansTable::fromFrequencies(frequencies));
        frequencies[9] = 1;
        QVERIFY(RansTable::fromFrequencies(frequencies).has_value());
        frequencies.fill(4096);
        QVERIFY(!RansTable::fromFrequencies(frequencies));
    }

    void tablesSurviveWriting() {
        Random random(3);
        for (int i = 0; i < 300; ++i) {
            const auto table = tableOf(randomCounts(random));
            std::vector<std::byte> bytes{std::byte{9}};
            writeRansTable(table, bytes);
            const std::size_t size = bytes.size() - 1;
            QCOMPARE(table.isConstant(), size == 2);
            const auto tail = randomBytes(3, random);
            bytes.insert(bytes.end(), tail.begin(), tail.end());
            const auto read = readRansTable(std::span(bytes).subspan(1));
            QVERIFY(read.has_value());
            QCOMPARE(read->bytes, size);
            QCOMPARE(read->table.frequencies(), table.frequencies());
            for (std::size_t cut = 0; cut < size; ++cut) {
                const auto broken = readRansTable(std::span(bytes).subspan(1, cut));
                QVERIFY(!broken.has_value());
            }
        }
        RansCounts bell{};
        for (int i = -16; i <= 16; ++i)
            bell[static_cast<std::size_t>(128 + i)] = static_cast<std::uint32_t>(1000 * std::exp(-i * i / 32.0)) + 1;
        std::vector<std::byte> bytes;
        writeRansTable(tableOf(bell), bytes);
        QVERIFY2(bytes.size() <= 33, qPrintable(QString::number(bytes.size())));
    }

    void damagedTablesAreRefusedOrWhole() {
        Random random(4);
        for (int i = 0; i < 5000; ++i) {
            std::vector<std::byte> bytes = randomBytes(below(random, 80), random);
            if (i % 2 == 0) {
                bytes.clear();
                writeRansTable(tableOf(randomCounts(random)), bytes);
                bytes[below(random, static_cast<std::uint32_t>(bytes.size()))] ^= static_cast<std::byte>(1U << (i % 8));
            }
            const auto read = readRansTable(bytes);
            if (!read)
                continue;
            int sum = 0;
            for (const std::uint16_t frequency : read->table.frequencies())
                sum += frequency;
            QCOMPARE(sum, 4096);
            QVERIFY(read->bytes <= bytes.size());
            std::vector<std::byte> again;
            writeRansTable(read->table, again);
            QVERIFY(std::equal(again.begin(), again.end(), bytes.begin()));
        }
    }
};

QTEST_APPLESS_MAIN(TestRansTables)
#include "test_rans_tables.moc"
