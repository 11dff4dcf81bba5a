// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/policy.h"

#include <vector>

namespace kvscope {

/// Every chunk in the same form, in order.
class FixedPolicy : public Policy {
public:
    explicit FixedPolicy(std::size_t candidate)
        : candidate_(candidate) {}
    std::optional<Choice> nextSend(const Situation& situation) override;

private:
    std::size_t candidate_;
};

/// CacheGen as in the paper (Liu et al., SIGCOMM 2024, section 5.3): chunks in order; text as soon as recomputing all
/// that remains fits into the remaining time, else the finest level at which all that remains fits at the throughput
/// of the chunk before, else the smallest. Without any throughput known: the middle level.
class CacheGenPaperPolicy : public Policy {
public:
    std::optional<Choice> nextSend(const Situation& situation) override;
};

/// CacheGen as in its released code: each chunk has SLO / chunks; the finest level that the link's rate at that very
/// moment of the trace carries within it, else text, reckoned at 0.2 s.
class CacheGenCodePolicy : public Policy {
public:
    std::optional<Choice> nextSend(const Situation& situation) override;
};

/// Carries out a plan made beforehand: text for a first part, then the others in order.
class PlannedPolicy : public Policy {
public:
    /// One candidate for each chunk.
    explicit PlannedPolicy(std::vector<std::size_t> plan)
        : plan_(std::move(plan)) {}
    std::optional<Choice> nextSend(const Situation& situation) override {
        if (situation.openCount == 0)
            return std::nullopt;
        return Choice{situation.firstOpen, plan_[situation.firstOpen], 0, "planned with the whole trace known"};
    }

private:
    std::vector<std::size_t> plan_;
};

} // namespace kvscope
