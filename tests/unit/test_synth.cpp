// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/open_dump.h"
#include "core/io/synth.h"

#include <QTemporaryDir>
#include <QtTest>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <vector>

using namespace kvscope;

namespace {

constexpr std::int64_t kLayers = 4;
constexpr std::int64_t kHeads = 4;
constexpr std::int64_t kHeadDim = 64;
constexpr std::int64_t kChannels = kHeads * kHeadDim;
constexpr std::int64_t kTokens = 3000;

SynthOptions smallOptions() {
    SynthOptions options;
    options.layers = kLayers;
    options.heads = kHeads;
    options.headDim = kHeadDim;
    options.tokens = kTokens;
    options.seed = 7;
    return options;
}

std::string contents(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// The whole plane as doubles; K with RoPE undone by its definition.
std::vector<double> readPlane(const KvCache& cache, std::int64_t layer, PlaneKind kind, double theta) {
    std::vector<float> rows(static_cast<std::size_t>(kTokens * kChannels));
    if (!cache.readRows({LayerIndex(layer), kind, SequenceIndex(0)}, tokenRange(0, kTokens), rows))
        return {};
    std::vector<double> values(rows.begin(), rows.end());
    for (std::int64_t t = 0; kind == PlaneKind::Key && t < kTokens; ++t) {
        for (std::int64_t head = 0; head < kHeads; ++head) {
            double* row = values.data() + t * kChannels + head * kHeadDim;
            for (std::int64_t i = 0; i < kHeadDim / 2; ++i) {
                const double angle = static_cast<double>(t) *
                                     std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(kHeadDim));
                const double a = row[i];
                const double b = row[i + kHeadDim / 2];
                row[i] = a * std::cos(angle) + b * std::sin(angle);
                row[i + kHeadDim / 2] = b * std::cos(angle) - a * std::sin(angle);
            }
        }
    }
    return values;
}

struct ChannelNumbers {
    double mean = 0;
    double stddev = 0;
    double lagOne = 0;
};

/// Statistics of one channel from the second token on (the first is the sink).
ChannelNumbers measure(const std::vector<double>& plane, std::int64_t channel) {
    const auto at = [&](std::int64_t t) { return plane[static_cast<std::size_t>(t * kChannels + channel)]; };
    ChannelNumbers numbers;
    const auto n = static_cast<double>(kTokens - 1);
    for (std::int64_t t = 1; t < kTokens; ++t)
        numbers.mean += at(t) / n;
    double square = 0;
    double product = 0;
    for (std::int64_t t = 1; t < kTokens; ++t) {
        square += (at(t) - numbers.mean) * (at(t) - numbers.mean);
        if (t > 1)
            product += (at(t) - numbers.mean) * (at(t - 1) - numbers.mean);
    }
    numbers.stddev = std::sqrt(square / n);
    numbers.lagOne = product / square;
    return numbers;
}

double median(std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
    return values[values.size() / 2];
}

double deviation(const std::vector<double>& values) {
    double mean = 0;
    for (const double value : values)
        mean += value / static_cast<double>(values.size());
    double square = 0;
    for (const double value : values)
        square += (value - mean) * (value - mean) / static_cast<double>(values.size());
    return std::sqrt(square);
}

} // namespace

class TestSynth : public QObject {
    Q_OBJECT

private slots:
    void opensAsWhatItIs_data();
    void opensAsWhatItIs();
    void sameSeedSameBytes();
    void formatsHoldTheSameValues();
    void keysHaveThePromisedStatistics();
    void valuesHaveThePromisedStatistics();
    void deltasHelpKeysMoreThanValues();
    void wrongOptionsAreRefused();
    void cancelLeavesNothing();
};

void TestSynth::opensAsWhatItIs_data() {
    QTest::addColumn<int>("format");
    QTest::addColumn<int>("type");
    for (const DType type : {DType::F16, DType::BF16, DType::F32}) {
        QTest::addRow("safetensors %s", nameOf(type).data())
            << static_cast<int>(DumpFileFormat::Safetensors) << static_cast<int>(type);
        QTest::addRow("raw %s", nameOf(type).data()) << static_cast<int>(DumpFileFormat::Raw) << static_cast<int>(type);
    }
}

void TestSynth::opensAsWhatItIs() {
    QFETCH(int, format);
    QFETCH(int, type);
    QTemporaryDir folder;
    ThreadPool pool(2);
    SynthOptions options = smallOptions();
    options.format = static_cast<DumpFileFormat>(format);
    options.dtype = static_cast<DType>(type);
    options.ropeTheta = 20000.0;
    const std::filesystem::path path =
        folder.filePath(options.format == DumpFileFormat::Raw ? "made.bin" : "made.safetensors").toStdString();
    Progress progress;
    const auto done = writeSyntheticDump(path, options, pool, {{}, &progress});
    QVERIFY2(done, done ? "" : done.error().message().c_str());
    QCOMPARE(progress.fraction(), 1.0);
    const auto opened = openDump(path);
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    const KvCache& cache = opened->cache;
    QVERIFY(cache.info().synthetic);
    QVERIFY(cache.info().model.find("seed 7") != std::string::npos);
    QCOMPARE(cache.geometry().layerCount(), kLayers);
    QCOMPARE(cache.geometry().cacheBytes(), *syntheticBytes(options));
    const PlaneGeometry* plane = cache.geometry().find(LayerIndex(3), PlaneKind::Value);
    QVERIFY(plane != nullptr);
    QCOMPARE(plane->heads, kHeads);
    QCOMPARE(plane->headDim, kHeadDim);
    QCOMPARE(plane->tokens, kTokens);
    QVERIFY(plane->dtype == options.dtype);
    const Rope* rope = cache.rope(LayerIndex(0));
    QVERIFY(rope != nullptr);
    QVERIFY(rope->pairing == Rope::Pairing::HalfSplit);
    QVERIFY(std::abs(rope->inverseFrequencies[1] - std::pow(20000.0, -2.0 / kHeadDim)) < 1e-9);
}

void TestSynth::sameSeedSameBytes() {
    QTemporaryDir folder;
    const auto make = [&](const char* name, std::uint64_t seed, std::size_t threads) {
        ThreadPool pool(threads);
        SynthOptions options = smallOptions();
        options.tokens = 700;
        options.seed = seed;
        const std::filesystem::path path = folder.filePath(name).toStdString();
        return writeSyntheticDump(path, options, pool) ? contents(path) : std::string();
    };
    const std::string one = make("one.safetensors", 5, 1);
    QVERIFY(!one.empty());
    QVERIFY(one == make("three.safetensors", 5, 3));
    QVERIFY(one != make("other.safetensors", 6, 3));
    QVERIFY(one.find("kvscope_synthetic") != std::string::npos);
    QVERIFY(one.find("seed=5") != std::string::npos);
}

void TestSynth::formatsHoldTheSameValues() {
    QTemporaryDir folder;
    ThreadPool pool(2);
    SynthOptions options = smallOptions();
    const std::filesystem::path tensors = folder.filePath("a.safetensors").toStdString();
    const std::filesystem::path raw = folder.filePath("b.bin").toStdString();
    QVERIFY(writeSyntheticDump(tensors, options, pool));
    options.format = DumpFileFormat::Raw;
    QVERIFY(writeSyntheticDump(raw, options, pool));
    const auto a = openDump(tensors);
    const auto b = openDump(raw);
    QVERIFY(a && b);
    for (const PlaneId id : a->cache.geometry().allPlanes()) {
        std::vector<float> first(static_cast<std::size_t>(kTokens * kChannels));
        std::vector<float> second(first.size());
        QVERIFY(a->cache.readRows(id, tokenRange(0, kTokens), first));
        QVERIFY(b->cache.readRows(id, tokenRange(0, kTokens), second));
        QVERIFY(first == second);
    }
}

void TestSynth::keysHaveThePromisedStatistics() {
    QTemporaryDir folder;
    ThreadPool pool(2);
    const std::filesystem::path path = folder.filePath("a.safetensors").toStdString();
    QVERIFY(writeSyntheticDump(path, smallOptions(), pool));
    const auto opened = openDump(path);
    QVERIFY(opened);
    std::vector<double> spreads;
    for (std::int64_t layer = 0; layer < kLayers; ++layer) {
        const auto plane = readPlane(opened->cache, layer, PlaneKind::Key, 500000.0);
        QVERIFY(!plane.empty());
        std::vector<double> logSpreads;
        std::vector<double> lags;
        std::vector<double> means;
        for (std::int64_t channel = 0; channel < kChannels; ++channel) {
            const ChannelNumbers numbers = measure(plane, channel);
            logSpreads.push_back(std::log(numbers.stddev));
            lags.push_back(numbers.lagOne);
            means.push_back(std::abs(numbers.mean));
        }
        const double spread = std::exp(median(logSpreads));
        spreads.push_back(spread);
        // Log-normal spreads with sigma 0.4 (a little more is measured: 3,000 correlated tokens).
        QVERIFY(deviation(logSpreads) > 0.3 && deviation(logSpreads) < 0.52);
        QVERIFY(median(lags) > 0.83 && median(lags) < 0.93);
        QVERIFY(*std::min_element(lags.begin(), lags.end()) > 0.7);
        // Exactly two channels a head lie 12 spreads out; the others are normal with 1.5 (none of 256 beyond 4.5
        // sigma).
        for (std::int64_t head = 0; head < kHeads; ++head) {
            const auto first = means.begin() + head * kHeadDim;
            QCOMPARE(std::count_if(first, first + kHeadDim, [&](double mean) { return mean > 9.0 * spread; }),
                     std::ptrdiff_t{2});
        }
        QVERIFY(median(means) > 0.6 * spread && median(means) < 1.5 * spread);
    }
    QVERIFY(spreads[3] > 1.7 * spreads[0] && spreads[3] < 2.4 * spreads[0]);
}

void TestSynth::valuesHaveThePromisedStatistics() {
    QTemporaryDir folder;
    ThreadPool pool(2);
    const std::filesystem::path path = folder.filePath("a.safetensors").toStdString();
    QVERIFY(writeSyntheticDump(path, smallOptions(), pool));
    const auto opened = openDump(path);
    QVERIFY(opened);
    std::vector<double> spreads;
    for (std::int64_t layer = 0; layer < kLayers; ++layer) {
        const auto plane = readPlane(opened->cache, layer, PlaneKind::Value, 500000.0);
        std::vector<double> logSpreads;
        std::vector<double> lags;
        std::vector<double> shares;
        for (std::int64_t channel = 0; channel < kChannels; ++channel) {
            const ChannelNumbers numbers = measure(plane, channel);
            logSpreads.push_back(std::log(numbers.stddev));
            lags.push_back(numbers.lagOne);
            shares.push_back(std::abs(numbers.mean) / numbers.stddev);
        }
        spreads.push_back(std::exp(median(logSpreads)));
        QVERIFY(deviation(logSpreads) > 0.24 && deviation(logSpreads) < 0.36);
        QVERIFY(median(lags) > 0.18 && median(lags) < 0.32);
        QVERIFY(median(shares) < 0.3);
        std::vector<double> norms;
        for (std::int64_t t = 0; t < kTokens; ++t) {
            double square = 0;
            for (std::int64_t channel = 0; channel < kChannels; ++channel)
                square += std::pow(plane[static_cast<std::size_t>(t * kChannels + channel)], 2);
            norms.push_back(std::sqrt(square));
        }
        QVERIFY(norms[0] < 0.08 * median(norms));
        QVERIFY(*std::min_element(norms.begin() + 1, norms.end()) > 0.5 * median(norms));
    }
    QVERIFY(spreads[3] > 6.5 * spreads[0] && spreads[3] < 9.5 * spreads[0]);
}

void TestSynth::deltasHelpKeysMoreThanValues() {
    QTemporaryDir folder;
    ThreadPool pool(2);
    const std::filesystem::path path = folder.filePath("a.safetensors").toStdString();
    QVERIFY(writeSyntheticDump(path, smallOptions(), pool));
    const auto opened = openDump(path);
    QVERIFY(opened);
    const auto ratio = [&](PlaneKind kind) {
        const auto plane = readPlane(opened->cache, 1, kind, 500000.0);
        double centred = 0;
        double delta = 0;
        for (std::int64_t channel = 0; channel < kChannels; ++channel) {
            const ChannelNumbers numbers = measure(plane, channel);
            for (std::int64_t t = 2; t < kTokens; ++t) {
                const double here = plane[static_cast<std::size_t>(t * kChannels + channel)];
                const double before = plane[static_cast<std::size_t>((t - 1) * kChannels + channel)];
                centred += (here - numbers.mean) * (here - numbers.mean);
                delta += (here - before) * (here - before);
            }
        }
        return centred / delta;
    };
    QVERIFY(ratio(PlaneKind::Key) > 2.0);
    QVERIFY(ratio(PlaneKind::Value) < 1.0);
}

void TestSynth::wrongOptionsAreRefused() {
    QTemporaryDir folder;
    ThreadPool pool(1);
    const std::filesystem::path path = folder.filePath("a.safetensors").toStdString();
    std::vector<SynthOptions> wrong(8, smallOptions());
    wrong[0].layers = 0;
    wrong[1].headDim = 63;
    wrong[2].tokens = std::int64_t{1} << 62;
    wrong[3].dtype = DType::I8;
    wrong[4].format = DumpFileFormat::Npy;
    wrong[5].ropeTheta = -1;
    wrong[6].heads = std::int64_t{1} << 40;
    wrong[7].tokens = std::int64_t{1} << 45;
    for (const SynthOptions& options : wrong) {
        const auto done = writeSyntheticDump(path, options, pool);
        QVERIFY(!done);
        QVERIFY(!done.error().what.empty());
    }
    QVERIFY(!writeSyntheticDump(folder.filePath("no/such/folder.safetensors").toStdString(), smallOptions(), pool));
    QCOMPARE(QDir(folder.path()).entryList(QDir::Files).size(), 0);
}

void TestSynth::cancelLeavesNothing() {
    QTemporaryDir folder;
    ThreadPool pool(2);
    std::stop_source stop;
    stop.request_stop();
    const auto done =
        writeSyntheticDump(folder.filePath("a.safetensors").toStdString(), smallOptions(), pool, {stop.get_token()});
    QVERIFY(!done);
    QVERIFY(done.error().kind == Error::Kind::Cancelled);
    QCOMPARE(QDir(folder.path()).entryList(QDir::Files).size(), 0);
}

QTEST_APPLESS_MAIN(TestSynth)
#include "test_synth.moc"
