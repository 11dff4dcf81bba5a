// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/symbol_coder.h"

#include <QtTest>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

using namespace kvscope;

namespace {

using Symbols = std::vector<std::int32_t>;

/// Rounded normal numbers, each channel with a spread and an offset of its own.
Symbols normalPlane(std::int64_t tokens, std::int64_t channels, double spread, unsigned seed = 1) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    std::vector<double> spreads;
    std::vector<double> offsets;
    for (std::int64_t c = 0; c < channels; ++c) {
        spreads.push_back(spread * std::exp(0.4 * normal(random)));
        offsets.push_back(std::round(3 * spread * normal(random)));
    }
    Symbols plane;
    for (std::int64_t t = 0; t < tokens; ++t) {
        for (std::size_t c = 0; c < spreads.size(); ++c)
            plane.push_back(static_cast<std::int32_t>(std::lround(offsets[c] + spreads[c] * normal(random))));
    }
    return plane;
}

std::int64_t packedBytes(const Symbols& symbols) {
    const auto [least, most] = std::ranges::minmax(symbols);
    const int width = std::bit_width(static_cast<std::uint32_t>(most - least));
    return (static_cast<std::int64_t>(symbols.size()) * width + 7) / 8;
}

/// Encodes, checks the books, decodes, compares.
EncodedSymbols roundTrip(const Symbols& symbols, std::int64_t tokens, std::int64_t channels,
                         Predictor predictor = Predictor::Best) {
    SymbolOptions options;
    options.predictor = predictor;
    options.adaptiveBits = true;
    auto encoded = encodeSymbols(symbols, tokens, channels, options);
    if (!encoded) {
        QTest::qFail(encoded.error().message().c_str(), __FILE__, __LINE__);
        return {};
    }
    [&] {
        QCOMPARE(encoded->parts.total(), static_cast<std::int64_t>(encoded->bytes.size()));
        Symbols decoded(symbols.size(), 12345);
        const auto result = decodeSymbols(encoded->bytes, tokens, channels, std::span(decoded));
        QVERIFY2(result.has_value(), result ? "" : result.error().message().c_str());
        QVERIFY(decoded == symbols);
        if (!symbols.empty())
            QVERIFY(static_cast<std::int64_t>(encoded->bytes.size()) <= packedBytes(symbols) + 12);
    }();
    return std::move(*encoded);
}

} // namespace

class TestKvzSymbols : public QObject {
    Q_OBJECT

private slots:
    void awkwardShapes_data() {
        QTest::addColumn<int>("tokens");
        QTest::addColumn<int>("channels");
        for (const auto& [tokens, channels] : {std::pair{0, 4},
                                               {1, 1},
                                               {1, 7},
                                               {7, 1},
                                               {2, 3},
                                               {31, 5},
                                               {32, 33},
                                               {33, 32},
                                               {64, 17},
                                               {100, 1},
                                               {257, 13},
                                               {600, 40},
                                               {1, 1000},
                                               {1000, 1}}) {
            QTest::addRow("%dx%d", tokens, channels) << tokens << channels;
        }
    }
    void awkwardShapes() {
        QFETCH(const int, tokens);
        QFETCH(const int, channels);
        for (const double spread : {0.0, 0.2, 1.0, 5.0, 60.0, 3000.0, 1e6}) {
            for (const Predictor predictor :
                 {Predictor::None, Predictor::ChannelMean, Predictor::Previous, Predictor::Anchor, Predictor::Best})
                roundTrip(normalPlane(tokens, channels, spread), tokens, channels, predictor);
        }
    }

    void extremes() {
        std::mt19937 random(3);
        Symbols wild(37 * 9);
        for (auto& symbol : wild)
            symbol = static_cast<std::int32_t>(random() % (2U * kMostSymbol + 1)) - kMostSymbol;
        roundTrip(wild, 37, 9);
        Symbols rare = normalPlane(256, 64, 2);
        for (int i = 0; i < 20; ++i)
            rare[random() % rare.size()] = static_cast<std::int32_t>(random() % 2000000) - 1000000;
        roundTrip(rare, 256, 64);
        wild[5] = kMostSymbol + 1;
        QVERIFY(!encodeSymbols(wild, 37, 9));
        QVERIFY(!encodeSymbols(rare, 256, 63));
    }

    void sixteenBits() {
        const Symbols plane = normalPlane(64, 20, 100);
        const std::vector<std::int16_t> narrow(plane.begin(), plane.end());
        const auto encoded = encodeSymbols(narrow, 64, 20);
        QVERIFY(encoded.has_value());
        std::vector<std::int16_t> decoded(narrow.size());
        QVERIFY(decodeSymbols(encoded->bytes, 64, 20, std::span(decoded)).has_value());
        QVERIFY(decoded == narrow);
        QVERIFY(encoded->bytes == encodeSymbols(plane, 64, 20)->bytes);
    }

    /// Constant planes take next to nothing.
    void constant() {
        const auto encoded = roundTrip(Symbols(256 * 128, -77), 256, 128);
        QVERIFY(encoded.bytes.size() < 16);
        Symbols stripes(256 * 128);
        for (std::size_t i = 0; i < stripes.size(); ++i)
            stripes[i] = static_cast<std::int32_t>(i % 128) - 60;
        // A mean a channel, and nothing else.
        QVERIFY(roundTrip(stripes, 256, 128).bytes.size() < 300);
    }

    /// Within 1.02 of an ideal adaptive code for each channel, side information below 3 %.
    /// Channels that are all alike take no bits each.
    void alike() {
        const auto zeros = roundTrip(Symbols(std::size_t{300} * 1024), 300, 1024);
        QVERIFY2(zeros.bytes.size() < 64, qPrintable(QString::number(zeros.bytes.size())));
    }

    /// A text that repeats itself names one distance for all its rows.
    void repeatedAtOneDistance() {
        constexpr std::int64_t kRows = 256;
        constexpr std::int64_t kChannels = 64;
        constexpr std::size_t kPeriod = 40;
        Symbols plane = normalPlane(kRows, kChannels, 4);
        for (std::size_t i = kPeriod * kChannels; i < plane.size(); ++i)
            plane[i] = plane[i - kPeriod * kChannels];
        const auto repeated = roundTrip(plane, kRows, kChannels);
        const auto once = roundTrip(Symbols(plane.begin(), plane.begin() + kPeriod * kChannels), kPeriod, kChannels);
        // Naming a distance anew would take 216 rows 8 bits each.
        const auto more = static_cast<std::int64_t>(repeated.bytes.size() - once.bytes.size());
        QVERIFY2(more < 110, qPrintable(QString::number(more)));
    }

    void nearIdeal() {
        for (const double spread : {0.5, 1.0, 2.0, 4.0, 8.0}) {
            const auto encoded = roundTrip(normalPlane(256, 256, spread), 256, 256);
            const double bits = 8.0 * static_cast<double>(encoded.bytes.size());
            QVERIFY2(bits < 1.02 * encoded.adaptiveBits, qPrintable(QString::number(bits / encoded.adaptiveBits)));
            const double tables = 8.0 * static_cast<double>(encoded.parts[BytePart::Tables]);
            QVERIFY2(tables < 0.03 * bits, qPrintable(QString::number(tables / bits)));
            const double channels = std::accumulate(encoded.channelBits.begin(), encoded.channelBits.end(), 0.0);
            QVERIFY(std::abs(channels / bits - 1) < 0.04);
        }
    }

    /// Rows that repeat are found and cost nothing; rows that resemble each other cost less.
    void repeatedRows() {
        constexpr std::size_t kChannels = 64;
        const Symbols words = normalPlane(16, kChannels, 6);
        std::mt19937 random(5);
        Symbols same;
        Symbols alike;
        for (int t = 0; t < 256; ++t) {
            const std::size_t word = random() % 16;
            for (std::size_t c = 0; c < kChannels; ++c) {
                same.push_back(words[word * kChannels + c]);
                alike.push_back(words[word * kChannels + c] + static_cast<std::int32_t>(random() % 3) - 1);
            }
        }
        const auto once = roundTrip(words, 16, kChannels);
        const auto repeated = roundTrip(same, 256, kChannels);
        QVERIFY(repeated.bytes.size() < once.bytes.size() + 500);
        const auto best = roundTrip(alike, 256, kChannels);
        const auto mean = roundTrip(alike, 256, kChannels, Predictor::ChannelMean);
        QVERIFY(static_cast<double>(best.bytes.size()) < 0.75 * static_cast<double>(mean.bytes.size()));
    }

    /// Each channel gets the predictor that serves it.
    void predictors() {
        Symbols walk(256 * 32);
        std::mt19937 random(6);
        for (std::size_t i = 32; i < walk.size(); ++i)
            walk[i] = walk[i - 32] + static_cast<std::int32_t>(random() % 5) - 2;
        const auto best = roundTrip(walk, 256, 32);
        const auto previous = roundTrip(walk, 256, 32, Predictor::Previous);
        const auto mean = roundTrip(walk, 256, 32, Predictor::ChannelMean);
        QVERIFY(best.bytes.size() <= previous.bytes.size() + previous.bytes.size() / 50);
        QVERIFY(static_cast<double>(best.bytes.size()) < 0.7 * static_cast<double>(mean.bytes.size()));
    }

    /// Damaged bytes give errors or other symbols, never more than that; every error says what and where.
    void damaged() {
        std::mt19937 random(7);
        Symbols plane = normalPlane(96, 24, 3);
        for (std::size_t i = 0; i < 24; ++i)
            plane[50 * 24 + i] = plane[10 * 24 + i];
        plane[100] = 100000;
        for (const Predictor predictor : {Predictor::Best, Predictor::None}) {
            const auto encoded = roundTrip(plane, 96, 24, predictor);
            Symbols decoded(plane.size());
            for (std::size_t length = 0; length < encoded.bytes.size(); ++length) {
                const auto result = decodeSymbols(std::span(encoded.bytes).first(length), 96, 24, std::span(decoded));
                QVERIFY(!result);
                QVERIFY(!result.error().what.empty() && !result.error().where.empty());
            }
            for (int i = 0; i < 3000; ++i) {
                auto bytes = encoded.bytes;
                for (unsigned flips = random() % 4 + 1; flips > 0; --flips)
                    bytes[random() % bytes.size()] ^= static_cast<std::byte>(1U << random() % 8);
                const auto result = decodeSymbols(bytes, 96, 24, std::span(decoded));
                QVERIFY(result || !result.error().what.empty());
            }
        }
    }
};

QTEST_APPLESS_MAIN(TestKvzSymbols)
#include "test_kvz_symbols.moc"
