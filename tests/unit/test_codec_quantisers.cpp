// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/float8_step.h"
#include "tests/unit/codec_checks.h"

#include <QtTest>

using namespace kvscope;
using namespace kvscope::test;

class TestCodecQuantisers : public QObject {
    Q_OBJECT

private slots:
    void blocksStayWithinHalfAStepAndKeepTheirTop();
    void float8StaysWithinItsPrecision();
    void kiviStaysWithinHalfAScale();
    void kiviKeepsTheLastTokensOfThePlane();
    void anchorsAndDifferencesStayWithinHalfAStep();
    void stepsStayWithinHalfAStep();
    void hadamardSpreadsErrors();
};

void TestCodecQuantisers::blocksStayWithinHalfAStepAndKeepTheirTop() {
    for (const BlockNorm block :
         {BlockNorm{}, BlockNorm{4, 7, 0.1}, BlockNorm{2, 1, 0.0}, BlockNorm{16, 32, 0.5}, BlockNorm{8, 65536, 0.0}}) {
        Pipeline pipeline;
        pipeline.quantiser = block;
        forAll(pipeline, [&](const ChunkCase& chunk, const std::vector<float>& decoded,
                             const std::vector<std::byte>& native, const QByteArray& name) {
            const auto channels = static_cast<std::size_t>(chunk.shape.plane.channels());
            const auto size = static_cast<std::size_t>(block.block);
            checkBounded(chunk, decoded, native, name, [&](std::size_t i) {
                if (std::fabs(chunk.values[i]) > 0x1p100F)
                    return 0.0;
                const std::size_t row = i - i % channels;
                const std::size_t begin = row + i % channels / size * size;
                const std::size_t end = std::min(row + channels, begin + size);
                std::vector<float> magnitudes;
                for (std::size_t at = begin; at < end; ++at)
                    magnitudes.push_back(workedMagnitude(chunk.values[at]));
                std::ranges::sort(magnitudes, std::greater<>());
                const std::size_t top =
                    block.topFraction > 0
                        ? std::max<std::size_t>(1, std::size_t(block.topFraction * double(magnitudes.size())))
                        : 0;
                if (workedMagnitude(chunk.values[i]) > (top < magnitudes.size() ? magnitudes[top] : 0.0F))
                    return 0.0;
                const double largest = top < magnitudes.size() ? double(magnitudes[top]) : 0.0;
                const int middle = (1 << (block.bits - 1)) - 1;
                return 0.505 * (largest * (1 + 0x1p-7) + 0x1p-24) / middle + largest * 0x1p-20;
            });
        });
    }
}

void TestCodecQuantisers::float8StaysWithinItsPrecision() {
    for (const auto format : {Float8::Format::E4M3, Float8::Format::E5M2}) {
        Pipeline pipeline;
        pipeline.quantiser = Float8{format};
        const bool e4m3 = format == Float8::Format::E4M3;
        forAll(pipeline, [&](const ChunkCase& chunk, const std::vector<float>& decoded,
                             const std::vector<std::byte>& native, const QByteArray& name) {
            const auto channels = static_cast<std::size_t>(chunk.shape.plane.channels());
            checkBounded(chunk, decoded, native, name, [&](std::size_t i) {
                const double value = std::fabs(double(chunk.values[i]));
                if (value > 0x1p100)
                    return 0.0;
                float largest = 0;
                for (std::size_t at = i - i % channels; at < i - i % channels + channels; ++at)
                    largest = std::max(largest, workedMagnitude(chunk.values[at]));
                // The scale is at most twice the least that fits.
                const double scale = 2 * double(largest) / (e4m3 ? 448 : 57344);
                return std::max(value * (e4m3 ? 0x1p-4 : 0x1p-3), scale * (e4m3 ? 0x1p-10 : 0x1p-17)) + 0x1p-136;
            });
        });
    }
}

void TestCodecQuantisers::kiviStaysWithinHalfAScale() {
    for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value}) {
        for (const int bits : {1, 2, 4, 8}) {
            Pipeline pipeline;
            pipeline.quantiser = Kivi{bits, 8, 16};
            for (const DType dtype : {DType::F16, DType::BF16, DType::F32}) {
                for (const Fill fill : kAllFills) {
                    const ChunkCase chunk = makeChunk(fill, dtype, 45, 2, 10, kind);
                    std::vector<float> decoded;
                    std::vector<std::byte> native;
                    const std::string wrong = roundTrip(pipeline, chunk, decoded, native);
                    QVERIFY2(wrong.empty(), wrong.c_str());
                    checkBounded(chunk, decoded, native, label(pipeline, fill, dtype, {45, 2, 10}), [&](std::size_t i) {
                        if (std::fabs(chunk.values[i]) > 0x1p100F)
                            return 0.0;
                        float least = 0x1p100F;
                        float most = -0x1p100F;
                        float largest = 0;
                        for (std::size_t j = 0; j < chunk.values.size(); ++j) {
                            const bool same = kind == PlaneKind::Key
                                                  ? j % 20 == i % 20 && j / 20 / 8 == i / 20 / 8 && j / 20 < 32
                                                  : j / 20 == i / 20 && j % 20 / 8 == i % 20 / 8;
                            const float value = std::fabs(chunk.values[j]) <= 0x1p100F ? chunk.values[j] : 0.0F;
                            if (same) {
                                least = std::min(least, value);
                                most = std::max(most, value);
                                largest = std::max(largest, std::fabs(value));
                            }
                        }
                        const double value = std::fabs(double(chunk.values[i]));
                        if (i / 20 >= 32)
                            return value * 0x1p-8 + 0x1p-25;
                        const double range = double(most) - double(least);
                        return 0.505 * range / ((1 << bits) - 1) + (range + double(largest)) * 0x1p-8 +
                               0x1p-24 * (1 << bits);
                    });
                    if (QTest::currentTestFailed())
                        return;
                }
            }
        }
    }
}

void TestCodecQuantisers::kiviKeepsTheLastTokensOfThePlane() {
    ChunkCase chunk = makeChunk(Fill::Gaussian, DType::F16, 40, 2, 8);
    Pipeline pipeline;
    pipeline.quantiser = Kivi{2, 8, 16};
    for (const std::int64_t planeTokens : {43, 50, 59, 100}) {
        chunk.shape.plane.tokens = planeTokens;
        std::vector<float> decoded;
        std::vector<std::byte> native;
        QCOMPARE(roundTrip(pipeline, chunk, decoded, native), std::string());
        std::int64_t exact = 0;
        for (std::int64_t token = 0; token < 40; ++token) {
            const auto row = static_cast<std::ptrdiff_t>(token * 16);
            exact += std::equal(decoded.begin() + row, decoded.begin() + row + 16, chunk.values.begin() + row) ? 1 : 0;
        }
        QCOMPARE(exact, std::max<std::int64_t>(0, 43 - (planeTokens - 16)));
    }
}

void TestCodecQuantisers::anchorsAndDifferencesStayWithinHalfAStep() {
    for (const AnchorDelta anchors : {AnchorDelta{}, AnchorDelta{3, 4, 0.5}, AnchorDelta{10, 16, 0.001}}) {
        Pipeline pipeline;
        pipeline.quantiser = anchors;
        forAll(pipeline, [&](const ChunkCase& chunk, const std::vector<float>& decoded,
                             const std::vector<std::byte>& native, const QByteArray& name) {
            const auto calibration = calibrate(pipeline, chunk.shape, chunk.values);
            const auto channels = static_cast<std::size_t>(chunk.shape.plane.channels());
            const double middle = (1 << (anchors.anchorBits - 1)) - 1;
            float everywhere = 0;
            for (const float value : chunk.values)
                everywhere = std::max(everywhere, workedMagnitude(value));
            checkBounded(chunk, decoded, native, name, [&](std::size_t i) {
                if (std::fabs(chunk.values[i]) > 0x1p100F)
                    return 0.0;
                const double rounding = double(everywhere) * 0x1p-20 + 1e-36;
                const std::size_t token = i / channels;
                if (token % static_cast<std::size_t>(anchors.group) != 0) {
                    const double step = double(calibration.anchorDeltaSigma) * anchors.step;
                    return 0.505 * (step > 0 ? step : double(everywhere) / middle) + rounding;
                }
                float largest = 0;
                for (std::size_t at = token * channels; at < (token + 1) * channels; ++at)
                    largest = std::max(largest, workedMagnitude(chunk.values[at]));
                return 0.505 * double(largest) / middle + rounding;
            });
        });
    }
}

void TestCodecQuantisers::stepsStayWithinHalfAStep() {
    for (const double step : {0.01, 0.45, 3.0}) {
        Pipeline pipeline;
        pipeline.quantiser = Step{step};
        forAll(pipeline, [&](const ChunkCase& chunk, const std::vector<float>& decoded,
                             const std::vector<std::byte>& native, const QByteArray& name) {
            const auto calibration = calibrate(pipeline, chunk.shape, chunk.values);
            float everywhere = 0;
            for (const float value : chunk.values)
                everywhere = std::max(everywhere, workedMagnitude(value));
            checkBounded(chunk, decoded, native, name, [&](std::size_t i) {
                const double value = std::fabs(double(chunk.values[i]));
                if (value > 0x1p100)
                    return 0.0;
                const double size = double(calibration.centredRms) * step;
                return 0.505 * (size > 0 ? size : double(everywhere) / 32767) + value * 0x1p-13 + 0x1p-120;
            });
        });
    }
}

void TestCodecQuantisers::hadamardSpreadsErrors() {
    Pipeline pipeline;
    pipeline.transform = Transform::Hadamard;
    pipeline.quantiser = MaxAbsBins{256};
    for (const DType dtype : {DType::F32, DType::F16, DType::BF16}) {
        for (const Fill fill : kAllFills) {
            const ChunkCase chunk = makeChunk(fill, dtype, 9, 2, 32);
            std::vector<float> decoded;
            std::vector<std::byte> native;
            const std::string wrong = roundTrip(pipeline, chunk, decoded, native);
            QVERIFY2(wrong.empty(), wrong.c_str());
            checkBounded(chunk, decoded, native, label(pipeline, fill, dtype, {9, 2, 32}), [&](std::size_t i) {
                if (std::fabs(chunk.values[i]) > 0x1p100F)
                    return 0.0;
                double energy = 0;
                for (std::size_t at = i / 64 * 64; at < i / 64 * 64 + 64; ++at)
                    energy += std::pow(double(workedMagnitude(chunk.values[at])), 2);
                // No rotated value exceeds the token's norm; each error spreads over the 32 values of a head.
                return 0.51 * std::sqrt(energy) * 1.01 / 127 * std::sqrt(32.0) + 1e-30;
            });
            if (QTest::currentTestFailed())
                return;
        }
    }
}

QTEST_APPLESS_MAIN(TestCodecQuantisers)
#include "test_codec_quantisers.moc"
