// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/oracle.h"
#include "core/stream/projection.h"
#include "core/stream/trace_presets.h"
#include "core/stream/trace_reader.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace kvscope::testing {

/// Levels at the stage script's bits per value, with errors of the size that such levels have on real caches, alike in
/// all layers.
inline MeasuredRates stageRates() {
    MeasuredRates rates;
    rates.source = "stage script";
    const auto add = [&](ChunkForm form, int level, const char* name, double bits, double error) {
        MeasuredLayer layer;
        layer[static_cast<std::size_t>(PlaneKind::Key)] = MeasuredRate{bits, error};
        layer[static_cast<std::size_t>(PlaneKind::Value)] = MeasuredRate{bits, error};
        rates.levels.push_back({form, level, name, std::vector<MeasuredLayer>(6, layer)});
    };
    add(ChunkForm::EightBit, 0, "8-bit", 8.0, 2e-5);
    add(ChunkForm::Level, 0, "fine", 4.5, 0.004);
    add(ChunkForm::Level, 1, "medium", 3.2, 0.015);
    add(ChunkForm::Level, 2, "small", 2.3, 0.05);
    return rates;
}

/// Llama-3.1-8B, 16,384 tokens in chunks of 1,024, or of another size.
inline StreamInput stageInput(std::int64_t chunkTokens = 1024) {
    return *project(stageRates(), {*findModelGeometry("llama-3.1-8b"), 16384, chunkTokens});
}

inline std::filesystem::path recordedTraces() {
    const char* set = std::getenv("KVSCOPE_TEST_DATA");
    const std::filesystem::path data =
        set != nullptr ? std::filesystem::path(set) : std::filesystem::path(KVSCOPE_SOURCE_DIR) / "../shared/data";
    return data / "traces";
}

/// The recorded traces, as far as they are there, and every preset.
inline std::vector<BandwidthTrace> gateTraces() {
    std::vector<BandwidthTrace> traces;
    for (const char* name : {"mahimahi/Verizon-LTE-short.down", "pensieve/lumos5g_5g_27_walking.txt",
                             "pensieve/norway3g_bus_11.txt", "pensieve/oboe_trace_168.txt", "cachegen_bw.jsonl"}) {
        if (auto trace = openTrace(recordedTraces() / name))
            traces.push_back(std::move(*trace));
    }
    for (const TracePreset& preset : tracePresets())
        traces.push_back(*presetTrace(preset, 1e9, 600, 1));
    return traces;
}

/// What a strategy reached over many runs.
struct PolicyScore {
    int runs = 0;
    int misses = 0;
    int avoidableMisses = 0;
    double quality = 0;
    double ttft = 0;
    double bytes = 0;
    double computeSeconds = 0;

    [[nodiscard]] double meanQuality() const { return quality / runs; }
    [[nodiscard]] double meanTtft() const { return ttft / runs; }
    PolicyScore& operator+=(const PolicyScore& other) {
        runs += other.runs;
        misses += other.misses;
        avoidableMisses += other.avoidableMisses;
        quality += other.quality;
        ttft += other.ttft;
        bytes += other.bytes;
        computeSeconds += other.computeSeconds;
        return *this;
    }
};

/// Runs every policy of the input over a trace scaled to a mean, from evenly spaced starting points.
inline std::vector<PolicyScore> scorePolicies(const StreamInput& input, const BandwidthTrace& shape, double mean,
                                              int starts) {
    const auto policies = policiesFor(input);
    std::vector<PolicyScore> scores(policies.size());
    const auto trace = std::make_shared<const BandwidthTrace>(*shape.scaledToMean(mean));
    StreamSetup setup;
    setup.link.paths.push_back({trace, 0, 0.02, 0, 0});
    for (int i = 0; i < starts; ++i) {
        setup.link.paths[0].traceStart = trace->duration() * i / starts;
        const auto timelines = simulateAll(input, setup, policies);
        for (std::size_t p = 0; p < policies.size(); ++p) {
            const Timeline& timeline = timelines[p];
            scores[p] += {1,
                          timeline.meetsSlo() ? 0 : 1,
                          timelines.back().meetsSlo() && !timeline.meetsSlo() ? 1 : 0,
                          timeline.quality,
                          timeline.ttft,
                          timeline.wireBytes,
                          timeline.computeSeconds};
        }
    }
    return scores;
}

/// KVScope's strategy within 5 % of the oracle's mean quality, and at most half of CacheGen's avoidable misses.
inline bool meetsGate(const std::vector<PolicyName>& policies, const std::vector<PolicyScore>& scores) {
    const auto of = [&](PolicyName::Kind kind) -> const PolicyScore& {
        const auto found = std::ranges::find(policies, kind, &PolicyName::kind);
        return scores[static_cast<std::size_t>(found - policies.begin())];
    };
    const PolicyScore& own = of(PolicyName::Kind::KvScope);
    return own.meanQuality() >= 0.95 * of(PolicyName::Kind::Oracle).meanQuality() &&
           2 * own.avoidableMisses <= of(PolicyName::Kind::CacheGenPaper).avoidableMisses;
}

} // namespace kvscope::testing
