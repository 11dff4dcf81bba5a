// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/turn.h"
#include "tests/unit/codec_checks.h"

#include <QtTest>

using namespace kvscope;
using namespace kvscope::test;

class TestCodecLossless : public QObject {
    Q_OBJECT

private slots:
    void predictedValuesComeBackBitByBit();
    void keysBeforeRopeCompressBetterAsPredictor();
    void transformedValuesAreRoundedToTheirType();
    void turnsAgreeWithTheLibrary();
    void coderSizesFollowWhatTheyKnow();
};

void TestCodecLossless::predictedValuesComeBackBitByBit() {
    for (const auto pairing : {Rope::Pairing::HalfSplit, Rope::Pairing::Interleaved}) {
        Rope rope = Rope::plain(10000.0, 8, pairing);
        rope.attentionScale = 1.25;
        for (const Predictor predictor : {Predictor::ChannelMean, Predictor::Previous, Predictor::Anchor}) {
            for (const Transform transform : {Transform::None, Transform::RopeInverse}) {
                for (const EntropyCoder coder : kCoders) {
                    if (coder == EntropyCoder::GearDelta || coder == EntropyCoder::Kvz)
                        continue;
                    for (const DType dtype : {DType::F16, DType::BF16, DType::F32}) {
                        for (const Fill fill : kAllFills) {
                            Pipeline pipeline;
                            pipeline.predictor = predictor;
                            pipeline.transform = transform;
                            pipeline.coder = coder;
                            QVERIFY(validate(pipeline));
                            QVERIFY(pipeline.isLossless());
                            ChunkCase chunk = makeChunk(fill, dtype, 23, 2, 10);
                            chunk.shape.rope = &rope;
                            chunk.shape.plane.firstPosition = 100000;
                            std::vector<float> decoded;
                            std::vector<std::byte> native;
                            const auto name = label(pipeline, fill, dtype, {23, 2, 10});
                            const std::string wrong = roundTrip(pipeline, chunk, decoded, native);
                            QVERIFY2(wrong.empty(), name + ": " + wrong.c_str());
                            QVERIFY2(native == chunk.native, name);
                        }
                    }
                }
            }
        }
    }
    Pipeline pipeline;
    pipeline.predictor = Predictor::Previous;
    pipeline.coder = EntropyCoder::GearDelta;
    QVERIFY(!validate(pipeline));
    pipeline.coder = EntropyCoder::Gear;
    const auto refused = encodeChunk(pipeline, {}, makeChunk(Fill::Gaussian, DType::F64, 3, 1, 4).input());
    QVERIFY(!refused);
    QCOMPARE(refused.error().where, std::string("predictor"));
}

void TestCodecLossless::keysBeforeRopeCompressBetterAsPredictor() {
    // Keys whose channels keep their level before RoPE.
    const Rope rope = Rope::plain(10000.0, 16, Rope::Pairing::HalfSplit);
    ChunkCase chunk = makeChunk(Fill::OffsetChannels, DType::BF16, 256, 2, 16);
    chunk.shape.rope = &rope;
    for (std::size_t i = 0; i < chunk.values.size(); ++i)
        chunk.values[i] = (chunk.values[i] - std::rint(chunk.values[i] / 10) * 10) * 0.05F + float(i % 32) - 16.0F;
    rotate(rope, RopeDirection::Apply, chunk.shape.plane, chunk.shape.tokens, chunk.values);
    convertFromFloat(DType::BF16, chunk.values, chunk.native);
    convertToFloat(DType::BF16, chunk.native, chunk.values);
    const auto bytesOf = [&](Transform transform, Predictor predictor) {
        Pipeline pipeline;
        pipeline.transform = transform;
        pipeline.predictor = predictor;
        pipeline.coder = EntropyCoder::Gear;
        const auto encoded = encodeChunk(pipeline, {}, chunk.input());
        return encoded ? encoded->bytes.size() : 0;
    };
    const auto plain = bytesOf(Transform::None, Predictor::None);
    const auto mean = bytesOf(Transform::None, Predictor::ChannelMean);
    const auto undone = bytesOf(Transform::RopeInverse, Predictor::ChannelMean);
    QVERIFY(undone > 0);
    QVERIFY2(undone * 10 < plain * 9, QByteArray::number(qulonglong(undone)));
    QVERIFY(undone < mean);
}

void TestCodecLossless::transformedValuesAreRoundedToTheirType() {
    const Rope rope = Rope::plain(10000.0, 16, Rope::Pairing::Interleaved);
    for (const Transform transform : {Transform::RopeInverse, Transform::Hadamard}) {
        for (const EntropyCoder coder : kCoders) {
            for (const Fill fill : {Fill::Gaussian, Fill::Specials, Fill::Zeros}) {
                Pipeline pipeline;
                pipeline.transform = transform;
                pipeline.coder = coder;
                QVERIFY(!pipeline.isLossless());
                ChunkCase chunk = makeChunk(fill, DType::F16, 21, 2, 16);
                chunk.shape.rope = &rope;
                std::vector<float> decoded;
                std::vector<std::byte> native;
                const auto name = label(pipeline, fill, DType::F16, {21, 2, 16});
                const std::string wrong = roundTrip(pipeline, chunk, decoded, native);
                QVERIFY2(wrong.empty(), name + ": " + wrong.c_str());
                checkBounded(chunk, decoded, native, name, [](std::size_t) { return 16.0 * 4 * 0x1p-11; });
            }
        }
    }
}

void TestCodecLossless::turnsAgreeWithTheLibrary() {
    for (double angle = -30; angle < 3e6; angle += 0.37 + std::fabs(angle) * 0.01) {
        const Turn turn = turnOf(angle);
        QVERIFY2(std::fabs(turn.cosine - std::cos(angle)) < 1e-9, QByteArray::number(angle, 'g', 17));
        QVERIFY2(std::fabs(turn.sine - std::sin(angle)) < 1e-9, QByteArray::number(angle, 'g', 17));
    }
}

void TestCodecLossless::coderSizesFollowWhatTheyKnow() {
    // Channels of different spread: a table for each beats one for all; contexts come close; none beats the entropy by
    // more than the context gives.
    const ChunkCase chunk = makeChunk(Fill::OffsetChannels, DType::F16, 256, 4, 16);
    Pipeline pipeline;
    pipeline.quantiser = MaxAbsBins{32};
    const auto encodedWith = [&](EntropyCoder coder) {
        pipeline.coder = coder;
        return encodeChunk(pipeline, {}, chunk.input());
    };
    const auto packed = encodedWith(EntropyCoder::Raw);
    const auto huffman = encodedWith(EntropyCoder::Huffman);
    const auto arithmetic = encodedWith(EntropyCoder::Arithmetic);
    const auto rans = encodedWith(EntropyCoder::ContextRans);
    const auto cabac = encodedWith(EntropyCoder::Cabac);
    QVERIFY(packed && huffman && arithmetic && rans && cabac);
    const double ideal = *arithmetic->entropyBits / 8;
    QVERIFY(std::fabs(double(arithmetic->parts[BytePart::Payload]) - ideal) < 12 + ideal * 0.002);
    QVERIFY(arithmetic->parts[BytePart::Tables] > 0);
    QVERIFY(arithmetic->parts[BytePart::Payload] < rans->parts[BytePart::Payload]);
    QVERIFY(rans->parts[BytePart::Payload] < huffman->parts[BytePart::Payload]);
    QVERIFY(huffman->parts[BytePart::Payload] < packed->parts[BytePart::Payload]);
    QCOMPARE(cabac->parts[BytePart::Tables], std::int64_t(0));
    QVERIFY(cabac->parts[BytePart::Payload] < huffman->parts[BytePart::Payload]);
    for (const auto* encoded : {&*huffman, &*arithmetic, &*rans, &*cabac}) {
        QCOMPARE(encoded->channelBits.size(), std::size_t(64));
        double bits = 0;
        for (const float channel : encoded->channelBits)
            bits += double(channel);
        QVERIFY(std::fabs(bits / 8 - double(encoded->parts[BytePart::Payload])) < 16 + bits / 8 * 0.003);
    }
}

QTEST_APPLESS_MAIN(TestCodecLossless)
#include "test_codec_lossless.moc"
