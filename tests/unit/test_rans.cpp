// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/rans.h"
#include "core/codec/rans_bank.h"
#include "tests/unit/rans_cases.h"

#include <QtTest>

#include <algorithm>
#include <cmath>

using namespace kvscope;
using namespace kvscope::test;

namespace {

/// Rows of symbols with their tables, as the coder takes them.
struct Rows {
    std::vector<RansTable> tables;
    std::vector<std::uint8_t> symbols;
    std::vector<RansRow> rows;
    std::int64_t tokens = 0;

    Rows(std::size_t count, std::int64_t rowTokens, Random& random, std::uint32_t wild = 20)
        : symbols(count * static_cast<std::size_t>(rowTokens))
        , tokens(rowTokens) {
        for (std::size_t i = 0; i < 1 + count / 3; ++i)
            tables.push_back(tableOf(randomCounts(random)));
        for (std::size_t i = 0; i < count; ++i) {
            const RansTable& table = tables[i * tables.size() / count];
            std::uint8_t* const row = symbols.data() + i * static_cast<std::size_t>(tokens);
            for (std::int64_t t = 0; t < tokens; ++t)
                row[t] = drawSymbol(table, random, wild);
            rows.push_back({&table, row});
        }
    }

    /// Rows of the same tables in another buffer.
    [[nodiscard]] std::vector<RansOutputRow> outputs(std::vector<std::uint8_t>& buffer) const {
        buffer.assign(symbols.size(), 0xA5);
        std::vector<RansOutputRow> out;
        for (std::size_t i = 0; i < rows.size(); ++i)
            out.push_back({rows[i].table, buffer.data() + i * static_cast<std::size_t>(tokens)});
        return out;
    }
};

/// The coder in its plainest form, from the description in rans.h alone: no blocks, no interleaving, 64-bit integers.
std::vector<std::uint16_t> naiveWords(const Rows& input, int streams, int stream,
                                      std::array<std::uint64_t, 32>& states) {
    std::vector<std::uint16_t> words;
    states.fill(32768);
    for (std::size_t row = input.rows.size(); row-- > 0;) {
        if (static_cast<int>(row % static_cast<std::size_t>(streams)) != stream || input.rows[row].table->isConstant())
            continue;
        for (std::int64_t token = input.tokens; token-- > 0;) {
            const std::uint8_t symbol = input.rows[row].symbols[token];
            std::uint64_t first = 0;
            for (std::size_t i = 0; i < symbol; ++i)
                first += input.rows[row].table->frequencies()[i];
            const std::uint64_t frequency = input.rows[row].table->frequencies()[symbol];
            std::uint64_t& state = states[static_cast<std::size_t>(token % 32)];
            if (state / 4096 >= frequency * 128) {
                words.push_back(static_cast<std::uint16_t>(state % 65536));
                state /= 65536;
            }
            state = state / frequency * 4096 + first + state % frequency;
        }
    }
    std::reverse(words.begin(), words.end());
    return words;
}

/// The distribution functions for standard deviation 1.
double probabilityBelow(RansShape shape, double x) {
    switch (shape) {
    case RansShape::Gaussian:
        return 0.5 * std::erfc(-x / std::sqrt(2.0));
    case RansShape::Logistic:
        return 1 / (1 + std::exp(-x * M_PI / std::sqrt(3.0)));
    case RansShape::Laplace:
        return x < 0 ? 0.5 * std::exp(std::sqrt(2.0) * x) : 1 - 0.5 * std::exp(-std::sqrt(2.0) * x);
    case RansShape::Student:
        break;
    }
    // Student's t with 3 degrees of freedom at t = x sqrt(3).
    return 0.5 + (x / (1 + x * x) + std::atan(x)) / M_PI;
}

} // namespace

class TestRans : public QObject {
    Q_OBJECT

    static std::vector<RansPath> paths() {
        std::vector<RansPath> available;
        for (const RansPath path : kRansPaths) {
            if (ransPathAvailable(path))
                available.push_back(path);
        }
        return available;
    }

private slots:
    void stepsUndoEachOther() {
        Random random(1);
        for (int i = 0; i < 200000; ++i) {
            const std::uint32_t frequency = 1 + below(random, 4095);
            const std::uint32_t first = below(random, 4096 - frequency + 1);
            const std::uint32_t before = kRansStateLow + below(random, (1U << 31) - kRansStateLow);
            const bool spills = ransMustSpill(before, frequency);
            const std::uint32_t kept = spills ? before >> 16 : before;
            const std::uint32_t state = ransPush(kept, frequency, first);
            QVERIFY(state >= kRansStateLow && state < 1U << 31);
            const std::uint32_t slot = ransSlot(state);
            QVERIFY(slot >= first && slot < first + frequency);
            std::uint32_t back = ransPop(state, ransEntry(frequency, slot - first, 77));
            QCOMPARE(ransNeedsWord(back), spills);
            if (spills)
                back = ransRefill(back, static_cast<std::uint16_t>(before & 0xFFFFU));
            QCOMPARE(back, before);
        }
    }

    void matchesTheDescription() {
        Random random(5);
        for (const int streams : {1, 2, 4}) {
            const Rows input(13, 77, random);
            std::vector<std::byte> bytes;
            QVERIFY(RansEncoder().encode(input.rows, input.tokens, streams, {}, bytes, RansPath::Scalar).has_value());
            std::vector<std::uint16_t> expected;
            std::vector<bool> stateBits;
            std::vector<std::byte> head;
            for (int stream = 0; stream < streams; ++stream) {
                std::array<std::uint64_t, 32> states{};
                const auto words = naiveWords(input, streams, stream, states);
                expected.insert(expected.end(), words.begin(), words.end());
                std::size_t field = words.size() + 1;
                for (; field >= 128; field /= 128)
                    head.push_back(static_cast<std::byte>(field % 128 + 128));
                head.push_back(static_cast<std::byte>(field));
                for (const std::uint64_t state : states) {
                    int exponent = 0;
                    while (state >> (exponent + 16) != 0)
                        ++exponent;
                    for (int bit = 0; bit < 4; ++bit)
                        stateBits.push_back((exponent >> bit & 1) != 0);
                    for (int bit = 0; bit < exponent + 15; ++bit)
                        stateBits.push_back((state >> bit & 1) != 0);
                }
            }
            head.resize(head.size() + (stateBits.size() + 7) / 8);
            const std::size_t first = head.size() - (stateBits.size() + 7) / 8;
            for (std::size_t bit = 0; bit < stateBits.size(); ++bit) {
                if (stateBits[bit])
                    head[first + bit / 8] |= static_cast<std::byte>(1U << bit % 8);
            }
            head.resize((head.size() + 1) / 2 * 2);
            QCOMPARE(bytes.size(), head.size() + expected.size() * 2);
            QVERIFY(std::equal(head.begin(), head.end(), bytes.begin()));
            QCOMPARE(std::memcmp(bytes.data() + head.size(), expected.data(), expected.size() * 2), 0);
        }
    }

    void everyPathGivesTheSameBytesAndRoundTrips() {
        Random random(6);
        RansEncoder encoder;
        for (int i = 0; i < 400; ++i) {
            const std::size_t count = below(random, 71);
            const std::int64_t tokens = i < 300 ? i + 1 : 1 + below(random, 300);
            const Rows input(count, tokens, random, i % 3 == 0 ? 2 : 50);
            for (const int streams : {1, 2, 4}) {
                const std::int64_t capacity = ransPayloadCapacity(input.rows, tokens, streams);
                const auto payload = randomBytes(below(random, static_cast<std::uint32_t>(capacity) + 1), random);
                std::vector<std::byte> reference;
                const auto encoded = encoder.encode(input.rows, tokens, streams, payload, reference, RansPath::Scalar);
                QVERIFY(encoded.has_value());
                for (const RansPath path : paths()) {
                    std::vector<std::byte> bytes;
                    QVERIFY(encoder.encode(input.rows, tokens, streams, payload, bytes, path).has_value());
                    QVERIFY(bytes == reference);
                    // An allocation of its own, so that a read past the end is seen.
                    const std::vector<std::byte> exact(bytes.begin(), bytes.end());
                    std::vector<std::uint8_t> symbols;
                    const auto out = input.outputs(symbols);
                    const auto size = static_cast<std::int64_t>(payload.size());
                    const auto back = ransDecode(exact, out, tokens, streams, size, path);
                    QVERIFY2(back.has_value(), back ? "" : back.error().message().c_str());
                    QVERIFY(symbols == input.symbols);
                    QVERIFY(*back == payload);
                }
            }
        }
    }

    void bankTablesRoundTripOnEveryPath() {
        Random random(13);
        for (int index = 0; index < kRansClasses; index += 3) {
            const RansTable& table = RansBank::instance().table(RansClass::fromIndex(static_cast<std::uint8_t>(index)));
            constexpr std::int64_t kTokens = 150;
            std::vector<std::uint8_t> symbols(kTokens * 9);
            for (std::uint8_t& symbol : symbols)
                symbol = drawSymbol(table, random, 30);
            std::vector<RansRow> rows;
            std::vector<std::uint8_t> decoded(symbols.size());
            std::vector<RansOutputRow> outputs;
            for (std::size_t row = 0; row < 9; ++row) {
                rows.push_back({&table, symbols.data() + row * kTokens});
                outputs.push_back({&table, decoded.data() + row * kTokens});
            }
            for (const int streams : {1, 2, 4}) {
                std::vector<std::byte> reference;
                QVERIFY(RansEncoder().encode(rows, kTokens, streams, {}, reference, RansPath::Scalar).has_value());
                for (const RansPath path : paths()) {
                    std::vector<std::byte> bytes;
                    QVERIFY(RansEncoder().encode(rows, kTokens, streams, {}, bytes, path).has_value());
                    QVERIFY(bytes == reference);
                    std::fill(decoded.begin(), decoded.end(), std::uint8_t{0xA5});
                    QVERIFY(ransDecode(bytes, outputs, kTokens, streams, 0, path).has_value());
                    QVERIFY(decoded == symbols);
                }
            }
        }
    }

    void rowsCanBeDecodedInPieces() {
        Random random(7);
        const Rows input(37, 100, random);
        for (const int streams : {1, 2, 4}) {
            std::vector<std::byte> bytes;
            QVERIFY(RansEncoder().encode(input.rows, input.tokens, streams, {}, bytes).has_value());
            std::vector<std::uint8_t> symbols;
            const auto out = input.outputs(symbols);
            auto decoder = RansDecoder::open(bytes, input.tokens, streams).value();
            for (std::size_t done = 0; done < out.size();) {
                const std::size_t some = std::min<std::size_t>(1 + below(random, 9), out.size() - done);
                QVERIFY(decoder.decode(std::span(out).subspan(done, some)).has_value());
                done += some;
            }
            QVERIFY(decoder.finish(0).has_value());
            QVERIFY(symbols == input.symbols);
        }
    }

    void lengthIsTheIdealOne() {
        Random random(8);
        for (const double sigma : {0.7, 4.0, 30.0}) {
            RansCounts counts{};
            for (int i = 1; i < 256; ++i)
                counts[static_cast<std::size_t>(i)] =
                    1 + static_cast<std::uint32_t>(1e6 * std::exp(-(i - 128) * (i - 128) / (2 * sigma * sigma)));
            const auto table = tableOf(counts);
            constexpr std::int64_t kTokens = 1 << 18;
            std::vector<std::uint8_t> symbols(kTokens);
            RansCounts drawn{};
            for (std::uint8_t& symbol : symbols) {
                symbol = drawSymbol(table, random, 1U << 31);
                ++drawn[symbol];
            }
            const double ideal = static_cast<double>(table.costOf(drawn)) / 65536 / 8;
            const RansRow row{&table, symbols.data()};
            std::vector<std::byte> bytes;
            QVERIFY(RansEncoder().encode({&row, 1}, kTokens, 1, {}, bytes).has_value());
            const double ratio = static_cast<double>(bytes.size()) / ideal;
            QVERIFY2(ratio > 0.998 && ratio < 1.002, qPrintable(QString::number(ratio)));
        }
    }

    void constantRowsCostNothing() {
        RansCounts counts{};
        counts[200] = 5;
        const auto table = tableOf(counts);
        const std::vector<std::uint8_t> symbols(1000, 200);
        const std::vector<RansRow> rows(6, RansRow{&table, symbols.data()});
        std::vector<std::byte> bytes;
        QVERIFY(RansEncoder().encode(rows, 1000, 4, {}, bytes).has_value());
        QCOMPARE(bytes, std::vector<std::byte>(4));
        QCOMPARE(ransPayloadCapacity(rows, 1000, 4), 0);
        QCOMPARE(table.costOf(counts), 0U);
    }

    void payloadFillsTheStates() {
        Random random(9);
        Rows input(8, 256, random);
        while (ransPayloadCapacity(input.rows, 256, 4) != 240)
            input = Rows(8, 256, random);
        std::vector<std::byte> without;
        std::vector<std::byte> with;
        QVERIFY(RansEncoder().encode(input.rows, 256, 4, {}, without).has_value());
        QVERIFY(RansEncoder().encode(input.rows, 256, 4, randomBytes(240, random), with).has_value());
        QVERIFY2(with.size() <= without.size() + 24, qPrintable(QString::number(with.size() - without.size())));
        QVERIFY(!RansEncoder().encode(input.rows, 256, 4, randomBytes(241, random), with));
    }

    void symbolsWithoutFrequencyAreRefused() {
        Random random(10);
        RansCounts counts{};
        counts[100] = 3;
        counts[103] = 2;
        const auto table = tableOf(counts);
        for (const std::int64_t tokens : {1, 31, 32, 64, 300}) {
            for (const std::uint8_t wrong : {0, 99, 101, 104, 255}) {
                std::vector<std::uint8_t> symbols(static_cast<std::size_t>(tokens), 103);
                symbols[below(random, static_cast<std::uint32_t>(tokens))] = wrong;
                const RansRow row{&table, symbols.data()};
                for (const RansPath path : paths()) {
                    std::vector<std::byte> bytes;
                    QVERIFY(!RansEncoder().encode({&row, 1}, tokens, 1, {}, bytes, path));
                    QVERIFY(bytes.empty());
                }
            }
        }
        std::vector<std::byte> bytes;
        const std::uint8_t symbol = 100;
        const RansRow row{&table, &symbol};
        QVERIFY(!RansEncoder().encode({&row, 1}, 1, 3, {}, bytes));
        QVERIFY(!RansEncoder().encode({&row, 1}, -1, 1, {}, bytes));
        QVERIFY(!RansDecoder::open(bytes, 1, 0).has_value());
    }

    void bankHoldsTheDistributions() {
        const auto& bank = RansBank::instance();
        for (int index = 0; index < kRansClasses; ++index) {
            const auto which = RansClass::fromIndex(static_cast<std::uint8_t>(index));
            QCOMPARE(static_cast<int>(which.index()), index);
            const double sigma = std::exp2(which.scale / 4.0 - 3.5);
            const RansTable& table = bank.table(which);
            QVERIFY(table.has(kRansEscape) && table.has(kRansZero));
            QVERIFY(!table.isConstant());
            // Bits spent above the entropy of what the table has, for data of the distribution itself.
            double loss = 0;
            double outside = 1;
            for (int r = -127; r <= 127; ++r) {
                const double share =
                    probabilityBelow(which.shape, (r + 0.5) / sigma) - probabilityBelow(which.shape, (r - 0.5) / sigma);
                const int frequency = table.frequencies()[static_cast<std::size_t>(128 + r)];
                QCOMPARE(frequency > 0, std::abs(r) <= table.lastSymbol() - 128);
                QVERIFY(frequency > 0 || share < 0.13 / 4096);
                if (frequency > 0) {
                    loss += share * std::log2(share * 4096 / frequency);
                    outside -= share;
                }
            }
            loss += outside * std::log2(std::max(outside, 1e-9) * 4096 / table.frequencies()[kRansEscape]);
            // Student's long tails are many symbols of less than a slot each.
            QVERIFY2(loss > -1e-6 && loss < (which.shape == RansShape::Student ? 0.02 : 0.01),
                     qPrintable(QString("class %1: %2 bits").arg(index).arg(loss)));
        }
        const auto zero = bank.table({RansShape::Gaussian, 0}).costs()[kRansZero];
        QVERIFY2(zero < 0.002 * 65536, qPrintable(QString::number(zero)));
        QVERIFY(bank.table({RansShape::Gaussian, kRansScales - 1}).lastSymbol() == 255);
    }

    void bankIsTheSameEverywhere() {
        // From tests/golden/rans/bank.py, which computes the tables from their description.
        std::uint32_t sum = 0;
        for (int index = 0; index < kRansClasses; ++index) {
            const auto& table = RansBank::instance().table(RansClass::fromIndex(static_cast<std::uint8_t>(index)));
            for (const std::uint16_t frequency : table.frequencies())
                sum = sum * 31 + frequency;
        }
        QCOMPARE(sum, 52514968U);
    }

    void bankChoosesNearlyTheBest() {
        Random random(12);
        const auto& bank = RansBank::instance();
        constexpr std::uint32_t kEscapeCost = 20U << 16;
        double guessed = 0;
        double best = 0;
        for (int i = 0; i < 400; ++i) {
            const double sigma = std::exp2(below(random, 90) / 10.0 - 3.4);
            std::normal_distribution<double> normal(0, sigma);
            std::exponential_distribution<double> exponential(std::sqrt(2.0) / sigma);
            RansCounts counts{};
            for (int t = 0; t < 256; ++t) {
                const double value = i % 2 == 0 ? normal(random) : (random() % 2 == 0 ? 1 : -1) * exponential(random);
                const auto r = static_cast<int>(std::lround(value));
                ++counts[std::abs(r) > 127 ? kRansEscape : static_cast<std::size_t>(128 + r)];
            }
            std::uint64_t least = ~std::uint64_t{0};
            for (int index = 0; index < kRansClasses; ++index)
                least = std::min(
                    least, bank.costOf(RansClass::fromIndex(static_cast<std::uint8_t>(index)), counts, kEscapeCost));
            const auto chosen = bank.choose(counts, kEscapeCost);
            QCOMPARE(chosen.cost, bank.costOf(chosen.which, counts, kEscapeCost));
            QVERIFY(static_cast<double>(chosen.cost) <= 1.002 * static_cast<double>(least) + 65536);
            best += static_cast<double>(least) / 65536 / 256;
            guessed +=
                static_cast<double>(bank.costOf(bank.guess(momentsOf(counts)), counts, kEscapeCost)) / 65536 / 256;
        }
        QVERIFY2(guessed - best < 0.03 * 400, qPrintable(QString::number((guessed - best) / 400)));
        // What the reference says of steps of 2^(1/4): at most a few thousandths of a bit.
        const RansClass twenty{RansShape::Gaussian, 20};
        const RansClass next{RansShape::Gaussian, 21};
        const double own = bank.expectedCost(twenty, twenty, kEscapeCost) / 65536.0;
        const double step = bank.expectedCost(twenty, next, kEscapeCost) / 65536.0 - own;
        QVERIFY2(step > 0 && step < 0.06, qPrintable(QString::number(step)));
        // Entropy of a Gaussian of standard deviation 2^1.5: log2(sigma sqrt(2 pi e)).
        QVERIFY2(std::abs(own - (1.5 + 2.0471)) < 0.02, qPrintable(QString::number(own)));
    }

    void damageIsFoundOrHarmless() {
        Random random(11);
        int found = 0;
        for (int i = 0; i < 3000; ++i) {
            const Rows input(1 + below(random, 12), 1 + below(random, 200), random);
            const int streams = 1 << below(random, 3);
            std::vector<std::byte> bytes;
            QVERIFY(RansEncoder().encode(input.rows, input.tokens, streams, {}, bytes).has_value());
            const auto size = static_cast<std::uint32_t>(bytes.size());
            const bool cut = i % 3 == 0;
            if (cut)
                bytes.resize(below(random, size));
            else if (i % 3 == 1)
                bytes[below(random, size)] ^= static_cast<std::byte>(1 + below(random, 255));
            else
                bytes = randomBytes(below(random, size + 40), random);
            const std::vector<std::byte> exact(bytes.begin(), bytes.end());
            std::vector<std::vector<std::uint8_t>> results;
            for (const RansPath path : paths()) {
                std::vector<std::uint8_t> symbols;
                const auto out = input.outputs(symbols);
                const auto back = ransDecode(exact, out, input.tokens, streams, 0, path);
                QVERIFY(!(cut && back.has_value()));
                found += back ? 0 : 1;
                results.push_back(back ? symbols : std::vector<std::uint8_t>{});
                QVERIFY(results.back() == results.front());
            }
        }
        QVERIFY(found > 2500);
    }
};

QTEST_APPLESS_MAIN(TestRans)
#include "test_rans.moc"
