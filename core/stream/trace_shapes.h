// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/bandwidth_trace.h"

#include <cstdint>
#include <span>

namespace kvscope {

/// One rate for ever.
Result<BandwidthTrace> constantTrace(double bitsPerSecond);

/// Rates that jump at given times (the first at 0); the last one holds.
Result<BandwidthTrace> stepTrace(std::span<const TracePoint> steps);

/// From one rate to another in `seconds`, as `steps` equal stretches that each carry the ramp's own bytes; the last
/// rate then holds.
Result<BandwidthTrace> rampTrace(double fromBitsPerSecond, double toBitsPerSecond, double seconds, int steps = 100);

/// mean + amplitude * sin(2 pi t / period), one period in `steps` stretches, looped. The amplitude must not exceed
/// the mean.
Result<BandwidthTrace> sineTrace(double meanBitsPerSecond, double amplitude, double periodSeconds, int steps = 100);

struct RandomWalk {
    double meanBitsPerSecond = 4e9;
    /// Standard deviation of the change of log rate in one step; the rate is pulled back towards the mean.
    double stepSigma = 0.2;
    /// Share of the distance to the mean (in log rate) that a step takes back, 0 to 1.
    double pull = 0.05;
    double stepSeconds = 0.1;
    double seconds = 60;
    std::uint64_t seed = 1;
};

/// A seeded random walk of the log rate, scaled to its mean and looped.
Result<BandwidthTrace> randomWalkTrace(const RandomWalk& walk);

} // namespace kvscope
