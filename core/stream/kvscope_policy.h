// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/policy.h"
#include "core/stream/throughput_estimator.h"

#include <array>
#include <cstddef>
#include <optional>

namespace kvscope {

/// KVScope's own strategy. The compute lane recomputes text from the front of the context, where nothing has to be
/// waited for, while the network brings chunks from its back; they meet where the bandwidth lets them. Each chunk is
/// sent in the best form with which the first token is still expected within the SLO at a cautious estimate of the
/// bandwidth, all that remains being split between both sides: time saved by one chunk is there for the next. A
/// transfer that turns out too slow is given up for text or a smaller level. Where the SLO is out of reach, the form
/// with the earliest first token.
class KvScopePolicy : public Policy {
public:
    std::optional<Choice> nextSend(const Situation& situation) override;
    std::optional<Choice> recomputeNow(const Situation& situation, std::size_t chunk) override;
    std::optional<std::size_t> giveUp(const Situation& situation) override;

private:
    struct Rates {
        /// Bits per second of the path in question, and of all paths.
        double path = 0;
        double all = 0;
        /// Of the path's.
        RateBasis basis = RateBasis::Chunks;

        /// Chunks have come, or the bandwidth was known before; otherwise it is little more than a guess.
        [[nodiscard]] bool known() const { return basis == RateBasis::Chunks || basis == RateBasis::Given; }
    };
    /// Chunks [first, last] that are still to come, `last` next on the network.
    struct Remaining {
        std::size_t first = 0;
        std::size_t last = 0;
        double networkFree = 0;
        double computeFree = 0;
    };

    /// Expected or cautious rates: measured or given ones, else what the ids' transfer or the other path suggest.
    Rates rates(const Situation& situation, std::size_t path, bool cautious);
    /// When the first token comes if `last` is sent as a candidate and the rest is shared between recomputing from the
    /// front and sending in the same form from the back.
    static double finish(const Situation& situation, const Remaining& rest, std::size_t candidate, const Rates& rates);
    static double finishAsText(const Situation& situation, const Remaining& rest);
    static double arrival(const Situation& situation, const SentChunk& sent, const Rates& rates);

    std::array<ThroughputEstimator, 2> estimators_;
    /// The network was left idle because recomputing alone does best.
    bool resting_ = false;
};

} // namespace kvscope
