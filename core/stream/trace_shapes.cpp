// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/trace_shapes.h"

#include "core/stream/seeded_random.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

namespace kvscope {

namespace {

constexpr int kMaxSteps = 1'000'000;

Result<void> checkSteps(double seconds, int steps, const char* name) {
    if (!(seconds > 0 && seconds <= BandwidthTrace::kMaxSeconds) || steps < 1 || steps > kMaxSteps)
        return fail("the duration must be positive and the steps between 1 and a million", name);
    return {};
}

} // namespace

Result<BandwidthTrace> constantTrace(double bitsPerSecond) {
    return BandwidthTrace::make({{0, bitsPerSecond}}, 1.0, TraceEnd::Hold, "constant");
}

Result<BandwidthTrace> stepTrace(std::span<const TracePoint> steps) {
    std::vector<TracePoint> points(steps.begin(), steps.end());
    const double duration = points.empty() ? 1.0 : points.back().seconds + 1.0;
    return BandwidthTrace::make(std::move(points), duration, TraceEnd::Hold, "steps");
}

Result<BandwidthTrace> rampTrace(double fromBitsPerSecond, double toBitsPerSecond, double seconds, int steps) {
    KVSCOPE_TRY(checkSteps(seconds, steps, "ramp"));
    std::vector<TracePoint> points;
    for (int i = 0; i < steps; ++i) {
        const double middle = (i + 0.5) / steps;
        points.push_back({seconds * i / steps, fromBitsPerSecond + middle * (toBitsPerSecond - fromBitsPerSecond)});
    }
    points.push_back({seconds, toBitsPerSecond});
    return BandwidthTrace::make(std::move(points), seconds * (1.0 + 1.0 / steps), TraceEnd::Hold, "ramp");
}

Result<BandwidthTrace> sineTrace(double meanBitsPerSecond, double amplitude, double periodSeconds, int steps) {
    KVSCOPE_TRY(checkSteps(periodSeconds, steps, "sine"));
    if (!(std::abs(amplitude) <= meanBitsPerSecond))
        return fail("the amplitude exceeds the mean", "sine", "rates must not fall below zero");
    std::vector<TracePoint> points;
    for (int i = 0; i < steps; ++i) {
        const double phase = 2.0 * std::numbers::pi * (i + 0.5) / steps;
        points.push_back({periodSeconds * i / steps, meanBitsPerSecond + amplitude * std::sin(phase)});
    }
    return BandwidthTrace::make(std::move(points), periodSeconds, TraceEnd::Loop, "sine");
}

Result<BandwidthTrace> randomWalkTrace(const RandomWalk& walk) {
    const char* name = "random walk";
    if (!(walk.stepSeconds > 0) || !(walk.seconds >= walk.stepSeconds) ||
        !(walk.seconds / walk.stepSeconds < kMaxSteps))
        return fail("the walk must have between 1 and a million steps", name);
    if (!(walk.stepSigma >= 0 && walk.stepSigma <= 10) || !(walk.pull >= 0 && walk.pull <= 1))
        return fail("step sigma must be within 0 to 10 and the pull within 0 to 1", name);
    SeededRandom random(walk.seed);
    const int steps = static_cast<int>(walk.seconds / walk.stepSeconds);
    std::vector<TracePoint> points;
    double logRate = 0;
    for (int i = 0; i < steps; ++i) {
        points.push_back({i * walk.stepSeconds, std::exp(std::clamp(logRate, -20.0, 20.0))});
        logRate = (1.0 - walk.pull) * logRate + walk.stepSigma * random.normal();
    }
    KVSCOPE_ASSIGN(const auto shape,
                   BandwidthTrace::make(std::move(points), steps * walk.stepSeconds, TraceEnd::Loop, name));
    return shape.scaledToMean(walk.meanBitsPerSecond);
}

} // namespace kvscope
