// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/kvz_lossless.h"
#include "core/codec/kvz_pairs.h"

#include <QtTest>

#include <hwy/targets.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

using namespace kvscope;

namespace {

constexpr std::byte kPairsForm{3};

struct Words {
    std::int64_t tokens;
    std::int64_t channels;
    std::vector<std::uint16_t> values;

    [[nodiscard]] ChunkShape shape() const {
        ChunkShape shape;
        shape.kind = PlaneKind::Value;
        shape.plane.heads = 1;
        shape.plane.headDim = channels;
        shape.plane.tokens = tokens;
        shape.plane.dtype = DType::BF16;
        shape.tokens = tokenRange(0, tokens);
        return shape;
    }
    [[nodiscard]] std::span<const std::byte> native() const { return std::as_bytes(std::span(values)); }
};

std::uint16_t topHalf(float value) {
    return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16);
}

/// Gaussian channels whose scales lie many octaves apart.
Words gaussian(std::int64_t tokens, std::int64_t channels) {
    Words words{tokens, channels, {}};
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    std::vector<float> scales;
    for (std::int64_t c = 0; c < channels; ++c)
        scales.push_back(std::exp2(3 * normal(random)));
    for (std::int64_t i = 0; i < tokens * channels; ++i)
        words.values.push_back(topHalf(normal(random) * scales[static_cast<std::size_t>(i % channels)]));
    return words;
}

/// What can stand in a value beside ordinary numbers.
Words withOddValues() {
    Words words = gaussian(260, 128);
    const std::array<std::uint16_t, 10> odd{0x0000, 0x8000, 0x7F80, 0xFF80, 0x7FC1,
                                            0xFFFF, 0x0001, 0x807F, 0x7F7F, 0x0080};
    for (std::size_t i = 0; i < words.values.size(); i += 97)
        words.values[i] = odd[i / 97 % odd.size()];
    return words;
}

std::vector<std::byte> encoded(const Words& words) {
    const auto chunk = encodeKvzLossless(words.shape(), words.native(), true);
    return chunk ? chunk->bytes : std::vector<std::byte>();
}

std::vector<std::byte> decoded(const Words& words, std::span<const std::byte> bytes) {
    std::vector<std::byte> out(words.native().size());
    return decodeKvzLossless(words.shape(), bytes, out) ? out : std::vector<std::byte>();
}

bool same(const Words& words, const std::vector<std::byte>& out) {
    return out.size() == words.native().size() && std::memcmp(out.data(), words.values.data(), out.size()) == 0;
}

} // namespace

class TestKvzPairs : public QObject {
    Q_OBJECT

private slots:
    void everyBitComesBack();
    void sizesAreNearTheBound();
    void otherGeometriesTakeAnotherForm();
    void everyInstructionSetMakesTheSameBytes();
    void bitsAddUp();
    void damagedBytesAreRefusedOrDecodeToSomething();
};

void TestKvzPairs::everyBitComesBack() {
    Words twins = gaussian(256, 64);
    for (std::size_t t = 3; t < 256; t += 5)
        std::copy_n(twins.values.begin(), 64, twins.values.begin() + static_cast<std::ptrdiff_t>(64 * t));
    for (const Words& words : {gaussian(256, 1024), gaussian(257, 64), gaussian(33, 576), withOddValues(), twins}) {
        std::vector<std::uint32_t> none(static_cast<std::size_t>(words.tokens));
        std::iota(none.begin(), none.end(), 0U);
        const auto pairs = encodePairs(words.shape(), words.native(), none, false);
        QVERIFY(pairs && pairs->has_value());
        std::vector<std::byte> out(words.native().size());
        QVERIFY(decodePairs(words.shape(), (*pairs)->chunk.bytes, out));
        QVERIFY(same(words, out));
        QVERIFY(same(words, decoded(words, encoded(words))));
    }
}

void TestKvzPairs::sizesAreNearTheBound() {
    // 10.46 bits is what independent Gaussian values hold (FORMAT.md gives all parts of the rest).
    const Words words = gaussian(256, 1024);
    const auto bytes = encoded(words);
    QCOMPARE(bytes.front(), kPairsForm);
    QVERIFY(static_cast<double>(words.native().size()) / static_cast<double>(bytes.size()) >= 1.5);
}

void TestKvzPairs::otherGeometriesTakeAnotherForm() {
    for (const Words& words : {gaussian(256, 63), gaussian(8, 64), Words{256, 64, std::vector<std::uint16_t>(16384)}}) {
        const auto bytes = encoded(words);
        QVERIFY(bytes.front() != kPairsForm);
        QVERIFY(same(words, decoded(words, bytes)));
    }
    std::vector<std::byte> bytes = encoded(gaussian(256, 128));
    QCOMPARE(bytes.front(), kPairsForm);
    QVERIFY(decoded(gaussian(256, 63), bytes).empty());
}

void TestKvzPairs::everyInstructionSetMakesTheSameBytes() {
    const Words words = withOddValues();
    const auto expected = encoded(words);
    for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
        hwy::SetSupportedTargetsForTest(target);
        const auto bytes = encoded(words);
        const auto out = decoded(words, expected);
        hwy::SetSupportedTargetsForTest(0);
        QVERIFY2(bytes == expected, hwy::TargetName(target));
        QVERIFY2(same(words, out), hwy::TargetName(target));
    }
}

void TestKvzPairs::bitsAddUp() {
    const Words words = gaussian(256, 256);
    const auto chunk = encodeKvzLossless(words.shape(), words.native(), true);
    QVERIFY(chunk);
    QCOMPARE(chunk->bytes.front(), kPairsForm);
    const auto bytes = static_cast<std::int64_t>(chunk->bytes.size());
    std::int64_t parts = 0;
    for (const BytePart part : kAllByteParts)
        parts += chunk->parts[part];
    QCOMPARE(parts, bytes);
    const double spent = std::accumulate(chunk->channelBits.begin(), chunk->channelBits.end(), 0.0) / 8;
    QVERIFY(std::fabs(spent / static_cast<double>(bytes) - 1) < 0.01);
    QVERIFY(*chunk->entropyBits / 8 < static_cast<double>(bytes));
}

void TestKvzPairs::damagedBytesAreRefusedOrDecodeToSomething() {
    const Words words = withOddValues();
    const auto bytes = encoded(words);
    std::mt19937 random(3);
    for (int round = 0; round < 400; ++round) {
        std::vector<std::byte> damaged = bytes;
        for (int i = 0; i < 3; ++i)
            damaged[random() % std::min<std::size_t>(damaged.size(), round % 2 == 0 ? 400 : damaged.size())] =
                static_cast<std::byte>(random());
        std::vector<std::byte> out(words.native().size());
        static_cast<void>(decodeKvzLossless(words.shape(), damaged, out));
    }
    for (std::size_t size = 0; size < bytes.size(); size += size < 500 ? 1 : 997) {
        std::vector<std::byte> out(words.native().size());
        QVERIFY(!decodeKvzLossless(words.shape(), std::span(bytes).first(size), out));
    }
}

QTEST_APPLESS_MAIN(TestKvzPairs)
#include "test_kvz_pairs.moc"
