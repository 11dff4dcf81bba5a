// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/oracle.h"

#include "core/stream/offline_plan.h"
#include "core/stream/policies.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace kvscope {

namespace {

constexpr std::string_view kName = "oracle";
constexpr std::string_view kReason = "planned with the whole trace known";

class Search {
public:
    Search(const StreamInput& input, const StreamSetup& setup)
        : input_(input)
        , setup_(setup)
        , latest_(setup.sloSeconds - setup.compute.firstStepSeconds) {
        // Decoding time after the last byte, of the first chunk that is sent last: at least that of the fastest form.
        const std::size_t last = input.chunkCount() - 1;
        double slowest = 0;
        double fastest = kNever;
        for (std::size_t c = 1; c < input.candidateCount(); ++c) {
            const double speed = input.candidates()[c].form == ChunkForm::Level ? setup.compute.decodeBytesPerSecond
                                                                                : setup.compute.unpackBytesPerSecond;
            const double tail = input.option(last, c).decodedBytes / speed / setup.compute.decodePieces;
            slowest = std::max(slowest, tail);
            fastest = std::min(fastest, tail);
        }
        tails_ = {fastest, slowest};
    }

    void consider(const Timeline& timeline) {
        if (!best_ || servesBetter(timeline, *best_))
            best_ = timeline;
    }

    /// Simulates what the planner proposes, with some slack where the first proposals come too late.
    void tryPlans(const OfflinePlanner& planner) {
        const bool feasible = planner.earliest(tails_[0]) <= latest_;
        bool met = false;
        if (feasible) {
            for (const double slack : {0.0, 0.002, 0.01, 0.03, 0.1}) {
                for (const double tail : tails_)
                    met = met || tryPlan(planner.bestBy(latest_ - slack, tail));
                if (met)
                    break;
            }
        }
        if (!met) {
            for (const double tail : tails_)
                tryPlan(planner.bestBy(planner.earliest(tail) * (1 + 1e-12), tail));
        }
    }

    /// Changes single chunks of the best plan as long as that helps: finds what the planner's text-first plans miss,
    /// such as text behind chunks that a slow decoder holds up.
    void improve() {
        constexpr std::size_t kMostChunks = 24;
        constexpr int kMostRounds = 4;
        const std::size_t chunks = input_.chunkCount();
        if (!best_ || chunks > kMostChunks)
            return;
        std::vector<std::size_t> plan;
        for (const ChunkTimes& chunk : best_->chunks)
            plan.push_back(chunk.candidate == kNoIndex ? StreamInput::textCandidate() : chunk.candidate);
        tryPlan(plan);
        bool better = true;
        for (int round = 0; better && round < kMostRounds; ++round) {
            better = false;
            for (std::size_t i = 0; i < chunks; ++i) {
                for (std::size_t c = 0; c < input_.candidateCount(); ++c) {
                    const std::size_t before = plan[i];
                    plan[i] = c;
                    const double ttft = best_->ttft;
                    const double quality = best_->quality;
                    if (c != before)
                        tryPlan(plan);
                    if (best_->ttft == ttft && best_->quality == quality)
                        plan[i] = before;
                    else
                        better = true;
                }
            }
        }
    }

    [[nodiscard]] bool met() const { return best_ && best_->meetsSlo(); }
    Timeline take() { return std::move(*best_); }

private:
    bool tryPlan(std::vector<std::size_t> plan) {
        if (plan.empty() || plan == lastPlan_)
            return false;
        lastPlan_ = plan;
        PlannedPolicy policy(std::move(plan));
        const Timeline timeline = simulate(input_, setup_, policy, std::string(kName));
        consider(timeline);
        return timeline.meetsSlo();
    }

    const StreamInput& input_;
    const StreamSetup& setup_;
    double latest_;
    std::array<double, 2> tails_{};
    std::vector<std::size_t> lastPlan_;
    std::optional<Timeline> best_;
};

} // namespace

Timeline simulateOracle(const StreamInput& input, const StreamSetup& setup, std::span<const Timeline> others) {
    Search search(input, setup);
    const OfflinePlanner planner(input, setup, {});
    search.tryPlans(planner);
    const double rate = setup.link.paths.front().trace->meanBitsPerSecond() / 8.0;
    double decode = 0;
    double wire = 0;
    for (std::size_t c = 1; c < input.candidateCount(); ++c) {
        if (input.candidates()[c].form == ChunkForm::Level) {
            decode = input.option(0, c).decodedBytes / setup.compute.decodeBytesPerSecond;
            wire = input.option(0, c).bytes / std::max(rate, 1.0);
        }
    }
    if (decode > wire || !search.met())
        search.tryPlans(OfflinePlanner(input, setup, {std::max(rate, 1.0), true}));
    for (const Timeline& other : others)
        search.consider(other);
    search.improve();
    Timeline best = search.take();
    best.policy = kName;
    for (Decision& decision : best.decisions) {
        decision.reason = kReason;
        decision.estimate = 0;
    }
    // It goes by whole plans.
    for (Considered& considered : best.considered)
        considered.weighed = false;
    return best;
}

std::vector<Timeline> simulateAll(const StreamInput& input, const StreamSetup& setup,
                                  std::span<const PolicyName> policies) {
    std::vector<Timeline> timelines(policies.size());
    std::vector<Timeline> causal;
    const bool withOracle = std::ranges::find(policies, PolicyName::Kind::Oracle, &PolicyName::kind) != policies.end();
    const auto same = [](const PolicyName& a, const PolicyName& b) { return a.name == b.name; };
    for (std::size_t i = 0; i < policies.size(); ++i) {
        const auto policy = makePolicy(policies[i]);
        if (policy == nullptr)
            continue;
        timelines[i] = simulate(input, setup, *policy, policies[i].name);
    }
    if (!withOracle)
        return timelines;
    for (const PolicyName& name : policiesFor(input)) {
        const auto given = std::ranges::find_if(policies, [&](const PolicyName& p) { return same(p, name); });
        if (given != policies.end())
            causal.push_back(timelines[static_cast<std::size_t>(given - policies.begin())]);
        else if (const auto policy = makePolicy(name))
            causal.push_back(simulate(input, setup, *policy, name.name));
    }
    std::erase_if(causal, [](const Timeline& timeline) { return timeline.chunks.empty(); });
    for (std::size_t i = 0; i < policies.size(); ++i) {
        if (policies[i].kind == PolicyName::Kind::Oracle)
            timelines[i] = simulateOracle(input, setup, causal);
    }
    return timelines;
}

Timeline simulate(const StreamInput& input, const StreamSetup& setup, const PolicyName& policy) {
    return std::move(simulateAll(input, setup, std::span(&policy, 1)).front());
}

} // namespace kvscope
