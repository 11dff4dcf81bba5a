// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/bandwidth_trace.h"

#include <cstdint>
#include <span>
#include <string_view>

namespace kvscope {

/// A state of a link: how fast it is while it lasts.
struct LinkState {
    /// Mean rate relative to the preset's mean rate.
    double relativeRate = 1;
    /// Coefficient of variation of the rate within the state (log-normal, drawn anew each step).
    double spread = 0;
    /// Mean time in the state, seconds (exponentially distributed).
    double dwellSeconds = 1;
    /// Chance of each state to come next; the state's own entry is 0.
    double next[4] = {0, 0, 0, 0};
};

/// A kind of network as a Markov chain of up to four states.
struct TracePreset {
    std::string_view id;
    std::string_view name;
    /// Where the table's shape comes from.
    std::string_view origin;
    /// Usual mean rate, bits per second.
    double meanBitsPerSecond = 0;
    /// Rates are drawn anew after so long.
    double stepSeconds = 0.1;
    std::span<const LinkState> states;
};

/// LTE, 5G, Wi-Fi, phone to phone, datacentre.
std::span<const TracePreset> tracePresets();

/// The preset of that id, or null.
const TracePreset* findTracePreset(std::string_view id);

/// A seeded walk through the preset's states, scaled to the mean exactly and looped. `seconds` is its length.
Result<BandwidthTrace> presetTrace(const TracePreset& preset, double meanBitsPerSecond, double seconds,
                                   std::uint64_t seed);

} // namespace kvscope
