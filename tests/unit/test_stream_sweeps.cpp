// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/stream_sweeps.h"
#include "core/stream/trace_shapes.h"
#include "tests/unit/stream_setups.h"

#include <QTest>

#include <algorithm>
#include <cmath>
#include <stop_token>

using namespace kvscope;
using namespace kvscope::testing;

namespace {

StreamSetup setupAt(BandwidthTrace trace) {
    StreamSetup setup;
    setup.link = simpleLink(std::move(trace), 0.02);
    return setup;
}

ProjectionTarget stageTarget() {
    return {*findModelGeometry("llama-3.1-8b"), 16384, 1024};
}

std::size_t indexOf(const StreamSweep& sweep, const char* policy) {
    return static_cast<std::size_t>(std::ranges::find(sweep.policies, policy) - sweep.policies.begin());
}

} // namespace

/// Sweeps over bandwidths, context lengths and starting points against single simulations and plain arithmetic.
class TestStreamSweeps : public QObject {
    Q_OBJECT

private slots:
    void stepsAreEvenInTheirLogarithm() {
        const auto steps = logarithmicSteps(0.1, 1000, 5);
        QCOMPARE(steps.size(), std::size_t(5));
        for (std::size_t i = 0; i < steps.size(); ++i)
            QVERIFY(std::abs(steps[i] - std::pow(10.0, static_cast<double>(i) - 1)) < 1e-9 * steps[i]);
    }

    void bandwidthsAgreeWithSingleRuns() {
        const auto input = stageInput();
        const auto setup = setupAt(*constantTrace(1e9));
        const std::vector<double> rates{0.5e9, 4e9, 40e9};
        Progress progress;
        const auto sweep = sweepBandwidth(input, setup, rates, 8, {{}, &progress});
        QVERIFY(sweep);
        QCOMPARE(progress.done(), progress.total());
        const auto policies = policiesFor(input);
        QCOMPARE(sweep->policies.size(), policies.size());
        for (std::size_t r = 0; r < rates.size(); ++r) {
            const auto runs = simulateAll(input, setupAt(*constantTrace(rates[r])), policies);
            for (std::size_t p = 0; p < policies.size(); ++p) {
                QCOMPARE(sweep->outcomes[p][r].ttft, runs[p].ttft);
                QCOMPARE(sweep->outcomes[p][r].violations, runs[p].meetsSlo() ? 0.0 : 1.0);
                QCOMPARE(sweep->outcomes[p][r].quality, runs[p].quality);
            }
        }
    }

    void violationsAreAShareOfTheStartingPoints() {
        // Half of the time the link is fast, half of the time it carries next to nothing: a run of 0.6 s that starts in
        // the first quarter is over in time, one that starts in the slow half is not.
        const auto trace = BandwidthTrace::make({{0, 4e9}, {50, 1e6}}, 100, TraceEnd::Loop, "half");
        QVERIFY(trace);
        const std::vector<double> rates{trace->meanBitsPerSecond()};
        const auto sweep = sweepBandwidth(stageInput(), setupAt(*trace), rates, 4, {});
        QVERIFY(sweep);
        QCOMPARE(sweep->outcomes[indexOf(*sweep, "small")][0].violations, 0.5);
        QCOMPARE(sweep->outcomes[indexOf(*sweep, "raw")][0].violations, 1.0);
    }

    void longerContextsTakeLonger() {
        const std::vector<double> contexts{8192, 16384, 131072};
        const auto sweep = sweepContext(stageRates(), stageTarget(), setupAt(*constantTrace(4e9)), contexts, 1, {});
        QVERIFY(sweep);
        const auto& small = sweep->outcomes[indexOf(*sweep, "small")];
        for (std::size_t i = 0; i < contexts.size(); ++i) {
            // 2.3 bits for each of 65,536 values a token, and a round trip and a step on top.
            const double expected = contexts[i] * 65536 * 2.3 / 4e9 + 0.028;
            QVERIFY2(std::abs(small[i].ttft - expected) < 0.05 * expected, qPrintable(QString::number(small[i].ttft)));
        }
        const auto whole = simulateAll(stageInput(), setupAt(*constantTrace(4e9)), policiesFor(stageInput()));
        QCOMPARE(sweep->outcomes[indexOf(*sweep, "oracle")][1].ttft, whole.back().ttft);
    }

    void theRegimesFollowTheArithmetic() {
        const auto setup = setupAt(*constantTrace(1e9));
        const std::vector<double> bandwidths{0.2e9, 4e9, 400e9};
        const std::vector<double> contexts{16384};
        const auto map = mapRegimes(stageRates(), stageTarget(), setup, bandwidths, contexts, {});
        QVERIFY(map);
        // At 0.2 Gbit/s 2.3 bits a value take 12 s, recomputing 2; at 4 they take 0.6 s; at 400 raw takes 0.04 s, less
        // than decoding.
        QCOMPARE(map->at(0, 0).fastest(), Regime::Text);
        QCOMPARE(map->at(1, 0).fastest(), Regime::Compressed);
        QCOMPARE(map->at(2, 0).fastest(), Regime::Raw);
        const RegimeCell& middle = map->at(1, 0);
        QVERIFY(std::abs(middle.saved() - (2.076 - 0.645)) < 0.05);
        const RegimeCell cell{{3, 1, 1.5}};
        QCOMPARE(cell.saved(), 0.5);
    }

    void quantilesAreThoseOfSortedTimes() {
        TtftDistribution distribution{"x", {}};
        for (int i = 1; i <= 100; ++i)
            distribution.ttft.push_back(i);
        QCOMPARE(distribution.quantile(0.5), 50.0);
        QCOMPARE(distribution.quantile(0.95), 95.0);
        QCOMPARE(distribution.quantile(0.99), 99.0);
        QCOMPARE(distribution.quantile(1), 100.0);
        QCOMPARE(distribution.within(20.5), 0.2);
    }

    void startingPointsCoverTheTrace() {
        const auto trace = BandwidthTrace::make({{0, 4e9}, {50, 1e9}}, 100, TraceEnd::Loop, "half");
        QVERIFY(trace);
        const auto distributions = ttftOverStarts(stageInput(), setupAt(*trace), 200, {});
        QVERIFY(distributions);
        const auto& small = *std::ranges::find(*distributions, "small", &TtftDistribution::policy);
        QCOMPARE(small.ttft.size(), std::size_t(200));
        QVERIFY(std::ranges::is_sorted(small.ttft));
        // 0.645 s at 4 Gbit/s and 2.496 s at 1 Gbit/s, with few starts in between.
        QVERIFY(std::abs(small.quantile(0.4) - 0.645) < 0.03);
        QVERIFY(std::abs(small.quantile(0.6) - 2.496) < 0.08);
    }

    void stopsWhenAsked() {
        std::stop_source stop;
        stop.request_stop();
        const auto stopped =
            ttftOverStarts(stageInput(), setupAt(*constantTrace(4e9)), 1000, {stop.get_token(), nullptr});
        QVERIFY(!stopped);
        QVERIFY(stopped.error().kind == Error::Kind::Cancelled);
    }
};

QTEST_APPLESS_MAIN(TestStreamSweeps)
#include "test_stream_sweeps.moc"
