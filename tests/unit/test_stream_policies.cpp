// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/compute_model.h"
#include "core/stream/oracle.h"
#include "core/stream/trace_shapes.h"
#include "tests/unit/stream_setups.h"

#include <QTest>

#include <algorithm>
#include <cmath>
#include <map>

using namespace kvscope;
using namespace kvscope::testing;

namespace {

std::map<std::string, Timeline> runAll(const StreamInput& input, const BandwidthTrace& trace) {
    StreamSetup setup;
    setup.link = simpleLink(trace, 0.02);
    std::map<std::string, Timeline> byName;
    for (Timeline& timeline : simulateAll(input, setup, policiesFor(input)))
        byName.emplace(timeline.policy, std::move(timeline));
    return byName;
}

bool within5(double value, double expected) {
    return std::abs(value - expected) <= 0.05 * expected;
}

} // namespace

class TestStreamPolicies : public QObject {
    Q_OBJECT

private slots:
    // The arithmetic of the stage script: bits on the wire over the bandwidth, tokens over the prefill speed.
    void stageAtFourGigabits() {
        const auto runs = runAll(stageInput(), *constantTrace(4e9));
        QVERIFY(within5(runs.at("fine").ttft, 1.21));
        QVERIFY(within5(runs.at("medium").ttft, 0.86));
        QVERIFY(within5(runs.at("small").ttft, 0.62));
        QVERIFY(within5(runs.at("text").ttft, 2.05));
        QVERIFY(within5(runs.at("8-bit").ttft, 2.17));
        QVERIFY(within5(runs.at("raw").ttft, 4.29));
        for (const char* name : {"fine", "medium", "small", "kvscope", "oracle"})
            QVERIFY2(runs.at(name).meetsSlo(), name);
        for (const char* name : {"text", "8-bit", "raw"})
            QVERIFY2(!runs.at(name).meetsSlo(), name);
    }

    void stageAtOneGigabit() {
        const auto runs = runAll(stageInput(), *constantTrace(1e9));
        QVERIFY(within5(runs.at("fine").ttft, 4.83));
        QVERIFY(within5(runs.at("medium").ttft, 3.44));
        QVERIFY(within5(runs.at("small").ttft, 2.47));
        for (const char* name : {"fine", "medium", "small"})
            QVERIFY2(!runs.at(name).meetsSlo(), name);
        const Timeline& own = runs.at("kvscope");
        QVERIFY(own.ttft < 2.0);
        // Text is recomputed while other chunks are on their way.
        bool overlaps = false;
        for (const ChunkTimes& text : own.chunks)
            for (const ChunkTimes& sent : own.chunks)
                overlaps = overlaps || (!text.recompute.empty() && !sent.send.empty() &&
                                        text.recompute.begin < sent.send.end && sent.send.begin < text.recompute.end);
        QVERIFY(overlaps);
    }

    // As a receiver does without a model that could recompute.
    void withoutAModelNothingComesAsText() {
        const auto input = stageInput();
        StreamSetup setup;
        setup.link = simpleLink(*constantTrace(1e9), 0.02);
        QVERIFY(std::ranges::any_of(
            simulate(input, setup, policiesFor(input)[policiesFor(input).size() - 2]).chunks,
            [](const ChunkTimes& chunk) { return chunk.candidate == StreamInput::textCandidate(); }));
        setup.text = false;
        setup.compute.prefillTokensPerSecond = kNoPrefill;
        for (const Timeline& run : simulateAll(input, setup, policiesFor(input))) {
            QVERIFY2(run.policy == "text" || run.ttft < 60, run.policy.c_str());
            if (run.policy == "oracle")
                continue;
            for (const ChunkTimes& chunk : run.chunks)
                QVERIFY2(chunk.recompute.empty() && chunk.candidate != StreamInput::textCandidate(),
                         run.policy.c_str());
        }
    }

    void stageDrop() {
        const auto input = stageInput();
        const auto runs = runAll(input, *stepTrace(std::vector<TracePoint>{{0, 4e9}, {0.4, 0.4e9}}));
        for (const char* name : {"text", "raw", "8-bit", "fine", "medium", "small"})
            QVERIFY2(!runs.at(name).meetsSlo(), name);
        QVERIFY(runs.at("kvscope").meetsSlo());
        QVERIFY(runs.at("oracle").meetsSlo());
        // More chunks turn to text than without the drop.
        const auto steady = runAll(input, *constantTrace(4e9));
        QVERIFY(runs.at("kvscope").computeSeconds > steady.at("kvscope").computeSeconds + 0.1);
        // Every decision names what was weighed.
        const Timeline& own = runs.at("kvscope");
        for (const Decision& decision : own.decisions)
            QVERIFY(!decision.reason.empty());
        const auto text = std::ranges::find_if(own.decisions, [&](const Decision& decision) {
            return decision.seconds > 0.4 && decision.candidate == StreamInput::textCandidate();
        });
        QVERIFY(text != own.decisions.end());
        QCOMPARE(own.consideredBy(*text).size(), input.candidateCount());
        QCOMPARE(own.chunks[text->chunk].candidate, StreamInput::textCandidate());
    }

    // "Why this level?" has an answer for each form, before the first chunk has come too.
    void everyDecisionForecastsEveryForm() {
        const auto input = stageInput();
        const double ids = 8.0 * input.idBytes() / (8.0 * input.idBytes() / 4e9 + 5e-5);
        for (const auto& [name, run] : runAll(input, *stepTrace(std::vector<TracePoint>{{0, 4e9}, {0.4, 0.4e9}}))) {
            QVERIFY2(!run.decisions.empty(), name.c_str());
            for (const Decision& decision : run.decisions) {
                QVERIFY2(decision.forecast > 0, name.c_str());
                if (decision.estimate > 0)
                    QCOMPARE(decision.forecast, decision.estimate);
                std::vector<bool> known(input.candidateCount());
                for (const Considered& one : run.consideredBy(decision)) {
                    if (one.predictedFinish < kNever && one.predictedFinish > decision.seconds)
                        known[one.candidate] = true;
                }
                QVERIFY2(std::ranges::find(known, false) == known.end(),
                         qPrintable(QString("%1 at %2 s").arg(QString::fromStdString(name)).arg(decision.seconds)));
            }
            if (name == "cachegen-code")
                continue;
            // Only the ids have come: their rate, less the grain with which so short a time is known.
            QCOMPARE(run.decisions.front().basis, RateBasis::Ids);
            QVERIFY(std::abs(run.decisions.front().forecast - ids) < 1e-6 * ids);
            if (name != "text")
                QCOMPARE(run.decisions.back().basis, RateBasis::Chunks);
        }
        // The first text, 20 ms after the request: weighed with what the ids suggest.
        const Timeline own = runAll(input, *constantTrace(4e9)).at("kvscope");
        const Decision& first = own.decisions[own.chunks[0].decision];
        QCOMPARE(first.candidate, StreamInput::textCandidate());
        QVERIFY(first.seconds < 0.021);
        QCOMPARE(first.basis, RateBasis::Ids);
        QVERIFY(std::ranges::all_of(own.consideredBy(first), &Considered::weighed));
        QCOMPARE(own.consideredBy(first).size(), input.candidateCount());
        // What a fixed form would bring, if nothing changed, is what it brings.
        const Timeline small = runAll(input, *constantTrace(4e9)).at("small");
        for (const Decision& decision : small.decisions) {
            const auto forecasts = small.consideredBy(decision);
            const auto chosen = std::ranges::find(forecasts, decision.candidate, &Considered::candidate);
            QVERIFY(!chosen->weighed);
            if (decision.basis == RateBasis::Chunks)
                QVERIFY(within5(chosen->predictedFinish, small.ttft));
        }
    }

    void cacheGenAsInThePaper() {
        const auto input = stageInput();
        const auto runs = runAll(input, *constantTrace(1e9));
        const Timeline& paper = runs.at("cachegen");
        // Nothing known: the middle level; then no level brings the rest within 2 s, nor does recomputing.
        QCOMPARE(paper.chunks[0].candidate, input.levels()[1]);
        for (std::size_t i = 1; i < paper.chunks.size(); ++i)
            QCOMPARE(paper.chunks[i].candidate, input.levels()[2]);
        // Recomputing everything fits into 3 s.
        StreamSetup setup;
        setup.link = simpleLink(*constantTrace(4e9), 0.02);
        setup.sloSeconds = 3.0;
        const Timeline text = simulate(input, setup, PolicyName{PolicyName::Kind::CacheGenPaper, 0, "cachegen"});
        for (const ChunkTimes& chunk : text.chunks)
            QCOMPARE(chunk.candidate, StreamInput::textCandidate());
        // Without a way to recompute in time, the finest level that fits: 4.5 bits need 1.21 s.
        setup.sloSeconds = 1.5;
        const Timeline fine = simulate(input, setup, PolicyName{PolicyName::Kind::CacheGenPaper, 0, "cachegen"});
        QCOMPARE(fine.chunks[1].candidate, input.levels()[0]);
        // Near the end recomputing what is left fits again.
        QCOMPARE(fine.chunks[15].candidate, StreamInput::textCandidate());
    }

    void cacheGenAsReleased() {
        // SLO / chunks = 0.125 s a chunk: 0.302, 0.215 and 0.154 Gbit need 2.42, 1.72 and 1.23 Gbit/s.
        const auto input = stageInput();
        for (const auto& [rate, candidate] : std::map<double, std::size_t>{{2.5e9, input.levels()[0]},
                                                                           {2.0e9, input.levels()[1]},
                                                                           {1.5e9, input.levels()[2]},
                                                                           {1.0e9, StreamInput::textCandidate()}}) {
            const auto runs = runAll(input, *constantTrace(rate));
            for (const ChunkTimes& chunk : runs.at("cachegen-code").chunks)
                QCOMPARE(chunk.candidate, candidate);
        }
    }

    void ownStrategyKeepsTheGate() {
        const StreamInput input = stageInput();
        const auto policies = policiesFor(input);
        const auto traces = gateTraces();
        if (traces.size() == tracePresets().size())
            qInfo("the recorded traces are not there: set KVSCOPE_TEST_DATA to try them too");
        std::vector<PolicyScore> total(policies.size());
        for (const auto& trace : traces) {
            for (const double mean : {0.5e9, 2e9, 8e9}) {
                const auto scores = scorePolicies(input, trace, mean, 100);
                for (std::size_t i = 0; i < scores.size(); ++i)
                    total[i] += scores[i];
                QVERIFY2(
                    meetsGate(policies, scores),
                    qPrintable(QString("%1 at %2 Gbit/s").arg(QString::fromStdString(trace.name())).arg(mean / 1e9)));
            }
        }
        QVERIFY(meetsGate(policies, total));
    }

    void fasterLinksNeverTakeLonger() {
        // For fixed forms; and ours meets whatever it met before.
        const auto input = stageInput();
        std::map<std::string, double> before;
        for (double rate = 0.25e9; rate <= 64e9; rate *= 2) {
            const auto runs = runAll(input, *constantTrace(rate));
            for (const char* name : {"text", "raw", "8-bit", "fine", "medium", "small"}) {
                if (before.contains(name))
                    QVERIFY2(runs.at(name).ttft <= before.at(name), name);
                before[name] = runs.at(name).ttft;
            }
            QVERIFY(runs.at("kvscope").meetsSlo());
            QVERIFY(runs.at("kvscope").quality > 0.95 * runs.at("oracle").quality);
        }
    }

    void projectionFollowsDepthAndGeometry() {
        MeasuredRates rates;
        rates.source = "test";
        MeasuredLevel level{ChunkForm::Level, 0, "l", {}};
        for (const double bits : {2.0, 4.0}) {
            MeasuredLayer layer;
            layer[static_cast<std::size_t>(PlaneKind::Key)] = MeasuredRate{bits, 0.01 * bits};
            layer[static_cast<std::size_t>(PlaneKind::Value)] = MeasuredRate{bits + 1, 0.02 * bits};
            level.layers.push_back(layer);
        }
        rates.levels.push_back(level);
        const auto llama = *findModelGeometry("llama-3.1-8b");
        QCOMPARE(llama.bytesPerToken(), 131072);
        const auto input = project(rates, {llama, 2500, 1000});
        QVERIFY(input && input->projected());
        QCOMPARE(input->chunkCount(), 3U);
        QCOMPARE(input->tokens(2), 500);
        // By depth from 2 to 4 bits for K and 3 to 5 for V, the same at both ends: 3.5 bits in the mean.
        const double raw = 131072.0 * 1000;
        QCOMPARE(input->option(0, 1).bytes, raw);
        QVERIFY(std::abs(input->option(0, 2).bytes - raw * 3.5 / 16) < 2);
        QVERIFY(std::abs(input->option(0, 2).error - 0.045) < 1e-9);
        QVERIFY(input->candidates()[2].layerError.front() < input->candidates()[2].layerError.back());
        QVERIFY(std::abs(input->candidates()[2].layerError.front() - 0.03) < 1e-9);
        QVERIFY(std::abs(input->loss(0, 2) - 0.4 * std::sqrt(0.045)) < 1e-9);

        // A latent takes the mean of K and V: 576 values in 27 layers.
        const auto latent = project(rates, {*findModelGeometry("deepseek-v2-lite"), 1000, 1000});
        QVERIFY(std::abs(latent->option(0, 2).bytes - 1000 * 576 * 27 * 3.5 / 8) < 2);
        // Windows: of 4,096 tokens Gemma 3's local layers keep the last 1,024, 8 of 48 layers keep all.
        const auto gemma = project(rates, {*findModelGeometry("gemma-3-12b"), 4096, 1024});
        QCOMPARE(gemma->option(0, 1).bytes, 2.0 * 1024 * 8 * 4096);
        QCOMPARE(gemma->option(3, 1).bytes, 2.0 * 1024 * 48 * 4096);

        rates.levels[0].layers[1][0].reset();
        rates.levels[0].layers[1][1].reset();
        QVERIFY(!project(rates, {llama, 1000, 1000}));
        QVERIFY(!project({"none", {}}, {llama, 1000, 1000}));
        QVERIFY(!project(stageRates(), {llama, 0, 1000}));
    }

    void errorsAreSharedByLayer() {
        const auto input = stageInput();
        const auto runs = runAll(input, *constantTrace(4e9));
        const auto byLayer = errorByLayer(runs.at("medium"), input);
        QCOMPARE(byLayer.size(), 32U);
        for (const double error : byLayer)
            QVERIFY(std::abs(error - 0.015) < 1e-9);
        QVERIFY(std::abs(runs.at("medium").error - 0.015) < 1e-9);
        QCOMPARE(runs.at("medium").meanLevel, 1.0);
        QVERIFY(std::isnan(runs.at("text").meanLevel));
        QCOMPARE(runs.at("text").error, 0.0);
        const Regret regret = regretOf(runs.at("raw"), runs.at("oracle"));
        QVERIFY(regret.avoidableMiss && regret.seconds > 2);
    }

    void breakEvenIsWhereCompressionStopsPaying() {
        const auto input = stageInput();
        const std::size_t fine = input.levels().front();
        const double ratio = 16 / 4.5;
        StreamSetup setup;
        setup.compute.firstStepSeconds = 0;
        setup.compute.unpackBytesPerSecond = 1e17;
        setup.compute.decodeBytesPerSecond = 2e9;
        // One chunk that is decoded after all of it has come, and one decoded as it comes.
        const StreamInput one = stageInput(16384);
        for (const bool pipelined : {false, true}) {
            setup.compute.decodePieces = pipelined ? 1024 : 1;
            const double even = pipelined ? breakEvenPipelined(2e9, ratio) : breakEvenSerial(2e9, ratio);
            for (const double factor : {0.95, 1.05}) {
                setup.link = simpleLink(*constantTrace(even * factor), 0);
                const double raw = simulate(one, setup, PolicyName{PolicyName::Kind::Fixed, 1, "raw"}).ttft;
                const double level = simulate(one, setup, PolicyName{PolicyName::Kind::Fixed, fine, "fine"}).ttft;
                QCOMPARE(level < raw, factor < 1);
            }
        }
        QCOMPARE(breakEvenSerial(1e9, 0.9), 0.0);
    }

    void prefillGrowsWithWhatIsThere() {
        const ComputeModel model;
        double sum = 0;
        double before = 0;
        for (int i = 0; i < 16; ++i) {
            const double seconds = model.prefillSeconds(1024.0 * i, 1024);
            QVERIFY(seconds > before);
            before = seconds;
            sum += seconds;
        }
        QVERIFY(std::abs(sum - 2.048) < 1e-9);
        QVERIFY(std::abs(model.prefillSeconds(0, 16384) - 2.048) < 1e-9);
    }
};

QTEST_APPLESS_MAIN(TestStreamPolicies)
#include "test_stream_policies.moc"
