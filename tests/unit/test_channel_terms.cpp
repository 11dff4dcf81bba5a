// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/channel_kernels.h"
#include "core/codec/channel_terms.h"
#include "core/codec/kvz_codec.h"
#include "core/codec/kvz_file.h"
#include "core/codec/kvz_writer.h"
#include "core/codec/native_values.h"
#include "core/codec/presets.h"
#include "core/kv/convert.h"
#include "tests/unit/codec_cache.h"
#include "tests/unit/kvz_pipelines.h"

#include <QTemporaryDir>
#include <QtTest>

#include <hwy/targets.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <utility>
#include <vector>

using namespace kvscope;
using namespace kvscope::testing;

namespace {

constexpr std::int64_t kChannels = 64;

/// Rows whose channels are mixtures of `sources` independent ones and a little noise of their own.
std::vector<float> mixedRows(std::int64_t tokens, int sources, unsigned seed = 1) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> mixing(static_cast<std::size_t>(kChannels * sources));
    for (float& weight : mixing)
        weight = normal(random) / std::sqrt(static_cast<float>(sources));
    std::vector<float> rows;
    std::vector<float> hidden(static_cast<std::size_t>(sources));
    for (std::int64_t t = 0; t < tokens; ++t) {
        for (float& value : hidden)
            value = normal(random);
        for (std::int64_t c = 0; c < kChannels; ++c) {
            float value = 0.1F * normal(random);
            for (std::size_t s = 0; s < hidden.size(); ++s)
                value += mixing[static_cast<std::size_t>(c) * hidden.size() + s] * hidden[s];
            rows.push_back(value);
        }
    }
    return rows;
}

std::vector<float> independentRows(std::int64_t tokens) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    std::vector<float> rows(static_cast<std::size_t>(tokens * kChannels));
    std::ranges::generate(rows, [&] { return normal(random); });
    return rows;
}

ChunkShape shapeOf(std::int64_t tokens) {
    ChunkShape shape;
    shape.kind = PlaneKind::Value;
    shape.plane.heads = 4;
    shape.plane.headDim = kChannels / 4;
    shape.plane.tokens = tokens;
    shape.plane.dtype = DType::F16;
    shape.tokens = tokenRange(0, tokens);
    return shape;
}

/// Encodes float16 rows as one chunk, decodes them, and compares with what coding without terms gives.
struct Coded {
    std::size_t with = 0;
    std::size_t without = 0;
    bool same = false;
    std::vector<std::byte> bytes;
    PlaneCalibration calibration;
};

Coded code(std::vector<float> rows, double step) {
    const ChunkShape shape = shapeOf(static_cast<std::int64_t>(rows.size()) / kChannels);
    std::vector<std::byte> native(rows.size() * 2);
    toNative(DType::F16, rows, native);
    convertToFloat(DType::F16, native, rows);
    const Pipeline pipeline = kvzSteps(step);
    Coded coded;
    coded.calibration = calibrate(pipeline, shape, rows);
    PlaneCalibration plain = coded.calibration;
    plain.channelTerms = {};
    const auto with = encodeKvzChunk(pipeline, coded.calibration, {shape, rows, native});
    const auto without = encodeKvzChunk(pipeline, plain, {shape, rows, native});
    if (!with || !without)
        return coded;
    coded.with = with->bytes.size() + coded.calibration.channelTerms.storedBytes();
    coded.without = without->bytes.size();
    coded.bytes = with->bytes;
    std::vector<float> a(rows.size());
    std::vector<float> b(rows.size());
    coded.same = decodeKvzChunk(pipeline, coded.calibration, shape, with->bytes, a) &&
                 decodeKvzChunk(pipeline, plain, shape, without->bytes, b) && a == b;
    return coded;
}

KvCache cacheOf(std::vector<float> rows) {
    auto source = std::make_shared<MemorySource>();
    source->description.name = "mixed";
    addPlane(*source, {LayerIndex(0), PlaneKind::Value, SequenceIndex(0)}, 4, kChannels / 4, std::move(rows),
             DType::F16);
    return KvCache(source);
}

/// Terms of all channels, drawn at random.
ChannelTerms randomTerms(std::size_t channels, unsigned seed) {
    std::mt19937 random(seed);
    ChannelTerms terms;
    for (std::size_t c = 0; c < channels; ++c) {
        std::vector<ChannelTerm> own;
        for (std::size_t from = c / kTermBlock * kTermBlock; from < c && own.size() < random() % (kMostTerms + 1);
             ++from) {
            const auto weight = static_cast<std::int8_t>(static_cast<int>(random() % 17) - 8);
            if (weight != 0 && random() % 3 == 0)
                own.push_back({static_cast<std::uint32_t>(from), weight});
        }
        terms.add(own);
    }
    return terms;
}

} // namespace

class TestChannelTerms : public QObject {
    Q_OBJECT

private slots:
    void storedTermsComeBack() {
        for (const std::size_t channels : {2U, 5U, 64U, 1025U, 2100U}) {
            const ChannelTerms terms = randomTerms(channels, static_cast<unsigned>(channels));
            std::vector<std::byte> bytes;
            writeChannelTerms(terms, bytes);
            QCOMPARE(bytes.size(), terms.storedBytes());
            ChannelTerms read;
            QVERIFY(readChannelTerms(bytes, channels, read));
            QVERIFY(read == terms || terms.empty());
            QVERIFY(bytes.empty() || !readChannelTerms(std::span(bytes).first(bytes.size() - 1), channels, read));
            bytes.push_back(std::byte{1});
            QVERIFY(!readChannelTerms(bytes, channels, read));
        }
    }

    /// Damage gives terms that hold the rules, or none.
    void damagedTermsAreRefused() {
        std::vector<std::byte> bytes;
        writeChannelTerms(randomTerms(64, 3), bytes);
        std::mt19937 random(5);
        for (int round = 0; round < 4000; ++round) {
            auto damaged = bytes;
            damaged[random() % damaged.size()] ^= static_cast<std::byte>(1U << random() % 8);
            ChannelTerms read;
            if (!readChannelTerms(damaged, 64, read))
                continue;
            for (std::size_t c = 0; c < 64; ++c) {
                QVERIFY(read.of(c).size() <= kMostTerms);
                for (const ChannelTerm& term : read.of(c))
                    QVERIFY(term.channel < c && term.weight != 0 && std::abs(term.weight) <= kMostTermWeight);
            }
        }
    }

    /// Every instruction set predicts what the step function says.
    void kernelsAgree() {
        constexpr std::size_t kRows = 101;
        std::mt19937 random(2);
        std::vector<std::uint8_t> symbols(static_cast<std::size_t>(kChannels) * kRows);
        std::ranges::generate(symbols, [&] { return static_cast<std::uint8_t>(1 + random() % 255); });
        const ChannelTerms terms = randomTerms(static_cast<std::size_t>(kChannels), 11);
        for (std::int64_t targets = hwy::SupportedTargets(); targets != 0; targets &= targets - 1) {
            hwy::SetSupportedTargetsForTest(targets & -targets);
            for (std::size_t c = 0; c < static_cast<std::size_t>(kChannels); ++c) {
                const std::uint8_t* row = symbols.data() + c * kRows;
                std::vector<std::uint8_t> left(kRows);
                const TermSquares squares = takeTerms(terms.of(c), symbols.data(), kRows, kRows, row, left.data());
                std::vector<std::uint8_t> restored(row, row + kRows);
                addTerms(terms.of(c), symbols.data(), kRows, kRows, restored.data());
                TermSquares expected;
                for (std::size_t i = 0; i < kRows; ++i) {
                    int sum = 0;
                    for (const ChannelTerm& term : terms.of(c))
                        sum += term.weight * (symbols[term.channel * kRows + i] - 128);
                    const int now = row[i] - 128;
                    const int rest = now - termPrediction(sum);
                    const int kept = std::clamp(rest, -127, 127);
                    expected.before += static_cast<std::uint64_t>(now * now);
                    expected.after += static_cast<std::uint64_t>(kept * kept);
                    expected.within = expected.within && kept == rest;
                    QCOMPARE(int{left[i]}, kept + 128);
                    QCOMPARE(restored[i], static_cast<std::uint8_t>(row[i] + termPrediction(sum)));
                }
                QCOMPARE(squares.before, expected.before);
                QCOMPARE(squares.after, expected.after);
                QCOMPARE(squares.within, expected.within);
            }
            hwy::SetSupportedTargetsForTest(0);
        }
    }

    /// Eight sources in 64 channels: much less has to be said, terms included, and the same values come back.
    void dependentChannelsTakeLess() {
        for (const double step : {0.1, 0.2, 0.45}) {
            const Coded coded = code(mixedRows(256, 8), step);
            QVERIFY(!coded.calibration.channelTerms.empty());
            QVERIFY(coded.same);
            QVERIFY2(static_cast<double>(coded.with) < 0.9 * static_cast<double>(coded.without),
                     qPrintable(QString("%1 of %2 bytes").arg(coded.with).arg(coded.without)));
        }
    }

    void independentChannelsTakeNoMore() {
        const Coded coded = code(independentRows(256), 0.3);
        QVERIFY(coded.same);
        QVERIFY2(coded.with <= coded.without + 4, qPrintable(QString("%1 of %2").arg(coded.with).arg(coded.without)));
    }

    /// Values that tables cannot hold, and rows that repeat, do not disturb the channels predicted from them.
    void outliersAndRepeatsComeBack() {
        std::vector<float> rows = mixedRows(256, 8);
        std::mt19937 random(3);
        for (int i = 0; i < 40; ++i)
            rows[random() % rows.size()] = static_cast<float>(random() % 60) - 30;
        for (std::size_t t = 100; t < 180; ++t)
            std::copy_n(rows.begin() + static_cast<std::ptrdiff_t>((t - 100) * kChannels), kChannels,
                        rows.begin() + static_cast<std::ptrdiff_t>(t * kChannels));
        for (const double step : {0.02, 0.1, 0.45, 1.5})
            QVERIFY(code(rows, step).same);
    }

    /// A chunk that names channels that have no terms, or none at all, is refused or decodes to something; it never
    /// reads beyond.
    void otherTermsDoNoHarm() {
        const Coded coded = code(mixedRows(128, 8), 0.3);
        std::vector<float> out(static_cast<std::size_t>(128 * kChannels));
        for (unsigned seed = 0; seed < 20; ++seed) {
            PlaneCalibration other = coded.calibration;
            other.channelTerms = randomTerms(static_cast<std::size_t>(kChannels), seed);
            static_cast<void>(decodeKvzChunk(kvzSteps(0.3), other, shapeOf(128), coded.bytes, out));
        }
    }

    /// Terms are found when a plane is encoded, stored with it, counted, and used by chunks that are appended.
    void filesKeepThem() {
        const QTemporaryDir folder;
        const std::filesystem::path path = folder.filePath(QStringLiteral("terms.kvz")).toStdString();
        const KvCache cache = cacheOf(mixedRows(300, 8));
        CodecPlan plan = makePreset("kvz-high", cache.geometry()).value();
        plan.chunkTokens = 64;
        ThreadPool pool(2);
        const auto report = writeKvz(path, cache, {&plan, 1}, pool);
        QVERIFY2(report, report ? "" : report.error().message().c_str());
        const auto file = KvzFile::open(openFile(path).value());
        QVERIFY2(file, file ? "" : file.error().message().c_str());
        const KvzLevel& level = (*file)->levels().front();
        const auto& plane = level.planes.begin()->second;
        QVERIFY(!plane.pipelines.front().calibration.channelTerms.empty());
        QCOMPARE(level.bytes(), report->levels.front().totals().bytes());
        QVERIFY(sameValues((*file)->cache(0), encodeCache(cache, plan, pool).value().decoded()));
    }
};

QTEST_APPLESS_MAIN(TestChannelTerms)
#include "test_channel_terms.moc"
