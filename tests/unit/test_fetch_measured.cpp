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

using namespace kvscope;
using namespace kvscope::testing;

namespace {

constexpr double kRtt = 0.01;

/// A strategy and a bandwidth to try it with.
struct Run {
    std::string policy;
    BandwidthTrace trace;
    double start = 0;
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

    void simulatedAndMeasuredTimesAgree() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        QSKIP("sanitizers change the times that are compared");
#endif
        QTemporaryDir folder;
        ThreadPool pool;
        const std::string dump = folder.filePath("synth.safetensors").toStdString();
        SynthOptions synth;
        synth.layers = 1;
        synth.tokens = 8192;
        QVERIFY(writeSyntheticDump(dump, synth, pool));
        const auto opened = openDump(dump);
        QVERIFY(opened);
        QCOMPARE(opened->cache.geometry().maxChannels(PlaneKind::Key), std::int64_t{1024});
        const EncodedFile encoded(opened->cache, {"kvz-high", "kvz-medium", "kvz-low"}, 256);
        QVERIFY(encoded.file() != nullptr);

        ComputeModel compute;
        compute.decodeBytesPerSecond = decodeSpeed(encoded, pool);
        // Each chunk of 512 tokens comes in four parts.
        compute.decodePieces = 4;
        compute.prefillTokensPerSecond = 12000;
        const auto directoryBytes = static_cast<std::int64_t>(toBytes(encoded.file()->directory()).size());
        const auto input = contextInput(encoded.file()->directory(), 512, directoryBytes, "synth");
        QVERIFY(input);
        // The middle level takes some 0.6 s.
        const double mean = 8 * input->input.bytesBefore(2, input->input.chunkCount()) / 0.6;

        std::vector<double> differences;
        for (Run& run : mixedRuns(mean)) {
            StreamSetup setup;
            setup.link = simpleLink(run.trace, kRtt);
            setup.link.paths[0].traceStart = run.start;
            setup.compute = compute;
            setup.sloSeconds = 0.6;
            setup.askAfterIds = true;
            const auto names = policiesFor(input->input);
            const auto name = std::ranges::find(names, run.policy, &PolicyName::name);
            Timeline simulated = simulate(input->input, setup, *makePolicy(*name), run.policy);
            // No run waits for a network that is down for seconds.
            while (simulated.ttft > 1.2) {
                run.start += 0.25;
                setup.link.paths[0].traceStart = run.start;
                simulated = simulate(input->input, setup, *makePolicy(*name), run.policy);
            }

            SenderOptions options;
            options.trace = std::make_shared<const BandwidthTrace>(run.trace);
            options.traceStart = run.start;
            options.rttSeconds = kRtt;
            const auto sender = Sender::start(encoded.shelf(), options);
            QVERIFY(sender);
            FetchOptions fetch = fetchFrom({sender->get()}, run.policy);
            fetch.chunkTokens = 512;
            fetch.sloSeconds = setup.sloSeconds;
            fetch.compute = compute;
            fetch.text = true;
            const auto fetched = fetchContext(fetch, pool);
            QVERIFY(fetched && !fetched->problem);
            QVERIFY(simulated.complete());
            const double measured = fetched->timeline.ttft;
            differences.push_back(std::abs(measured - simulated.ttft) / simulated.ttft);
            qInfo("%-12s %-12s simulated %.4f s, measured %.4f s: %+.2f %%", run.policy.c_str(),
                  run.trace.name().c_str(), simulated.ttft, measured, 100 * (measured / simulated.ttft - 1));
            if (run.policy.starts_with("kvz"))
                QCOMPARE(fetched->timeline.wireBytes, simulated.wireBytes);
        }
        QCOMPARE(differences.size(), std::size_t{20});
        std::ranges::sort(differences);
        const double median = (differences[9] + differences[10]) / 2;
        qInfo("median difference %.2f %%, largest %.2f %%", 100 * median, 100 * differences.back());
        QVERIFY(median <= 0.05);
    }

private:
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
};

QTEST_APPLESS_MAIN(TestFetchMeasured)
#include "test_fetch_measured.moc"
