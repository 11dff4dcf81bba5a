// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/open_dump.h"
#include "core/io/synth.h"
#include "core/stream/paced_link.h"
#include "core/stream/simulator.h"
#include "core/stream/trace_presets.h"
#include "core/stream/trace_shapes.h"
#include "tests/unit/fetch_fixture.h"

#include <QTest>

#include <algorithm>
#include <chrono>
#include <map>

using namespace kvscope;
using namespace kvscope::testing;

namespace {

constexpr double kRtt = 0.01;

/// A strategy and a bandwidth to try it with.
struct Run {
    std::string policy;
    BandwidthTrace trace;
    double start = 0;
    double rtt = kRtt;
    double loss = 0;
    double jitter = 0;
    std::uint64_t seed = 1;
    std::int64_t chunkTokens = 512;
};

std::vector<Run> mixedRuns(double mean) {
    std::vector<Run> runs;
    const std::vector<std::string> policies{"kvz-high", "kvz-medium", "kvz-low", "cachegen", "kvscope"};
    for (std::size_t i = 0; i < 5; ++i) {
        runs.push_back({policies[i], *constantTrace(mean * (1 + 0.2 * static_cast<double>(i))), 0});
        runs.push_back({policies[i], *presetTrace(tracePresets()[i], mean, 10, 7 + i), 0.3 * static_cast<double>(i)});
        const BandwidthTrace steps =
            *BandwidthTrace::make({{0, 2}, {0.15, 0.5}, {0.3, 1.5}}, 0.4, TraceEnd::Loop, "steps")->scaledToMean(mean);
        runs.push_back({policies[i], steps, 0.1 * static_cast<double>(i)});
        const BandwidthTrace ramp =
            *BandwidthTrace::make({{0, 0.5}, {0.1, 1}, {0.2, 1.5}, {0.3, 2}}, 0.4, TraceEnd::Hold, "ramp")
                 ->scaledToMean(mean);
        runs.push_back({policies[i], ramp, 0});
    }
    return runs;
}

} // namespace

class TestFetchMeasured : public QObject {
    Q_OBJECT

private slots:
    void aPacedLinkIsExact() {
        PacedLink link;
        QCOMPARE(link.send(5, 1000, false), 5.0);
        link.setRate(10, 8000); // 1,000 bytes a second.
        QCOMPARE(link.send(10, 500, false), 10.5);
        // One that waited goes on where the one before ended, however late the caller is.
        QCOMPARE(link.send(10.7, 500, true), 11.0);
        // Unused bandwidth is lost.
        QCOMPARE(link.send(20, 500, false), 20.5);
        // Half of it has left when the rate falls to a tenth.
        link.setRate(20.25, 800);
        QCOMPARE(link.freeAt(), 22.75);
        link.setRate(21.25, 0);
        QVERIFY(std::isinf(link.freeAt()));
        link.setRate(30, 8000);
        QVERIFY(std::abs(link.freeAt() - 30.15) < 1e-9);
        const auto trace = std::make_shared<const BandwidthTrace>(
            *BandwidthTrace::make({{0, 8000}, {1, 16000}}, 2, TraceEnd::Loop, "steps"));
        link.setTrace(40, trace, 0.5);
        QCOMPARE(link.send(40, 1500, false), 41.0);
    }

    void initTestCase() {
        const std::string dump = folder_.filePath("synth.safetensors").toStdString();
        SynthOptions synth;
        synth.layers = 1;
        synth.tokens = 8192;
        QVERIFY(writeSyntheticDump(dump, synth, pool_));
        const auto opened = openDump(dump);
        QVERIFY(opened);
        QCOMPARE(opened->cache.geometry().maxChannels(PlaneKind::Key), std::int64_t{1024});
        encoded_ = std::make_unique<EncodedFile>(opened->cache,
                                                 std::vector<std::string>{"kvz-high", "kvz-medium", "kvz-low"}, 256);
        QVERIFY(encoded_->file() != nullptr);
        compute_.decodeBytesPerSecond = decodeSpeed(*encoded_, pool_);
        // Each chunk of 512 tokens comes in four parts.
        compute_.decodePieces = 4;
        compute_.prefillTokensPerSecond = 12000;
        const StreamInput& input = contextOf(512).input;
        // The middle level takes some 0.6 s.
        mean_ = 8 * input.bytesBefore(2, input.chunkCount()) / 0.6;
    }

    void simulatedAndMeasuredTimesAgree() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        QSKIP("sanitizers change the times that are compared");
#endif
        std::vector<double> differences;
        for (Run& run : mixedRuns(mean_)) {
            compare(run, differences);
            if (QTest::currentTestFailed())
                return;
        }
        QCOMPARE(differences.size(), std::size_t{20});
        QVERIFY(medianOf(differences) <= 0.05);
    }

    void lossAndJitterDoWhatIsSimulated() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        QSKIP("sanitizers change the times that are compared");
#endif
        std::vector<double> differences;
        std::vector<double> added;
        const std::vector<std::string> policies{"kvz-high", "kvz-medium", "kvz-low", "cachegen", "kvscope"};
        for (std::size_t i = 0; i < 10; ++i) {
            Run run{policies[i % 5], *constantTrace(mean_ * (i < 5 ? 1 : 1.5)), 0};
            run.loss = i % 2 == 0 ? 0.02 : 0.1;
            run.jitter = i % 3 == 0 ? 0.01 : 0.003;
            run.seed = 1 + i;
            const double plain = simulated({run.policy, run.trace, run.start, run.rtt}).ttft;
            const Timeline troubled = compare(run, differences);
            if (QTest::currentTestFailed())
                return;
            added.push_back(troubled.ttft / plain - 1);
        }
        std::ranges::sort(added);
        qInfo("loss and jitter add %.0f %% in the median", 100 * added[5]);
        QVERIFY(added[5] > 0.1);
        QVERIFY(medianOf(differences) <= 0.05);
    }

    void delaysLongerThanAChunkTakeAgree() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        QSKIP("sanitizers change the times that are compared");
#endif
        // Some 15 ms a chunk on the wire.
        std::vector<double> differences;
        std::vector<double> filled;
        for (std::size_t i = 0; i < 20; ++i) {
            Run run = mixedRuns(mean_)[i];
            run.rtt = i % 2 == 0 ? 0.06 : 0.1;
            run.chunkTokens = 256;
            const Timeline measured = compare(run, differences);
            if (QTest::currentTestFailed())
                return;
            if (!run.policy.starts_with("kvz"))
                continue;
            // The bytes on a link that is never idle, with the round trips of the greeting and of the first request.
            const LinkPath path{std::make_shared<const BandwidthTrace>(run.trace), run.start, run.rtt};
            const double full = path.trace->timeWhenThrough(run.start, measured.wireBytes) - run.start + 2 * run.rtt;
            filled.push_back(full / measured.ttft);
        }
        std::ranges::sort(filled);
        qInfo("the link was busy %.0f %% of the time that it could be, in the median", 100 * filled[filled.size() / 2]);
        QVERIFY(medianOf(differences) <= 0.05);
        QVERIFY(filled[filled.size() / 2] >= 0.9);
    }

private:
    /// What is fetched in chunks of so many tokens.
    const ContextInput& contextOf(std::int64_t chunkTokens) {
        auto& context = contexts_[chunkTokens];
        if (context == nullptr) {
            const KvzDirectory& directory = encoded_->file()->directory();
            context = std::make_unique<ContextInput>(
                *contextInput(directory, chunkTokens, static_cast<std::int64_t>(toBytes(directory).size()), "synth"));
        }
        return *context;
    }

    [[nodiscard]] StreamSetup setupFor(const Run& run) const {
        StreamSetup setup;
        setup.link = simpleLink(run.trace, run.rtt);
        setup.link.seed = run.seed;
        setup.link.paths[0].traceStart = run.start;
        setup.link.paths[0].lossRate = run.loss;
        setup.link.paths[0].jitterSeconds = run.jitter;
        setup.compute = compute_;
        setup.sloSeconds = 0.6;
        setup.receiverAsks = true;
        return setup;
    }

    [[nodiscard]] Timeline simulated(const Run& run) {
        const StreamInput& input = contextOf(run.chunkTokens).input;
        const auto names = policiesFor(input);
        const auto name = std::ranges::find(names, run.policy, &PolicyName::name);
        return simulate(input, setupFor(run), *makePolicy(*name), run.policy);
    }

    /// Simulates and measures a run, and returns what was measured.
    Timeline compare(Run& run, std::vector<double>& differences) {
        Timeline expected = simulated(run);
        // No run waits for a network that is down for seconds.
        while (expected.ttft > 1.2) {
            run.start += 0.25;
            expected = simulated(run);
        }
        SenderOptions options;
        options.trace = std::make_shared<const BandwidthTrace>(run.trace);
        options.traceStart = run.start;
        options.rttSeconds = run.rtt;
        options.lossRate = run.loss;
        options.jitterSeconds = run.jitter;
        options.seed = run.seed;
        const auto sender = Sender::start(encoded_->shelf(), options);
        [&] { QVERIFY(sender); }();
        FetchOptions fetch = fetchFrom({sender->get()}, run.policy);
        fetch.chunkTokens = run.chunkTokens;
        fetch.sloSeconds = 0.6;
        fetch.compute = compute_;
        fetch.text = true;
        const auto fetched = fetchContext(fetch, pool_);
        [&] { QVERIFY(fetched && !fetched->problem && expected.complete()); }();
        if (QTest::currentTestFailed())
            return {};
        const double measured = fetched->timeline.ttft;
        differences.push_back(std::abs(measured - expected.ttft) / expected.ttft);
        qInfo("%-12s %-12s simulated %.4f s, measured %.4f s: %+.2f %%", run.policy.c_str(), run.trace.name().c_str(),
              expected.ttft, measured, 100 * (measured / expected.ttft - 1));
        if (run.policy.starts_with("kvz") && run.loss == 0)
            [&] { QCOMPARE(fetched->timeline.wireBytes, expected.wireBytes); }();
        return fetched->timeline;
    }

    static double medianOf(std::vector<double> differences) {
        std::ranges::sort(differences);
        const std::size_t half = differences.size() / 2;
        const double median = (differences[half - 1] + differences[half]) / 2;
        qInfo("median difference %.2f %%, largest %.2f %%", 100 * median, 100 * differences.back());
        return median;
    }

    /// Bytes of 16-bit output a second when all workers decode.
    static double decodeSpeed(const EncodedFile& encoded, ThreadPool& pool) {
        const KvCache cache = encoded.file()->cache(1);
        const auto planes = cache.geometry().allPlanes();
        constexpr std::int64_t kPieces = 16;
        std::atomic<std::int64_t> bytes = 0;
        const auto begin = std::chrono::steady_clock::now();
        pool.parallelFor(static_cast<std::int64_t>(planes.size()) * kPieces, [&](std::int64_t i) {
            const PlaneId plane = planes[static_cast<std::size_t>(i / kPieces)];
            const PlaneGeometry& shape = *cache.geometry().find(plane);
            const std::int64_t first = i % kPieces * shape.tokens / kPieces;
            const std::int64_t end = (i % kPieces + 1) * shape.tokens / kPieces;
            std::vector<std::byte> out(static_cast<std::size_t>((end - first) * shape.channels() * 2));
            if (cache.readNative(plane, tokenRange(first, end), out))
                bytes += static_cast<std::int64_t>(out.size());
        });
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
        return static_cast<double>(bytes) / took.count();
    }

    QTemporaryDir folder_;
    ThreadPool pool_;
    std::unique_ptr<EncodedFile> encoded_;
    std::map<std::int64_t, std::unique_ptr<ContextInput>> contexts_;
    ComputeModel compute_;
    double mean_ = 0;
};

QTEST_APPLESS_MAIN(TestFetchMeasured)
#include "test_fetch_measured.moc"
