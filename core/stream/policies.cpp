// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/policies.h"

#include "core/stream/kvscope_policy.h"

#include <algorithm>

namespace kvscope {

namespace {

struct LastRate {
    double bitsPerSecond = 0;
    RateBasis basis = RateBasis::Chunks;
};

/// That of the last chunk that was sent to its end, or nothing.
std::optional<LastRate> lastThroughput(const Situation& situation) {
    for (auto chunk = situation.sent.rbegin(); chunk != situation.sent.rend(); ++chunk) {
        if (!chunk->abandoned && chunk->send.end <= situation.now && !chunk->send.empty())
            return LastRate{8.0 * chunk->payload / chunk->send.seconds(), RateBasis::Chunks};
    }
    if (situation.link.priorBitsPerSecond)
        return LastRate{*situation.link.priorBitsPerSecond, RateBasis::Given};
    return std::nullopt;
}

} // namespace

std::optional<Choice> Policy::recomputeNow(const Situation&, std::size_t) {
    return std::nullopt;
}

std::optional<std::size_t> Policy::giveUp(const Situation&) {
    return std::nullopt;
}

double futureRate(const Situation& situation, double seconds) {
    const LinkPath& path = situation.link.paths[situation.path];
    return path.trace->bitsPerSecondAt(seconds + path.traceStart);
}

std::optional<Choice> FixedPolicy::nextSend(const Situation& situation) {
    if (situation.openCount == 0)
        return std::nullopt;
    return Choice{situation.firstOpen, candidate_, 0, "the same form for every chunk"};
}

std::optional<Choice> CacheGenPaperPolicy::nextSend(const Situation& situation) {
    if (situation.openCount == 0)
        return std::nullopt;
    const StreamInput& input = situation.input;
    const std::size_t chunk = situation.firstOpen;
    const std::size_t chunks = input.chunkCount();
    const double remaining = situation.sloSeconds - situation.now;
    const auto rate = lastThroughput(situation);
    const auto [estimate, basis] = rate.value_or(LastRate{});

    const double recompute = situation.prefillBefore[chunks] - situation.prefillBefore[chunk];
    situation.considered.push_back({StreamInput::textCandidate(), situation.now + recompute, recompute <= remaining});
    std::optional<std::size_t> best;
    for (const std::size_t level : input.levels()) {
        const double bytes = input.bytesBefore(level, chunks) - input.bytesBefore(level, chunk);
        double seconds = kNever;
        if (rate)
            seconds = 8.0 * bytes / estimate;
        situation.considered.push_back({level, situation.now + seconds, seconds <= remaining});
        if (!best && seconds <= remaining)
            best = level;
    }
    if (recompute <= remaining || input.levels().empty())
        return Choice{chunk, StreamInput::textCandidate(), estimate, "recomputing all that remains fits", basis};
    if (!rate)
        return Choice{chunk, input.levels()[input.levels().size() / 2], 0, "nothing known yet: the middle level"};
    if (best)
        return Choice{chunk, *best, estimate, "the finest level at which all that remains fits", basis};
    return Choice{chunk, input.levels().back(), estimate, "nothing fits: the smallest level", basis};
}

std::optional<Choice> CacheGenCodePolicy::nextSend(const Situation& situation) {
    if (situation.openCount == 0)
        return std::nullopt;
    constexpr double kTextSeconds = 0.2;
    const StreamInput& input = situation.input;
    const std::size_t chunk = situation.firstOpen;
    const double budget = situation.sloSeconds / static_cast<double>(input.chunkCount());
    const double rate = futureRate(situation, situation.now);
    std::optional<std::size_t> best;
    for (const std::size_t level : input.levels()) {
        double seconds = kNever;
        if (rate > 0)
            seconds = 8.0 * input.option(chunk, level).bytes / rate;
        situation.considered.push_back({level, situation.now + seconds, seconds < budget});
        if (!best && seconds < budget)
            best = level;
    }
    situation.considered.push_back({StreamInput::textCandidate(), situation.now + kTextSeconds, false});
    if (best)
        return Choice{chunk, *best, rate, "the finest level within this chunk's share of the SLO", RateBasis::Future};
    return Choice{chunk, StreamInput::textCandidate(), rate, "no level fits this chunk's share of the SLO",
                  RateBasis::Future};
}

std::vector<PolicyName> policiesFor(const StreamInput& input) {
    using Kind = PolicyName::Kind;
    std::vector<PolicyName> names;
    for (std::size_t c = 0; c < input.candidateCount(); ++c)
        names.push_back({Kind::Fixed, c, input.candidates()[c].name});
    if (!input.levels().empty()) {
        names.push_back({Kind::CacheGenPaper, 0, "cachegen"});
        names.push_back({Kind::CacheGenCode, 0, "cachegen-code"});
    }
    names.push_back({Kind::KvScope, 0, "kvscope"});
    names.push_back({Kind::Oracle, 0, "oracle"});
    return names;
}

std::unique_ptr<Policy> makePolicy(const PolicyName& name) {
    switch (name.kind) {
    case PolicyName::Kind::Fixed:
        return std::make_unique<FixedPolicy>(name.candidate);
    case PolicyName::Kind::CacheGenPaper:
        return std::make_unique<CacheGenPaperPolicy>();
    case PolicyName::Kind::CacheGenCode:
        return std::make_unique<CacheGenCodePolicy>();
    case PolicyName::Kind::KvScope:
        return std::make_unique<KvScopePolicy>();
    case PolicyName::Kind::Oracle:
        break;
    }
    return nullptr;
}

} // namespace kvscope
