// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/stream_sweeps.h"

#include "core/stream/oracle.h"
#include "core/stream/trace_shapes.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

namespace kvscope {

namespace {

/// Where in the first trace a run starts, of `count` places spread evenly.
double startOf(const BandwidthTrace& trace, int index, int count) {
    return trace.duration() * static_cast<double>(index) / static_cast<double>(count);
}

int usefulStarts(const BandwidthTrace& trace, int starts) {
    return trace.points().size() > 1 ? std::max(1, starts) : 1;
}

StreamSetup withTrace(const StreamSetup& setup, BandwidthTrace trace) {
    StreamSetup other = setup;
    other.link.paths.front().trace = std::make_shared<const BandwidthTrace>(std::move(trace));
    return other;
}

/// One column of a sweep.
Result<std::vector<SweepOutcome>> outcomesOf(const StreamInput& input, StreamSetup setup,
                                             std::span<const PolicyName> policies, int starts, const JobControl& job) {
    const auto trace = setup.link.paths.front().trace;
    const int count = usefulStarts(*trace, starts);
    std::vector<std::vector<double>> ttft(policies.size());
    std::vector<SweepOutcome> outcomes(policies.size());
    for (int start = 0; start < count; ++start) {
        if (job.stopRequested())
            return cancelled();
        setup.link.paths.front().traceStart = startOf(*trace, start, count);
        const auto runs = simulateAll(input, setup, policies);
        for (std::size_t i = 0; i < runs.size(); ++i) {
            ttft[i].push_back(runs[i].ttft);
            outcomes[i].violations += runs[i].meetsSlo() ? 0.0 : 1.0 / count;
            outcomes[i].quality += runs[i].quality / count;
        }
        job.advance(1);
    }
    for (std::size_t i = 0; i < policies.size(); ++i) {
        const auto middle = ttft[i].begin() + static_cast<std::ptrdiff_t>(ttft[i].size() / 2);
        std::ranges::nth_element(ttft[i], middle);
        outcomes[i].ttft = *middle;
    }
    return outcomes;
}

StreamSweep emptySweep(std::span<const PolicyName> policies, std::span<const double> x) {
    StreamSweep sweep;
    sweep.policies.reserve(policies.size());
    for (const PolicyName& policy : policies)
        sweep.policies.push_back(policy.name);
    sweep.x.assign(x.begin(), x.end());
    sweep.outcomes.resize(policies.size());
    return sweep;
}

void append(StreamSweep& sweep, const std::vector<SweepOutcome>& column) {
    for (std::size_t i = 0; i < sweep.outcomes.size(); ++i)
        sweep.outcomes[i].push_back(column[i]);
}

void startProgress(const JobControl& job, std::size_t total) {
    if (job.progress != nullptr)
        job.progress->start(static_cast<std::int64_t>(total));
}

} // namespace

std::vector<double> logarithmicSteps(double least, double most, int count) {
    std::vector<double> steps;
    for (int i = 0; i < count; ++i)
        steps.push_back(count > 1 ? least * std::pow(most / least, static_cast<double>(i) / (count - 1)) : least);
    return steps;
}

Result<StreamSweep> sweepBandwidth(const StreamInput& input, const StreamSetup& setup, std::span<const double> rates,
                                   int starts, const JobControl& job) {
    KVSCOPE_TRY(validate(setup));
    const auto policies = policiesFor(input);
    const BandwidthTrace& trace = *setup.link.paths.front().trace;
    StreamSweep sweep = emptySweep(policies, rates);
    startProgress(job, rates.size() * static_cast<std::size_t>(usefulStarts(trace, starts)));
    for (const double rate : rates) {
        KVSCOPE_ASSIGN(BandwidthTrace scaled, trace.scaledToMean(rate));
        KVSCOPE_ASSIGN(const auto column,
                       outcomesOf(input, withTrace(setup, std::move(scaled)), policies, starts, job));
        append(sweep, column);
    }
    return sweep;
}

Result<StreamSweep> sweepContext(const MeasuredRates& rates, const ProjectionTarget& target, const StreamSetup& setup,
                                 std::span<const double> contexts, int starts, const JobControl& job) {
    KVSCOPE_TRY(validate(setup));
    StreamSweep sweep;
    const BandwidthTrace& trace = *setup.link.paths.front().trace;
    startProgress(job, contexts.size() * static_cast<std::size_t>(usefulStarts(trace, starts)));
    for (const double context : contexts) {
        ProjectionTarget here = target;
        here.contextTokens = std::llround(context);
        KVSCOPE_ASSIGN(const StreamInput input, project(rates, here));
        const auto policies = policiesFor(input);
        if (sweep.policies.empty())
            sweep = emptySweep(policies, contexts);
        KVSCOPE_ASSIGN(const auto column, outcomesOf(input, setup, policies, starts, job));
        append(sweep, column);
    }
    return sweep;
}

Regime RegimeCell::fastest() const {
    return static_cast<Regime>(std::ranges::min_element(ttft) - ttft.begin());
}

double RegimeCell::saved() const {
    std::array<double, 3> sorted = ttft;
    std::ranges::sort(sorted);
    return sorted[1] - sorted[0];
}

Result<RegimeMap> mapRegimes(const MeasuredRates& rates, const ProjectionTarget& target, const StreamSetup& setup,
                             std::span<const double> bandwidths, std::span<const double> contexts,
                             const JobControl& job) {
    KVSCOPE_TRY(validate(setup));
    RegimeMap map;
    map.rates.assign(bandwidths.begin(), bandwidths.end());
    map.contexts.assign(contexts.begin(), contexts.end());
    startProgress(job, contexts.size());
    std::vector<StreamSetup> setups;
    for (const double bandwidth : bandwidths) {
        KVSCOPE_ASSIGN(BandwidthTrace trace, constantTrace(bandwidth));
        setups.push_back(withTrace(setup, std::move(trace)));
        setups.back().link.paths.front().traceStart = 0;
    }
    for (const double context : contexts) {
        ProjectionTarget here = target;
        here.contextTokens = std::llround(context);
        KVSCOPE_ASSIGN(const StreamInput input, project(rates, here));
        for (const StreamSetup& at : setups) {
            if (job.stopRequested())
                return cancelled();
            RegimeCell cell{{kNever, kNever, kNever}};
            for (const PolicyName& policy : policiesFor(input)) {
                const ChunkForm form = input.candidates()[policy.candidate].form;
                if (policy.kind != PolicyName::Kind::Fixed || form == ChunkForm::EightBit)
                    continue;
                const Regime regime = form == ChunkForm::Text  ? Regime::Text
                                      : form == ChunkForm::Raw ? Regime::Raw
                                                               : Regime::Compressed;
                const auto causal = makePolicy(policy);
                double& best = cell.ttft[static_cast<std::size_t>(regime)];
                best = std::min(best, simulate(input, at, *causal, policy.name).ttft);
            }
            map.cells.push_back(cell);
        }
        job.advance(1);
    }
    return map;
}

double TtftDistribution::quantile(double share) const {
    if (ttft.empty())
        return kNever;
    const double place = std::ceil(share * static_cast<double>(ttft.size())) - 1;
    return ttft[static_cast<std::size_t>(std::clamp(place, 0.0, static_cast<double>(ttft.size() - 1)))];
}

double TtftDistribution::within(double seconds) const {
    if (ttft.empty())
        return 0;
    return static_cast<double>(std::ranges::upper_bound(ttft, seconds) - ttft.begin()) /
           static_cast<double>(ttft.size());
}

Result<std::vector<TtftDistribution>> ttftOverStarts(const StreamInput& input, const StreamSetup& setup, int starts,
                                                     const JobControl& job) {
    KVSCOPE_TRY(validate(setup));
    const auto policies = policiesFor(input);
    std::vector<TtftDistribution> distributions;
    distributions.reserve(policies.size());
    for (const PolicyName& policy : policies)
        distributions.push_back({policy.name, {}});
    const auto trace = setup.link.paths.front().trace;
    StreamSetup at = setup;
    startProgress(job, static_cast<std::size_t>(std::max(starts, 0)));
    for (int start = 0; start < starts; ++start) {
        if (job.stopRequested())
            return cancelled();
        at.link.paths.front().traceStart = startOf(*trace, start, starts);
        const auto runs = simulateAll(input, at, policies);
        for (std::size_t i = 0; i < runs.size(); ++i)
            distributions[i].ttft.push_back(runs[i].ttft);
        job.advance(1);
    }
    for (TtftDistribution& distribution : distributions)
        std::ranges::sort(distribution.ttft);
    return distributions;
}

} // namespace kvscope
