// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/stream/policy.h"
#include "core/stream/projection.h"
#include "core/stream/simulator.h"
#include "core/stream/stream_input.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace kvscope {

/// What a strategy reaches at one place of a sweep, over several starting points in the trace.
struct SweepOutcome {
    /// Median time to first token, seconds; infinite where it never comes.
    double ttft = 0;
    /// Share of the starting points from which the SLO is missed.
    double violations = 0;
    /// Mean quality (see Timeline::quality).
    double quality = 0;
};

/// Strategies over a range of bandwidths or of context lengths.
struct StreamSweep {
    std::vector<std::string> policies;
    /// Bits per second, or tokens.
    std::vector<double> x;
    /// [policy][x].
    std::vector<std::vector<SweepOutcome>> outcomes;
};

/// `count` values from `least` to `most`, evenly spaced in their logarithm.
std::vector<double> logarithmicSteps(double least, double most, int count);

/// All strategies with the setup's first trace scaled to each mean, from `starts` points spread evenly over it (one for
/// a trace of one rate). Progress counts simulations of all strategies.
Result<StreamSweep> sweepBandwidth(const StreamInput& input, const StreamSetup& setup, std::span<const double> rates,
                                   int starts, const JobControl& job);

/// The same over context lengths (whole tokens) of the target's model, with chunks of the target's length.
Result<StreamSweep> sweepContext(const MeasuredRates& rates, const ProjectionTarget& target, const StreamSetup& setup,
                                 std::span<const double> contexts, int starts, const JobControl& job);

/// In which way a context is there first.
enum class Regime : std::uint8_t { Text, Compressed, Raw };

struct RegimeCell {
    /// Seconds to the first token by Regime; compressed: of the fastest level.
    std::array<double, 3> ttft{};

    [[nodiscard]] Regime fastest() const;
    /// Seconds by which the fastest way beats the next one.
    [[nodiscard]] double saved() const;
};

/// Which way is the fastest at which bandwidth and context length.
struct RegimeMap {
    std::vector<double> rates;
    std::vector<double> contexts;
    /// [context][rate].
    std::vector<RegimeCell> cells;

    [[nodiscard]] const RegimeCell& at(std::size_t rate, std::size_t context) const {
        return cells[context * rates.size() + rate];
    }
};

/// Simulates text alone, every level and raw at constant bandwidths; link and computer are the setup's.
Result<RegimeMap> mapRegimes(const MeasuredRates& rates, const ProjectionTarget& target, const StreamSetup& setup,
                             std::span<const double> bandwidths, std::span<const double> contexts,
                             const JobControl& job);

/// A strategy's times to first token from many starting points, sorted; infinite ones last.
struct TtftDistribution {
    std::string policy;
    std::vector<double> ttft;

    /// The smallest time that a share (0 to 1) of the starting points does not exceed.
    [[nodiscard]] double quantile(double share) const;
    /// Share of the starting points that meet a target.
    [[nodiscard]] double within(double seconds) const;
};

/// All strategies from `starts` points spread evenly over the setup's first trace.
Result<std::vector<TtftDistribution>> ttftOverStarts(const StreamInput& input, const StreamSetup& setup, int starts,
                                                     const JobControl& job);

} // namespace kvscope
