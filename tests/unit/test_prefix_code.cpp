// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/prefix_code.h"

#include <QtTest>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

using namespace kvscope;

namespace {

/// Symbols of a geometric distribution: the smaller the ratio, the rarer the last ones.
std::vector<std::size_t> geometric(std::size_t alphabet, double ratio, std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::geometric_distribution<std::size_t> pick(1 - ratio);
    std::vector<std::size_t> symbols;
    while (symbols.size() < count) {
        if (const std::size_t symbol = pick(random); symbol < alphabet)
            symbols.push_back(symbol * 7 % alphabet);
    }
    return symbols;
}

std::vector<std::uint32_t> countsOf(const std::vector<std::size_t>& symbols, std::size_t alphabet) {
    std::vector<std::uint32_t> counts(alphabet);
    for (const std::size_t symbol : symbols)
        ++counts[symbol];
    return counts;
}

double entropyBits(const std::vector<std::uint32_t>& counts) {
    const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
    double bits = 0;
    for (const std::uint32_t count : counts)
        bits += count > 0 ? count * std::log2(total / count) : 0;
    return bits;
}

} // namespace

class TestPrefixCode : public QObject {
    Q_OBJECT

private slots:
    void roundTrip_data() {
        QTest::addColumn<int>("alphabet");
        QTest::addColumn<double>("ratio");
        QTest::newRow("one symbol") << 1 << 0.5;
        QTest::newRow("two") << 2 << 0.5;
        QTest::newRow("even") << 37 << 0.98;
        QTest::newRow("skewed") << 37 << 0.6;
        QTest::newRow("longer than a code may be") << 64 << 0.3;
        QTest::newRow("all") << 64 << 0.95;
    }

    /// All symbols come back, in at most a bit each more than their entropy.
    void roundTrip() {
        QFETCH(const int, alphabet);
        QFETCH(const double, ratio);
        const auto size = static_cast<std::size_t>(alphabet);
        for (const std::size_t count : {std::size_t{1}, std::size_t{5}, std::size_t{300}, std::size_t{20000}}) {
            const auto symbols = geometric(size, ratio, count, static_cast<unsigned>(count));
            const auto counts = countsOf(symbols, size);
            std::vector<std::byte> bytes;
            SideBitWriter writer(bytes);
            const auto lengths = PrefixLengths::of(counts);
            lengths.write(writer);
            const PrefixEncoder encoder(lengths);
            std::size_t bits = 0;
            for (const std::size_t symbol : symbols) {
                writer.put(encoder.codeOf(symbol));
                bits += static_cast<std::size_t>(lengths[symbol]);
            }
            writer.finish();
            QVERIFY(static_cast<double>(bits) <= entropyBits(counts) + static_cast<double>(count));

            SideBitReader reader(bytes);
            const auto read = PrefixLengths::read(reader, size);
            QVERIFY(read.has_value());
            const PrefixDecoder decoder(*read);
            for (const std::size_t symbol : symbols)
                QCOMPARE(decoder.get(reader), symbol);
            QVERIFY(reader.atEnd());
        }
    }

    /// Lengths of a code that is easily made by hand.
    void lengths() {
        const std::vector<std::uint32_t> counts{0, 8, 1, 4, 0, 1, 2};
        const auto lengths = PrefixLengths::of(counts);
        const std::vector<int> expected{0, 1, 4, 2, 0, 4, 3};
        for (std::size_t i = 0; i < counts.size(); ++i)
            QCOMPARE(lengths[i], expected[i]);
    }

    void sizedNumbers() {
        constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();
        std::vector<std::uint32_t> numbers{0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 15, 16, 1U << 31, kMost - 1, kMost};
        std::mt19937 random(3);
        for (int i = 0; i < 1000; ++i)
            numbers.push_back(random() >> random() % 32);
        std::vector<std::byte> bytes;
        SideBitWriter writer(bytes);
        putSized(writer, numbers);
        writer.finish();
        std::vector<std::uint32_t> read(numbers.size());
        SideBitReader reader(bytes);
        QVERIFY(getSized(reader, read));
        QVERIFY(reader.atEnd());
        QCOMPARE(read, numbers);
    }

    /// Lengths that are no code are refused, whatever the bits.
    void refused() {
        std::mt19937 random(5);
        int codes = 0;
        for (int i = 0; i < 100000; ++i) {
            std::vector<std::byte> bytes(12);
            for (std::byte& byte : bytes)
                byte = static_cast<std::byte>(random());
            SideBitReader reader(bytes);
            const auto lengths = PrefixLengths::read(reader, 24);
            if (!lengths || lengths->only())
                continue;
            double share = 0;
            for (std::size_t symbol = 0; symbol < 24; ++symbol)
                share += (*lengths)[symbol] > 0 ? std::exp2(-(*lengths)[symbol]) : 0;
            QCOMPARE(share, 1.0);
            ++codes;
        }
        QVERIFY(codes > 0);
        SideBitReader ended({});
        QVERIFY(!PrefixLengths::read(ended, 24));
    }
};

QTEST_APPLESS_MAIN(TestPrefixCode)
#include "test_prefix_code.moc"
