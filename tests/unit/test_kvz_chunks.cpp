// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/kvz_codec.h"
#include "core/codec/native_values.h"
#include "core/kv/convert.h"
#include "tests/unit/kvz_pipelines.h"

#include <QtTest>

#include <hwy/targets.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <vector>

using namespace kvscope;
using namespace kvscope::testing;

namespace {

enum class Content { Normal, Zeros, Constant, Odd, Repeating, AnyBits };

struct TestChunk {
    ChunkShape shape;
    std::vector<float> values;
    std::vector<std::byte> native;

    [[nodiscard]] ChunkInput input() const { return {shape, values, native}; }
};

TestChunk makeChunk(DType type, std::int64_t tokens, std::int64_t heads, std::int64_t headDim, Content content) {
    TestChunk chunk;
    chunk.shape.plane.heads = heads;
    chunk.shape.plane.headDim = headDim;
    chunk.shape.plane.tokens = tokens + 5;
    chunk.shape.plane.dtype = type;
    chunk.shape.tokens = tokenRange(5, 5 + tokens);
    const auto count = static_cast<std::size_t>(chunk.shape.values());
    const auto channels = static_cast<std::size_t>(heads * headDim);
    chunk.values.resize(count);
    chunk.native.resize(count * static_cast<std::size_t>(sizeOf(type)));
    std::mt19937 random(static_cast<unsigned>(tokens * 31 + headDim));
    std::normal_distribution<float> normal;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t token = i / channels;
        const std::size_t channel = i % channels;
        switch (content) {
        case Content::Zeros:
            break;
        case Content::Constant:
            chunk.values[i] = 0.25F * static_cast<float>(channel % 7) - 0.5F;
            break;
        case Content::Repeating:
            chunk.values[i] = std::sin(static_cast<float>((token % 4) * 100 + channel));
            break;
        default:
            chunk.values[i] = normal(random) * (channel % 5 == 0 ? 4.0F : 0.3F) + (channel % 9 == 0 ? 20.0F : 0.0F);
        }
    }
    if (content == Content::AnyBits) {
        for (auto& byte : chunk.native)
            byte = static_cast<std::byte>(random());
    } else {
        toNative(type, chunk.values, chunk.native);
    }
    if (content == Content::Odd && type != DType::I8 && type != DType::U8 && type != DType::F8E4M3) {
        const std::array odd{std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                             -std::numeric_limits<float>::infinity(), -0.0F, 3.0e4F};
        const auto size = static_cast<std::size_t>(sizeOf(type));
        for (std::size_t i = 0; i < odd.size() && i < count; ++i) {
            const std::size_t at = (i * 7919) % count;
            if (type == DType::F8E5M2)
                chunk.native[at] = static_cast<std::byte>(0x7C + i);
            else
                convertFromFloat(type, std::span(odd).subspan(i, 1), std::span(chunk.native).subspan(at * size, size));
        }
    }
    convertToFloat(type, chunk.native, chunk.values);
    return chunk;
}

/// Rms about the channels' means, over finite values.
float centredRms(const std::vector<float>& values, std::size_t channels) {
    double energy = 0;
    for (std::size_t c = 0; c < channels; ++c) {
        double sum = 0;
        double squares = 0;
        double count = 0;
        for (std::size_t i = c; i < values.size(); i += channels) {
            if (!std::isfinite(values[i]))
                continue;
            sum += values[i];
            squares += static_cast<double>(values[i]) * values[i];
            ++count;
        }
        energy += count > 0 ? std::max(0.0, squares - sum * sum / count) : 0.0;
    }
    return static_cast<float>(std::sqrt(energy / static_cast<double>(std::max<std::size_t>(values.size(), 1))));
}

Pipeline lossless() {
    Pipeline pipeline;
    pipeline.coder = EntropyCoder::Kvz;
    return pipeline;
}

bool sameBits(float a, float b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

/// Encodes and decodes a chunk on every instruction set and compares.
void sameOnAll(const TestChunk& chunk) {
    PlaneCalibration calibration;
    calibration.centredRms = 2;
    for (const Pipeline& pipeline : {kvzSteps(0.3), kvzSteps(0.02), lossless()}) {
        std::vector<std::byte> bytes;
        std::vector<std::byte> values;
        for (std::int64_t targets = hwy::SupportedTargets(); targets != 0; targets &= targets - 1) {
            hwy::SetSupportedTargetsForTest(targets & -targets);
            const auto encoded = encodeKvzChunk(pipeline, calibration, chunk.input());
            std::vector<std::byte> native(chunk.native.size());
            const bool good =
                encoded && decodeKvzChunkNative(pipeline, calibration, chunk.shape, encoded->bytes, native);
            hwy::SetSupportedTargetsForTest(0);
            QVERIFY(good);
            if (bytes.empty()) {
                bytes = encoded->bytes;
                values = native;
            }
            QVERIFY(encoded->bytes == bytes);
            QVERIFY(native == values);
        }
    }
}

} // namespace

class TestKvzChunks : public QObject {
    Q_OBJECT

private slots:
    void entropyIsKnownChannelByChannel() {
        const TestChunk chunk = makeChunk(DType::F32, 256, 2, 8, Content::Normal);
        Pipeline pipeline = kvzSteps(0.5);
        pipeline.predictor = Predictor::None;
        PlaneCalibration calibration;
        calibration.centredRms = 1;
        const auto encoded = encodeKvzChunk(pipeline, calibration, chunk.input());
        QVERIFY(encoded);
        QCOMPARE(encoded->channelEntropyBits.size(), std::size_t{16});
        for (std::size_t c = 0; c < 16; ++c) {
            std::map<long, int> counts;
            for (std::size_t t = 0; t < 256; ++t)
                ++counts[std::lrint(chunk.values[t * 16 + c] / 0.5F)];
            double bits = 0;
            for (const auto& [symbol, count] : counts)
                bits -= count * std::log2(count / 256.0);
            // Symbols of channels with larger numbers lose their low bits, which are stored as they are.
            const bool shifted = c % 9 == 0;
            const auto reported = static_cast<double>(encoded->channelEntropyBits[c]);
            QVERIFY2(shifted ? reported > bits : std::abs(reported - bits) < 0.01,
                     qPrintable(QString::number(reported - bits)));
        }
        const auto exact = encodeKvzChunk(lossless(), {}, chunk.input());
        QVERIFY(exact);
        QCOMPARE(exact->channelEntropyBits.size(), std::size_t{16});
        QVERIFY(std::abs(std::accumulate(exact->channelEntropyBits.begin(), exact->channelEntropyBits.end(), 0.0) -
                         *exact->entropyBits) < 1);
    }
    void everything_data() {
        QTest::addColumn<int>("type");
        QTest::addColumn<int>("content");
        for (const DType type :
             {DType::F64, DType::F32, DType::F16, DType::BF16, DType::F8E4M3, DType::F8E5M2, DType::I8, DType::U8}) {
            for (const Content content : {Content::Normal, Content::Zeros, Content::Constant, Content::Odd,
                                          Content::Repeating, Content::AnyBits})
                QTest::addRow("%s %d", std::string(nameOf(type)).c_str(), static_cast<int>(content))
                    << static_cast<int>(type) << static_cast<int>(content);
        }
    }
    void everything() {
        QFETCH(const int, type);
        QFETCH(const int, content);
        for (const auto& [tokens, heads, headDim] :
             {std::array{1, 1, 1}, {1, 3, 5}, {9, 1, 1}, {33, 2, 8}, {70, 1, 13}, {0, 2, 4}}) {
            const TestChunk chunk =
                makeChunk(static_cast<DType>(type), tokens, heads, headDim, static_cast<Content>(content));
            checkLossless(chunk);
            for (const double step : {0.02, 0.5, 3.0}) {
                checkLossy(chunk, kvzSteps(step));
                if (headDim == 8)
                    checkLossy(chunk, kvzSteps(step, Transform::Hadamard));
            }
        }
    }

    void ropeUndone() {
        TestChunk chunk = makeChunk(DType::F16, 128, 2, 16, Content::Odd);
        const Rope rope = Rope::plain(10000, 16, Rope::Pairing::HalfSplit);
        chunk.shape.rope = &rope;
        checkLossy(chunk, kvzSteps(0.4, Transform::RopeInverse));
        chunk.shape.rope = nullptr;
        const auto refused = encodeKvzChunk(kvzSteps(0.4, Transform::RopeInverse), {}, chunk.input());
        QVERIFY(!refused);
    }

    /// The transform that saves bytes is found: constant channels before the rotation, or after it.
    void transformChosen() {
        const Rope rope = Rope::plain(10000, 16, Rope::Pairing::HalfSplit);
        TestChunk chunk = makeChunk(DType::F32, 256, 2, 16, Content::Normal);
        chunk.shape.rope = &rope;
        QCOMPARE(chooseTransform(chunk.shape, chunk.values, 0.3), Transform::None);
        rotate(rope, RopeDirection::Apply, chunk.shape.plane, chunk.shape.tokens, chunk.values);
        QCOMPARE(chooseTransform(chunk.shape, chunk.values, 0.3), Transform::RopeInverse);
        chunk.shape.kind = PlaneKind::Value;
        QCOMPARE(chooseTransform(chunk.shape, chunk.values, 0.3), Transform::None);
    }

    /// What the format promises for normal numbers.
    void gaussianRatios() {
        for (const auto& [type, least] : {std::pair{DType::BF16, 1.50}, {DType::F16, 1.18}}) {
            TestChunk chunk = makeChunk(type, 256, 4, 64, Content::Zeros);
            std::mt19937 random(11);
            std::normal_distribution<float> normal;
            for (float& value : chunk.values)
                value = normal(random);
            toNative(type, chunk.values, chunk.native);
            const auto encoded = encodeKvzChunk(lossless(), {}, chunk.input());
            QVERIFY(encoded.has_value());
            const double ratio = static_cast<double>(chunk.native.size()) / static_cast<double>(encoded->bytes.size());
            QVERIFY2(ratio >= least, qPrintable(QString::number(ratio)));
        }
    }

    /// Steps are what the errors follow: half a step at most, a twelfth of its square on average.
    void errorFollowsStep() {
        const TestChunk chunk = makeChunk(DType::F32, 256, 2, 64, Content::Normal);
        const float rms = centredRms(chunk.values, 128);
        double before = 0;
        for (const double step : {0.1, 0.2, 0.4, 0.8}) {
            PlaneCalibration calibration;
            calibration.centredRms = rms;
            const auto encoded = encodeKvzChunk(kvzSteps(step), calibration, chunk.input());
            QVERIFY(encoded.has_value());
            std::vector<float> decoded(chunk.values.size());
            QVERIFY(decodeKvzChunk(kvzSteps(step), calibration, chunk.shape, encoded->bytes, decoded).has_value());
            double squares = 0;
            for (std::size_t i = 0; i < decoded.size(); ++i)
                squares += std::pow(static_cast<double>(decoded[i]) - chunk.values[i], 2);
            const double error = std::sqrt(squares / static_cast<double>(decoded.size()));
            QVERIFY(error < 1.1 * step * rms / std::sqrt(12.0));
            QVERIFY(error > before);
            before = error;
        }
    }

    /// Every instruction set makes the same bytes and the same values.
    void instructionSets() {
        for (const DType type : {DType::F16, DType::BF16, DType::F32}) {
            for (const Content content : {Content::Normal, Content::Repeating, Content::Odd}) {
                // Rows that no vector divides.
                sameOnAll(makeChunk(type, 150, 3, 49, content));
                if (QTest::currentTestFailed())
                    return;
            }
            // So many values that samples of them decide, and channels of whole vectors.
            sameOnAll(makeChunk(type, 256, 2, 150, Content::Normal));
            if (QTest::currentTestFailed())
                return;
        }
    }

    void damaged_data() {
        QTest::addColumn<bool>("keep");
        QTest::newRow("lossless") << true;
        QTest::newRow("steps") << false;
    }
    void damaged() {
        QFETCH(const bool, keep);
        const TestChunk chunk = makeChunk(DType::F16, 40, 2, 8, Content::Odd);
        const Pipeline pipeline = keep ? lossless() : kvzSteps(0.3);
        PlaneCalibration calibration;
        calibration.centredRms = centredRms(chunk.values, 16);
        const auto encoded = encodeKvzChunk(pipeline, calibration, chunk.input());
        QVERIFY(encoded.has_value());
        std::vector<float> decoded(chunk.values.size());
        for (std::size_t length = 0; length < encoded->bytes.size(); ++length) {
            const auto result =
                decodeKvzChunk(pipeline, calibration, chunk.shape, std::span(encoded->bytes).first(length), decoded);
            QVERIFY(!result);
            QVERIFY(!result.error().what.empty() && !result.error().where.empty());
        }
        std::mt19937 random(9);
        for (int i = 0; i < 3000; ++i) {
            auto bytes = encoded->bytes;
            for (unsigned flips = random() % 4 + 1; flips > 0; --flips)
                bytes[random() % bytes.size()] ^= static_cast<std::byte>(1U << random() % 8);
            const auto result = decodeKvzChunk(pipeline, calibration, chunk.shape, bytes, decoded);
            QVERIFY(result || !result.error().what.empty());
        }
    }

private:
    static void checkLossless(const TestChunk& chunk) {
        const auto encoded = encodeKvzChunk(lossless(), {}, chunk.input());
        QVERIFY2(encoded.has_value(), encoded ? "" : encoded.error().message().c_str());
        QCOMPARE(encoded->parts.total(), static_cast<std::int64_t>(encoded->bytes.size()));
        QVERIFY(encoded->bytes.size() <= chunk.native.size() + 2);
        std::vector<std::byte> native(chunk.native.size(), std::byte{0xA5});
        const auto result = decodeKvzChunkNative(lossless(), {}, chunk.shape, encoded->bytes, native);
        QVERIFY2(result.has_value(), result ? "" : result.error().message().c_str());
        QVERIFY(native == chunk.native);
        std::vector<float> values(chunk.values.size());
        QVERIFY(decodeKvzChunk(lossless(), {}, chunk.shape, encoded->bytes, values).has_value());
        for (std::size_t i = 0; i < values.size(); ++i)
            QVERIFY(sameBits(values[i], chunk.values[i]));
    }

    /// NaN and infinities come back, finite values within half a step, or one and a half where trellises may be (turned
    /// pairs: of each of the two).
    static void checkLossy(const TestChunk& chunk, const Pipeline& pipeline) {
        PlaneCalibration calibration;
        calibration.centredRms = centredRms(chunk.values, static_cast<std::size_t>(chunk.shape.plane.channels()));
        if (!std::isfinite(calibration.centredRms))
            calibration.centredRms = 1;
        const auto encoded = encodeKvzChunk(pipeline, calibration, chunk.input());
        QVERIFY2(encoded.has_value(), encoded ? "" : encoded.error().message().c_str());
        QCOMPARE(encoded->parts.total(), static_cast<std::int64_t>(encoded->bytes.size()));
        std::vector<float> values(chunk.values.size());
        const auto result = decodeKvzChunk(pipeline, calibration, chunk.shape, encoded->bytes, values);
        QVERIFY2(result.has_value(), result ? "" : result.error().message().c_str());
        const double delta = std::get<Step>(pipeline.quantiser).step * calibration.centredRms;
        const double spreads = pipeline.transform == Transform::None ? 1.0
                               : pipeline.transform == Transform::RopeInverse
                                   ? std::sqrt(2.0)
                                   : std::sqrt(static_cast<double>(chunk.shape.plane.headDim));
        for (std::size_t i = 0; i < values.size(); ++i) {
            if (!std::isfinite(chunk.values[i])) {
                QVERIFY(sameBits(values[i], chunk.values[i]));
                continue;
            }
            const double bound = spreads * delta * (usesTrellises(pipeline) ? 1.5 : 0.5) * 1.001 +
                                 1e-5 * std::fabs(static_cast<double>(chunk.values[i])) + 1e-5 * delta * 64;
            QVERIFY2(std::fabs(static_cast<double>(values[i]) - chunk.values[i]) <= bound,
                     qPrintable(QString("%1 instead of %2, step %3").arg(values[i]).arg(chunk.values[i]).arg(delta)));
        }
        std::vector<std::byte> native(chunk.native.size());
        QVERIFY(decodeKvzChunkNative(pipeline, calibration, chunk.shape, encoded->bytes, native).has_value());
        std::vector<float> stored(values.size());
        convertToFloat(chunk.shape.plane.dtype, native, stored);
        for (std::size_t i = 0; i < values.size(); ++i)
            QVERIFY(std::isnan(values[i]) == std::isnan(stored[i]));
    }
};

QTEST_APPLESS_MAIN(TestKvzChunks)
#include "test_kvz_chunks.moc"
