// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/kvz_codec.h"
#include "core/codec/native_values.h"
#include "core/codec/trellis_step.h"
#include "core/kv/convert.h"
#include "tests/unit/kvz_pipelines.h"

#include <QTest>

#include <hwy/targets.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

using namespace kvscope;
using namespace kvscope::testing;

namespace {

/// The form byte of chunks with trellises (FORMAT.md).
constexpr std::byte kTrellisForm{3};

struct Chunk {
    ChunkShape shape;
    std::vector<float> values;
    std::vector<std::byte> native;

    [[nodiscard]] ChunkInput input() const { return {shape, values, native}; }
    [[nodiscard]] std::size_t channels() const { return static_cast<std::size_t>(shape.plane.channels()); }
};

Chunk chunkOf(std::vector<float> values, std::int64_t channels, DType type = DType::F32) {
    Chunk chunk;
    const auto tokens = static_cast<std::int64_t>(values.size()) / channels;
    chunk.shape.kind = PlaneKind::Value;
    chunk.shape.plane.heads = 1;
    chunk.shape.plane.headDim = channels;
    chunk.shape.plane.tokens = tokens;
    chunk.shape.plane.dtype = type;
    chunk.shape.tokens = tokenRange(0, tokens);
    chunk.native.resize(values.size() * static_cast<std::size_t>(sizeOf(type)));
    toNative(type, values, chunk.native);
    chunk.values.resize(values.size());
    convertToFloat(type, chunk.native, chunk.values);
    return chunk;
}

/// Channels of different spreads and means.
Chunk gaussian(std::size_t tokens, std::size_t channels, unsigned seed, DType type = DType::F32) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> values(tokens * channels);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const auto c = static_cast<float>(i % channels);
        values[i] = normal(random) * (1 + 0.5F * std::sin(c)) + 3 * std::cos(c);
    }
    return chunkOf(std::move(values), static_cast<std::int64_t>(channels), type);
}

Pipeline stepped(double step, int effort) {
    Pipeline pipeline = kvzSteps(step);
    pipeline.effort = effort;
    return pipeline;
}

struct Coded {
    std::vector<std::byte> bytes;
    std::vector<float> values;
    /// Mean squared error.
    double error = 0;
};

/// With steps of `step` itself.
Coded code(const Chunk& chunk, double step, int effort) {
    PlaneCalibration calibration;
    calibration.centredRms = 1;
    const Pipeline pipeline = stepped(step, effort);
    Coded coded;
    const auto encoded = encodeKvzChunk(pipeline, calibration, chunk.input());
    coded.values.resize(chunk.values.size());
    if (!encoded || !decodeKvzChunk(pipeline, calibration, chunk.shape, encoded->bytes, coded.values))
        return {};
    coded.bytes = encoded->bytes;
    for (std::size_t i = 0; i < chunk.values.size(); ++i)
        coded.error += std::pow(static_cast<double>(coded.values[i]) - chunk.values[i], 2);
    coded.error /= static_cast<double>(chunk.values.size());
    return coded;
}

/// The least mean squared error of any walk through the states for these numbers of steps (from the channel's offset):
/// every path is followed in double precision, as the definition of the trellis has it.
double leastError(const std::vector<double>& steps) {
    constexpr double kFar = std::numeric_limits<double>::max();
    std::array<double, kTrellisStates> sums{};
    sums.fill(kFar);
    sums[0] = 0;
    for (const double value : steps) {
        std::array<double, kTrellisStates> next{};
        next.fill(kFar);
        for (unsigned state = 0; state < kTrellisStates; ++state) {
            if (sums[state] == kFar)
                continue;
            const double shift = state % 2 == 0 ? -0.25 : 0.25;
            for (const int parity : {0, 1}) {
                const double number = 2 * std::round((value - shift - parity) / 2) + parity;
                const double sum = sums[state] + std::pow(value - shift - number, 2);
                double& to = next[kTrellisNext[2 * state + static_cast<unsigned>(parity)]];
                to = std::min(to, sum);
            }
        }
        sums = next;
    }
    return *std::min_element(sums.begin(), sums.end()) / static_cast<double>(steps.size());
}

} // namespace

class TestTrellis : public QObject {
    Q_OBJECT

private slots:
    /// Decoded values are points that the states allow, in the order of the tokens; this is what a reader written from
    /// FORMAT.md alone would do.
    void pointsFollowStates() {
        constexpr double kStep = 0.5;
        const Chunk chunk = gaussian(300, 40, 1);
        const Coded coded = code(chunk, kStep, 3);
        QVERIFY(!coded.bytes.empty());
        QCOMPARE(coded.bytes.front(), kTrellisForm);
        constexpr double kQuarter = kStep * 1.125 / 4;
        constexpr std::array<unsigned, 16> kNext{0, 2, 5, 7, 1, 3, 6, 4, 2, 0, 4, 6, 3, 1, 7, 5};
        for (std::size_t c = 0; c < chunk.channels(); ++c) {
            // The offset, in quarters, is a whole number that the values do not tell: some one must fit.
            bool fits = false;
            for (int offset = -40; offset <= 40 && !fits; ++offset) {
                unsigned state = 0;
                fits = true;
                for (std::size_t i = c; i < coded.values.size() && fits; i += chunk.channels()) {
                    const double quarters =
                        static_cast<double>(coded.values[i]) / kQuarter - offset - (state % 2 == 0 ? -1 : 1);
                    const double number = std::round(quarters / 4);
                    fits = std::fabs(quarters - 4 * number) < 1e-3;
                    state = kNext[2 * state + static_cast<unsigned>(std::llround(number) & 1)];
                }
            }
            QVERIFY2(fits, qPrintable(QString("channel %1").arg(c)));
        }
    }

    /// The error is that of rounding to whole steps, and little more than that of the best walk there is.
    void errorIsThatOfSteps() {
        constexpr double kStep = 0.3;
        const Chunk chunk = gaussian(512, 64, 2);
        const Coded coded = code(chunk, kStep, 3);
        QCOMPARE(coded.bytes.front(), kTrellisForm);
        QVERIFY(std::fabs(coded.error / (kStep * kStep / 12) - 1) < 0.04);
        double best = 0;
        constexpr double kTrellis = kStep * 1.125;
        for (std::size_t c = 0; c < chunk.channels(); ++c) {
            std::vector<double> steps;
            for (std::size_t i = c; i < chunk.values.size(); i += chunk.channels())
                steps.push_back(static_cast<double>(chunk.values[i]) / kTrellis);
            best += leastError(steps) * kTrellis * kTrellis;
        }
        best /= static_cast<double>(chunk.channels());
        QVERIFY(coded.error > best);
        QVERIFY2(coded.error < 1.04 * best, qPrintable(QString("%1 of %2").arg(coded.error).arg(best)));
    }

    /// Marcellin and Fischer's eight states come 1.1 dB nearer than rounding: 0.18 bits a value.
    void savesBits_data() {
        QTest::addColumn<double>("step");
        QTest::addColumn<double>("least");
        QTest::newRow("fine") << 0.15 << 0.03;
        QTest::newRow("middle") << 0.45 << 0.045;
        QTest::newRow("coarse") << 0.8 << 0.05;
    }
    void savesBits() {
        QFETCH(double, step);
        QFETCH(double, least);
        const Chunk chunk = gaussian(512, 256, 3);
        const Coded fast = code(chunk, step, 1);
        QVERIFY(fast.bytes.front() != kTrellisForm);
        // At equal error.
        double low = step * 0.9;
        double high = step * 1.2;
        Coded best;
        for (int round = 0; round < 10; ++round) {
            const double middle = (low + high) / 2;
            Coded tried = code(chunk, middle, 3);
            QCOMPARE(tried.bytes.front(), kTrellisForm);
            if (tried.error <= fast.error) {
                low = middle;
                best = std::move(tried);
            } else {
                high = middle;
            }
        }
        const double saved = 1 - static_cast<double>(best.bytes.size()) / static_cast<double>(fast.bytes.size());
        QVERIFY2(saved > least, qPrintable(QString("%1 %").arg(100 * saved)));
    }

    /// Whole vectors, parts of them and single channels give what one channel at a time gives, whatever the machine.
    void sameOnAllMachines_data() {
        QTest::addColumn<int>("channels");
        QTest::addColumn<int>("type");
        for (const int channels : {1, 15, 16, 63, 64, 100, 129}) {
            for (const DType type : {DType::F32, DType::F16, DType::BF16})
                QTest::addRow("%d channels, type %d", channels, static_cast<int>(type))
                    << channels << static_cast<int>(type);
        }
    }
    void sameOnAllMachines() {
        QFETCH(int, channels);
        QFETCH(int, type);
        const Chunk chunk = gaussian(130, static_cast<std::size_t>(channels), static_cast<unsigned>(channels),
                                     static_cast<DType>(type));
        PlaneCalibration calibration;
        calibration.centredRms = 1;
        std::vector<std::byte> bytes;
        std::vector<std::byte> values;
        for (std::int64_t targets = hwy::SupportedTargets(); targets != 0; targets &= targets - 1) {
            hwy::SetSupportedTargetsForTest(targets & -targets);
            const auto encoded = encodeKvzChunk(stepped(0.4, 3), calibration, chunk.input());
            std::vector<std::byte> native(chunk.native.size());
            const bool good =
                encoded && decodeKvzChunkNative(stepped(0.4, 3), calibration, chunk.shape, encoded->bytes, native);
            hwy::SetSupportedTargetsForTest(0);
            QVERIFY(good);
            QCOMPARE(encoded->bytes.front(), kTrellisForm);
            if (bytes.empty()) {
                bytes = encoded->bytes;
                values = native;
            }
            QVERIFY(encoded->bytes == bytes);
            QVERIFY(native == values);
        }
    }

    /// Rows that repeat are cheapest as copies, which walks are not.
    void repeatedRowsStayCopies() {
        Chunk once = gaussian(32, 128, 5);
        std::vector<float> values;
        for (int i = 0; i < 8; ++i)
            values.insert(values.end(), once.values.begin(), once.values.end());
        const Chunk chunk = chunkOf(std::move(values), 128);
        const Coded with = code(chunk, 0.3, 3);
        const Coded fast = code(chunk, 0.3, 1);
        QVERIFY(!with.bytes.empty() && with.bytes.size() <= fast.bytes.size());
    }

    /// Channels of little spread keep whole steps, among which is none at all.
    void quietChannelsKeepZeros() {
        constexpr std::size_t kChannels = 64;
        Chunk chunk = gaussian(256, kChannels, 6);
        std::vector<float> values = chunk.values;
        for (std::size_t i = 0; i < values.size(); ++i) {
            if (i % kChannels % 2 == 0)
                values[i] = 0.001F * static_cast<float>(i % 7);
        }
        chunk = chunkOf(std::move(values), kChannels);
        const Coded coded = code(chunk, 0.5, 3);
        QCOMPARE(coded.bytes.front(), kTrellisForm);
        for (std::size_t i = 0; i < coded.values.size(); ++i) {
            if (i % kChannels % 2 == 0)
                QCOMPARE(coded.values[i], 0.0F);
        }
    }

    /// One value far out, which the search does not hold, does not spoil its channel.
    void farValuesStayBounded() {
        Chunk chunk = gaussian(200, 32, 7);
        std::vector<float> values = chunk.values;
        values[1234] = 1500;
        values[777] = -130;
        chunk = chunkOf(std::move(values), 32);
        const Coded coded = code(chunk, 0.4, 3);
        QVERIFY(!coded.bytes.empty());
        for (std::size_t i = 0; i < chunk.values.size(); ++i)
            QVERIFY(std::fabs(coded.values[i] - chunk.values[i]) <= 1.5F * 0.4F);
    }

    void damageIsFound() {
        const Chunk chunk = gaussian(64, 20, 8);
        PlaneCalibration calibration;
        calibration.centredRms = 1;
        const Pipeline pipeline = stepped(0.4, 3);
        const auto encoded = encodeKvzChunk(pipeline, calibration, chunk.input());
        QVERIFY(encoded.has_value());
        QCOMPARE(encoded->bytes.front(), kTrellisForm);
        std::vector<float> out(chunk.values.size());
        for (std::size_t size = 0; size < encoded->bytes.size(); size += 7)
            QVERIFY(!decodeKvzChunk(pipeline, calibration, chunk.shape, std::span(encoded->bytes).first(size), out));
        // Bits behind the one that says that all channels have a trellis.
        auto bytes = encoded->bytes;
        QCOMPARE(bytes[2], std::byte{1});
        bytes[2] = std::byte{3};
        QVERIFY(!decodeKvzChunk(pipeline, calibration, chunk.shape, bytes, out));
    }
};

QTEST_APPLESS_MAIN(TestTrellis)
#include "test_trellis.moc"
