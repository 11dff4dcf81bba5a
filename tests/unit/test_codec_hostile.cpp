// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/unit/codec_checks.h"

#include <QtTest>

using namespace kvscope;
using namespace kvscope::test;

namespace {

/// Every quantiser with every coder, and lossless with and without a predictor.
std::vector<Pipeline> pipelines() {
    std::vector<Pipeline> all;
    const std::vector<Quantiser> quantisers{
        Lossless{},     MaxAbsBins{32}, Uniform{10}, Uniform{4, ScaleAxis::Channel, 8, false}, BlockNorm{}, Float8{},
        Kivi{2, 8, 16}, AnchorDelta{},  Step{0.45}};
    for (const Quantiser& quantiser : quantisers) {
        for (const EntropyCoder coder : kCoders) {
            Pipeline pipeline;
            pipeline.quantiser = quantiser;
            pipeline.coder = coder;
            all.push_back(pipeline);
        }
    }
    Pipeline predicted;
    predicted.predictor = Predictor::ChannelMean;
    predicted.coder = EntropyCoder::Cabac;
    all.push_back(predicted);
    return all;
}

bool isRaw(const Pipeline& pipeline) {
    return pipeline.isLossless() && pipeline.coder == EntropyCoder::Raw;
}

} // namespace

/// Damaged chunks: an error or other values, never a crash (run under the sanitizers as well).
class TestCodecHostile : public QObject {
    Q_OBJECT

private slots:
    void truncatedChunksAreRefused();
    void lengthenedChunksAreRefused();
    void damagedChunksAreSurvived();
    void randomBytesAreSurvived();
    void wrongSizesAreRefused();
};

void TestCodecHostile::truncatedChunksAreRefused() {
    const ChunkCase chunk = makeChunk(Fill::Specials, DType::F16, 29, 2, 8);
    for (const Pipeline& pipeline : pipelines()) {
        const auto calibration = calibrate(pipeline, chunk.shape, chunk.values);
        const auto encoded = encodeChunk(pipeline, calibration, chunk.input());
        QVERIFY(encoded);
        std::vector<float> out(chunk.values.size());
        for (std::size_t size = 0; size < encoded->bytes.size(); size += size < 64 ? 1 : 7) {
            const auto done =
                decodeChunk(pipeline, calibration, chunk.shape, std::span(encoded->bytes).first(size), out);
            QVERIFY2(!done, label(pipeline, Fill::Specials, DType::F16, {29, 2, 8}) + " cut at " +
                                QByteArray::number(qulonglong(size)));
            QVERIFY(!done.error().what.empty());
        }
    }
}

void TestCodecHostile::lengthenedChunksAreRefused() {
    const ChunkCase chunk = makeChunk(Fill::Gaussian, DType::BF16, 29, 2, 8);
    for (const Pipeline& pipeline : pipelines()) {
        const auto calibration = calibrate(pipeline, chunk.shape, chunk.values);
        auto encoded = encodeChunk(pipeline, calibration, chunk.input());
        QVERIFY(encoded);
        encoded->bytes.push_back(std::byte{0x55});
        std::vector<float> out(chunk.values.size());
        QVERIFY2(!decodeChunk(pipeline, calibration, chunk.shape, encoded->bytes, out),
                 label(pipeline, Fill::Gaussian, DType::BF16, {29, 2, 8}));
    }
}

void TestCodecHostile::damagedChunksAreSurvived() {
    const ChunkCase chunk = makeChunk(Fill::Specials, DType::F16, 29, 2, 8);
    std::mt19937 random(7);
    for (const Pipeline& pipeline : pipelines()) {
        const auto calibration = calibrate(pipeline, chunk.shape, chunk.values);
        const auto encoded = encodeChunk(pipeline, calibration, chunk.input());
        QVERIFY(encoded);
        std::vector<std::byte> native(chunk.native.size());
        std::vector<float> out(chunk.values.size());
        int refused = 0;
        for (int round = 0; round < 150; ++round) {
            auto bytes = encoded->bytes;
            for (unsigned flips = 1 + random() % 3; flips > 0; --flips) {
                // The front, where sizes and tables are, more often than the rest.
                const std::size_t reach = random() % 2 == 0 ? std::min<std::size_t>(bytes.size(), 24) : bytes.size();
                bytes[random() % reach] ^= static_cast<std::byte>(1U << random() % 8);
            }
            const bool first = decodeChunk(pipeline, calibration, chunk.shape, bytes, out).has_value();
            const bool second = decodeChunkNative(pipeline, calibration, chunk.shape, bytes, native).has_value();
            QCOMPARE(first, second);
            refused += first ? 0 : 1;
        }
        QVERIFY2(refused > 0 || isRaw(pipeline), label(pipeline, Fill::Specials, DType::F16, {29, 2, 8}));
    }
}

void TestCodecHostile::randomBytesAreSurvived() {
    const ChunkCase chunk = makeChunk(Fill::Gaussian, DType::F32, 5, 1, 8);
    std::mt19937 random(11);
    std::vector<float> out(chunk.values.size());
    for (const Pipeline& pipeline : pipelines()) {
        for (std::size_t size = 0; size < 200; size += 3) {
            std::vector<std::byte> bytes(size);
            for (auto& byte : bytes)
                byte = static_cast<std::byte>(random() % (size % 2 == 0 ? 256 : 4));
            const auto done = decodeChunk(pipeline, {}, chunk.shape, bytes, out);
            QVERIFY(done || !done.error().what.empty());
        }
    }
}

void TestCodecHostile::wrongSizesAreRefused() {
    const ChunkCase chunk = makeChunk(Fill::Gaussian, DType::F16, 5, 1, 8);
    Pipeline pipeline;
    auto input = chunk.input();
    input.values = input.values.first(39);
    QVERIFY(!encodeChunk(pipeline, {}, input));
    input = chunk.input();
    input.native = input.native.first(79);
    QVERIFY(!encodeChunk(pipeline, {}, input));
    std::vector<float> out(39);
    QVERIFY(!decodeChunk(pipeline, {}, chunk.shape, chunk.native, out));
    ChunkShape vast = chunk.shape;
    vast.plane.heads = std::int64_t{1} << 62;
    QVERIFY(!decodeChunk(pipeline, {}, vast, chunk.native, out));
}

QTEST_APPLESS_MAIN(TestCodecHostile)
#include "test_codec_hostile.moc"
