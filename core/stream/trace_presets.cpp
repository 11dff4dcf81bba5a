// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/trace_presets.h"

#include "core/stream/seeded_random.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace kvscope {

namespace {

// Rates at 100 ms of the Verizon LTE downlink recorded for Sprout (Winstein et al., NSDI 2013), split at their 10, 40
// and 75 % quantiles: mean, spread and dwell time of each part and the transitions counted between the parts.
constexpr std::array kLte{
    LinkState{0.10, 0.68, 0.24, {0, 0.81, 0.17, 0.02}},
    LinkState{0.45, 0.30, 0.28, {0.32, 0, 0.64, 0.04}},
    LinkState{0.99, 0.19, 0.27, {0.02, 0.60, 0, 0.38}},
    LinkState{1.99, 0.27, 0.45, {0.01, 0.03, 0.96, 0}},
};

// One second samples of a walk with millimetre-wave 5G (Lumos5G, Narayanan et al., SIGCOMM 2021), split likewise:
// blocked, low band, mixed, line of sight.
constexpr std::array kFiveG{
    LinkState{0.01, 1.00, 5.7, {0, 0.64, 0.36, 0}},
    LinkState{0.20, 0.20, 2.1, {0.09, 0, 0.89, 0.02}},
    LinkState{0.59, 0.86, 2.4, {0.03, 0.85, 0, 0.12}},
    LinkState{2.93, 0.21, 13.3, {0, 0, 1.0, 0}},
};

// No recording: our sketch of a shared access point. Mostly free air, contention for about a second at a time, and
// short deep fades or scans of other channels.
constexpr std::array kWifi{
    LinkState{1.25, 0.15, 2.5, {0, 0.85, 0.15, 0}},
    LinkState{0.55, 0.35, 1.0, {0.90, 0, 0.10, 0}},
    LinkState{0.05, 0.80, 0.12, {0.50, 0.50, 0, 0}},
};

// No recording: our sketch of two phones on a direct Wi-Fi link. Steady while both radios listen, halved when one of
// them also serves its own access point, silent for about 100 ms when one leaves the channel to scan.
constexpr std::array kPhoneToPhone{
    LinkState{1.30, 0.10, 1.5, {0, 0.70, 0.30, 0}},
    LinkState{0.65, 0.25, 0.8, {0.80, 0, 0.20, 0}},
    LinkState{0.00, 0.00, 0.1, {0.60, 0.40, 0, 0}},
};

// No recording: our sketch of a shared datacentre network. Full rate, a fair share beside other flows, and bursts of
// incast of some tens of milliseconds.
constexpr std::array kDatacentre{
    LinkState{1.15, 0.03, 0.8, {0, 0.80, 0.20, 0}},
    LinkState{0.60, 0.15, 0.2, {0.85, 0, 0.15, 0}},
    LinkState{0.15, 0.40, 0.03, {0.70, 0.30, 0, 0}},
};

const std::array kPresets{
    TracePreset{"lte", "LTE", "fitted to the Verizon LTE trace of Winstein et al., NSDI 2013", 30e6, 0.1, kLte},
    TracePreset{"5g", "5G", "fitted to a Lumos5G walk, Narayanan et al., SIGCOMM 2021", 500e6, 0.1, kFiveG},
    TracePreset{"wifi", "Wi-Fi", "sketched: contention and short fades at an access point", 400e6, 0.05, kWifi},
    TracePreset{"phone", "phone to phone", "sketched: a direct link with scan pauses", 300e6, 0.05, kPhoneToPhone},
    TracePreset{"datacentre", "datacentre", "sketched: fair shares and incast bursts", 25e9, 0.01, kDatacentre},
};

std::size_t drawNext(const LinkState& state, std::size_t states, SeededRandom& random) {
    double sum = 0;
    for (std::size_t i = 0; i < states; ++i)
        sum += state.next[i];
    double left = random.uniform() * sum;
    for (std::size_t i = 0; i < states; ++i) {
        if (state.next[i] <= 0)
            continue;
        left -= state.next[i];
        if (left < 0)
            return i;
    }
    return 0;
}

} // namespace

std::span<const TracePreset> tracePresets() {
    return kPresets;
}

const TracePreset* findTracePreset(std::string_view id) {
    const auto found = std::ranges::find(kPresets, id, &TracePreset::id);
    return found == kPresets.end() ? nullptr : &*found;
}

Result<BandwidthTrace> presetTrace(const TracePreset& preset, double meanBitsPerSecond, double seconds,
                                   std::uint64_t seed) {
    const std::string name(preset.name);
    if (!(seconds >= 1.0 && seconds <= 1e5))
        return fail("the trace must last between 1 and 100,000 seconds", name);
    SeededRandom random(seed);
    const auto steps = static_cast<std::size_t>(seconds / preset.stepSeconds);
    std::vector<TracePoint> points;
    points.reserve(steps);
    std::size_t state = 0;
    double stateEnds = random.exponential(preset.states[0].dwellSeconds);
    for (std::size_t i = 0; i < steps; ++i) {
        const double now = static_cast<double>(i) * preset.stepSeconds;
        while (stateEnds <= now) {
            state = drawNext(preset.states[state], preset.states.size(), random);
            stateEnds += random.exponential(preset.states[state].dwellSeconds);
        }
        const LinkState& is = preset.states[state];
        const double variance = std::log1p(is.spread * is.spread);
        points.push_back({now, is.relativeRate * std::exp(std::sqrt(variance) * random.normal() - variance / 2)});
    }
    KVSCOPE_ASSIGN(
        const auto shape,
        BandwidthTrace::make(std::move(points), static_cast<double>(steps) * preset.stepSeconds, TraceEnd::Loop, name));
    return shape.scaledToMean(meanBitsPerSecond);
}

} // namespace kvscope
