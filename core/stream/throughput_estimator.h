// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/policy.h"

#include <cstddef>
#include <optional>

namespace kvscope {

/// What a path will carry, from what has arrived: a mean over the past that fades with a time constant, and how far
/// single moments strayed from it. Causal: only bytes known to have arrived count.
class ThroughputEstimator {
public:
    struct Estimate {
        /// Bits per second.
        double rate = 0;
        /// Standard deviation relative to the rate, uncertainty about short observation included.
        double spread = 0;
        RateBasis basis = RateBasis::Chunks;

        /// A rate that the link will most likely keep up.
        [[nodiscard]] double cautious() const { return rate / (1.0 + spread); }
    };

    /// Takes in what has arrived since the last call.
    void update(const Situation& situation, std::size_t path);
    /// Nothing before any chunk has arrived, unless the link's bandwidth was known before.
    [[nodiscard]] std::optional<Estimate> estimate() const;

private:
    void add(double bitsPerSecond, double seconds);

    bool started_ = false;
    /// Something has come, so that not only what was known before the request counts.
    bool measured_ = false;
    double until_ = 0;
    /// Faded sums of seconds, bits, and bits squared over seconds.
    double seconds_ = 0;
    double bits_ = 0;
    double squares_ = 0;
    /// From the sender's side alone.
    std::optional<Estimate> first_;
};

} // namespace kvscope
