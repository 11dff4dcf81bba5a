// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/scale_format.h"
#include "tests/unit/codec_cases.h"

#include <QtTest>

using namespace kvscope;
using namespace kvscope::test;

namespace {

constexpr std::array kCoders{EntropyCoder::Raw,         EntropyCoder::Zlib, EntropyCoder::Lz4,      EntropyCoder::Zstd,
                             EntropyCoder::ShuffleZstd, EntropyCoder::Gear, EntropyCoder::GearDelta};
constexpr std::array kDtypes{DType::F64,    DType::F32,    DType::F16, DType::BF16,
                             DType::F8E4M3, DType::F8E5M2, DType::I8,  DType::U8};

struct Shape {
    std::int64_t tokens;
    std::int64_t heads;
    std::int64_t headDim;
};
constexpr std::array kShapes{Shape{1, 1, 1},  Shape{1, 2, 8},   Shape{7, 1, 1},
                             Shape{33, 3, 5}, Shape{64, 2, 16}, Shape{131, 1, 32}};

QByteArray label(const Pipeline& pipeline, Fill fill, DType dtype, const Shape& shape) {
    return QByteArray::fromStdString(describe(pipeline) + " fill " + std::to_string(static_cast<int>(fill)) + " " +
                                     std::string(nameOf(dtype)) + " " + std::to_string(shape.tokens) + "x" +
                                     std::to_string(shape.heads) + "x" + std::to_string(shape.headDim));
}

/// Calls check(chunk, decoded, native, name) for a pipeline with every dtype, fill and geometry, coded raw; the other
/// coders must then decode to the same values.
template <class Check> void forAll(Pipeline pipeline, const Check& check) {
    for (const DType dtype : kDtypes) {
        for (const Fill fill : kAllFills) {
            for (const Shape& shape : kShapes) {
                const ChunkCase chunk = makeChunk(fill, dtype, shape.tokens, shape.heads, shape.headDim);
                std::vector<float> decoded;
                std::vector<std::byte> native;
                // Symbols do not depend on the dtype, but what lossless coders see does.
                const bool allCoders = pipeline.isLossless() || dtype == DType::F16;
                for (const EntropyCoder coder : std::span(kCoders).first(allCoders ? kCoders.size() : 1)) {
                    pipeline.coder = coder;
                    std::vector<float> again;
                    std::vector<std::byte> nativeAgain;
                    const std::string wrong = roundTrip(pipeline, chunk, again, nativeAgain);
                    QVERIFY2(wrong.empty(), label(pipeline, fill, dtype, shape) + ": " + wrong.c_str());
                    if (coder == EntropyCoder::Raw) {
                        check(chunk, again, nativeAgain, label(pipeline, fill, dtype, shape));
                        if (QTest::currentTestFailed())
                            return;
                        decoded = again;
                        native = nativeAgain;
                    }
                    QVERIFY2(nativeAgain == native, label(pipeline, fill, dtype, shape));
                    QVERIFY2(std::memcmp(again.data(), decoded.data(), again.size() * sizeof(float)) == 0,
                             label(pipeline, fill, dtype, shape));
                }
            }
        }
    }
}

/// Half a unit in the last place of what decodeChunkNative rounds to, relative to the value, and absolutely.
double roundingOf(DType dtype, double value) {
    switch (dtype) {
    case DType::F16:
        return std::fabs(value) * 0x1p-11 + 0x1p-25;
    case DType::BF16:
        return std::fabs(value) * 0x1p-8 + 1e-40;
    case DType::F8E4M3:
        return std::fabs(value) * 0x1p-4 + 0x1p-10;
    case DType::F8E5M2:
        return std::fabs(value) * 0x1p-3 + 0x1p-17;
    case DType::I8:
    case DType::U8:
        return 0.5;
    default:
        return std::fabs(value) * 0x1p-24;
    }
}

/// Checks values against a bound on each, in float32 and in the dump's dtype, and that the rest keeps its bits.
template <class Bound>
void checkBounded(const ChunkCase& chunk, const std::vector<float>& decoded, const std::vector<std::byte>& native,
                  const QByteArray& name, const Bound& boundOf) {
    const auto size = static_cast<std::size_t>(sizeOf(chunk.shape.plane.dtype));
    std::vector<float> rounded(decoded.size());
    convertToFloat(chunk.shape.plane.dtype, native, rounded);
    for (std::size_t i = 0; i < decoded.size(); ++i) {
        const float value = chunk.values[i];
        const auto at = [&] {
            return name + " value " + QByteArray::number(qulonglong(i)) + ": " + QByteArray::number(value) +
                   " became " + QByteArray::number(decoded[i]) + " and " + QByteArray::number(rounded[i]);
        };
        if (isSpecial(value)) {
            if (std::memcmp(&native[i * size], &chunk.native[i * size], size) != 0 ||
                std::memcmp(&decoded[i], &value, sizeof value) != 0)
                QFAIL(at());
            continue;
        }
        const double bound = boundOf(i);
        const double coarser = bound + roundingOf(chunk.shape.plane.dtype, std::fabs(double(value)) + bound);
        if (!(std::fabs(double(decoded[i]) - double(value)) <= bound) ||
            !(std::fabs(double(rounded[i]) - double(value)) <= coarser))
            QFAIL(at() + ", bound " + QByteArray::number(bound));
    }
}

/// Magnitudes that lossy methods work on.
float workedMagnitude(float value) {
    return std::fabs(value) <= 0x1p100F ? std::fabs(value) : 0.0F;
}

} // namespace

class TestCodecRoundtrip : public QObject {
    Q_OBJECT

private slots:
    void losslessKeepsEveryBit();
    void binsStayWithinHalfAStep_data();
    void binsStayWithinHalfAStep();
    void uniformStaysWithinHalfAScale_data();
    void uniformStaysWithinHalfAScale();
    void clippingMovesOnlyWhatLiesBeyond();
    void transformsThatDoNotFitAreRefused();
};

void TestCodecRoundtrip::losslessKeepsEveryBit() {
    forAll(Pipeline{}, [](const ChunkCase& chunk, const std::vector<float>& decoded,
                          const std::vector<std::byte>& native, const QByteArray& name) {
        QVERIFY2(native == chunk.native, name);
        QVERIFY2(std::memcmp(decoded.data(), chunk.values.data(), decoded.size() * sizeof(float)) == 0, name);
    });
}

void TestCodecRoundtrip::binsStayWithinHalfAStep_data() {
    QTest::addColumn<int>("bins");
    for (const int bins : {4, 12, 13, 16, 32, 256})
        QTest::addRow("%d bins", bins) << bins;
}

void TestCodecRoundtrip::binsStayWithinHalfAStep() {
    QFETCH(const int, bins);
    Pipeline pipeline;
    pipeline.quantiser = MaxAbsBins{bins};
    forAll(pipeline, [bins](const ChunkCase& chunk, const std::vector<float>& decoded,
                            const std::vector<std::byte>& native, const QByteArray& name) {
        const auto channels = static_cast<std::size_t>(chunk.shape.plane.channels());
        checkBounded(chunk, decoded, native, name, [&](std::size_t i) {
            if (std::fabs(chunk.values[i]) > 0x1p100F)
                return 0.0;
            float largest = 0;
            for (std::size_t at = i - i % channels; at < i - i % channels + channels; ++at)
                largest = std::max(largest, workedMagnitude(chunk.values[at]));
            return 0.5001 * double(largest) / (bins / 2 - 1) + 1e-36;
        });
    });
}

void TestCodecRoundtrip::uniformStaysWithinHalfAScale_data() {
    QTest::addColumn<int>("bits");
    QTest::addColumn<int>("axis");
    QTest::addColumn<int>("group");
    QTest::addColumn<bool>("symmetric");
    for (const int bits : {2, 4, 8, 10, 16}) {
        for (const bool symmetric : {true, false}) {
            for (const ScaleAxis axis : {ScaleAxis::Token, ScaleAxis::Channel, ScaleAxis::Head, ScaleAxis::Plane})
                QTest::addRow("%d bit axis %d %s", bits, int(axis), symmetric ? "symmetric" : "zero point")
                    << bits << int(axis) << 0 << symmetric;
        }
    }
    QTest::newRow("int4 groups of 4 along tokens") << 4 << int(ScaleAxis::Token) << 4 << true;
    QTest::newRow("int4 groups of 32 along channels") << 4 << int(ScaleAxis::Channel) << 32 << false;
    QTest::newRow("one bit") << 1 << int(ScaleAxis::Token) << 32 << false;
}

void TestCodecRoundtrip::uniformStaysWithinHalfAScale() {
    QFETCH(const int, bits);
    QFETCH(const int, axis);
    QFETCH(const int, group);
    QFETCH(const bool, symmetric);
    Pipeline pipeline;
    pipeline.quantiser = Uniform{bits, static_cast<ScaleAxis>(axis), group, symmetric};
    forAll(pipeline, [&](const ChunkCase& chunk, const std::vector<float>& decoded,
                         const std::vector<std::byte>& native, const QByteArray& name) {
        const auto channels = static_cast<std::size_t>(chunk.shape.plane.channels());
        const auto headDim = static_cast<std::size_t>(chunk.shape.plane.headDim);
        const auto sameGroup = [&](std::size_t a, std::size_t b) {
            const auto step = static_cast<std::size_t>(group > 0 ? group : 1 << 20);
            switch (static_cast<ScaleAxis>(axis)) {
            case ScaleAxis::Token:
                return a / channels == b / channels && a % channels / step == b % channels / step;
            case ScaleAxis::Head:
                return a / headDim == b / headDim && a % headDim / step == b % headDim / step;
            case ScaleAxis::Channel:
                return a % channels == b % channels && a / channels / step == b / channels / step;
            case ScaleAxis::Plane:
                break;
            }
            return true;
        };
        // The bound is that of the group, found once for each value that leads one.
        std::vector<double> bounds(chunk.values.size(), -1.0);
        for (std::size_t i = 0; i < bounds.size(); ++i) {
            if (bounds[i] >= 0)
                continue;
            float least = std::numeric_limits<float>::max();
            float most = -least;
            float largest = 0;
            for (std::size_t j = i; j < bounds.size(); ++j) {
                if (!sameGroup(i, j))
                    continue;
                const float value = std::fabs(chunk.values[j]) <= 0x1p100F ? chunk.values[j] : 0.0F;
                least = std::min(least, value);
                most = std::max(most, value);
                largest = std::max(largest, std::fabs(value));
            }
            const bool narrow = bits <= 8;
            // Scales and zero points of 16 bits are off by up to 2^-8 of their value (bfloat16).
            const double slack = narrow ? 0x1p-8 : 0x1p-22;
            double bound = 0;
            if (symmetric)
                bound = (0.5001 + slack) * double(largest) / ((1 << (bits - 1)) - 1) + slack * double(largest);
            else
                bound = (0.5001 + slack) * (double(most) - double(least)) / ((1 << bits) - 1) +
                        slack * (double(most) - double(least)) + slack * std::fabs(double(least));
            bound += (narrow ? 0x1p-24 * (1 << bits) : 1e-30) + 0x1p-22 * double(largest);
            for (std::size_t j = i; j < bounds.size(); ++j) {
                if (sameGroup(i, j))
                    bounds[j] = bound;
            }
        }
        checkBounded(chunk, decoded, native, name,
                     [&](std::size_t i) { return std::fabs(chunk.values[i]) > 0x1p100F ? 0.0 : bounds[i]; });
    });
}

void TestCodecRoundtrip::clippingMovesOnlyWhatLiesBeyond() {
    for (const double sigmas : {0.5, 2.0, 100.0}) {
        Pipeline pipeline;
        pipeline.clipSigmas = sigmas;
        forAll(pipeline, [&](const ChunkCase& chunk, const std::vector<float>& decoded,
                             const std::vector<std::byte>& native, const QByteArray& name) {
            const auto calibration = calibrate(pipeline, chunk.shape, chunk.values);
            const auto channels = static_cast<std::size_t>(chunk.shape.plane.channels());
            const auto size = static_cast<std::size_t>(sizeOf(chunk.shape.plane.dtype));
            for (std::size_t i = 0; i < decoded.size(); ++i) {
                const double mean = calibration.channelMean[i % channels];
                const double reach = sigmas * double(calibration.channelSigma[i % channels]);
                const double value = chunk.values[i];
                const double slack = 1e-5 * (std::fabs(mean) + reach);
                if (isSpecial(chunk.values[i]) || std::fabs(value - mean) <= reach - slack) {
                    QVERIFY2(std::memcmp(&native[i * size], &chunk.native[i * size], size) == 0, name);
                } else if (std::fabs(value - mean) > reach + slack) {
                    const double bound = value > mean ? mean + reach : mean - reach;
                    const double off = std::fabs(double(decoded[i]) - bound);
                    QVERIFY2(off <= slack + roundingOf(chunk.shape.plane.dtype, bound) * 1.01 ||
                                 chunk.shape.plane.dtype == DType::U8,
                             name);
                }
            }
        });
    }
}

void TestCodecRoundtrip::transformsThatDoNotFitAreRefused() {
    Pipeline pipeline;
    pipeline.quantiser = MaxAbsBins{32};
    pipeline.transform = Transform::Hadamard;
    const ChunkCase odd = makeChunk(Fill::Gaussian, DType::F16, 4, 2, 12);
    const auto refused = encodeChunk(pipeline, {}, odd.input());
    QVERIFY(!refused);
    QCOMPARE(QString::fromStdString(refused.error().where), QStringLiteral("transform"));
    QVERIFY(refused.error().message().find("12") != std::string::npos);
    pipeline.transform = Transform::RopeInverse;
    QVERIFY(!encodeChunk(pipeline, {}, odd.input()));
    ChunkCase value = makeChunk(Fill::Gaussian, DType::F16, 4, 2, 8, PlaneKind::Value);
    const Rope rope = Rope::plain(10000.0, 8, Rope::Pairing::HalfSplit);
    value.shape.rope = &rope;
    QVERIFY(!encodeChunk(pipeline, {}, value.input()));
    value.shape.kind = PlaneKind::Key;
    QVERIFY(encodeChunk(pipeline, {}, value.input()));
}

QTEST_APPLESS_MAIN(TestCodecRoundtrip)
#include "test_codec_roundtrip.moc"
