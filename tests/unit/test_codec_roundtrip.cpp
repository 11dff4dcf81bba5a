// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/unit/codec_checks.h"

#include <QtTest>

using namespace kvscope;
using namespace kvscope::test;

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
            const bool inHalf = bins > 64 && chunk.shape.plane.dtype == DType::F16;
            return (inHalf ? 0.75 : 0.5001) * double(largest) / (bins / 2 - 1) + (inHalf ? 0x1p-24 : 1e-36);
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
