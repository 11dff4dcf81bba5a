// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/throughput_estimator.h"

#include <algorithm>
#include <cmath>

namespace kvscope {

namespace {

/// Moments over which the rate is averaged, and how fast they are forgotten.
constexpr double kWindowSeconds = 0.04;
constexpr double kMemorySeconds = 0.5;
/// A rate known before the request counts as if it had been observed for so long, with such a spread.
constexpr double kPriorSeconds = 0.1;
constexpr double kPriorSpread = 0.5;
/// Spread that is always reckoned with, and that of a link seen for no longer than kNewSeconds.
constexpr double kLeastSpread = 0.1;
constexpr double kNewSpread = 0.5;
constexpr double kNewSeconds = 0.1;

} // namespace

void ThroughputEstimator::add(double bitsPerSecond, double seconds) {
    measured_ = true;
    const double keep = std::exp(-seconds / kMemorySeconds);
    seconds_ = keep * seconds_ + seconds;
    bits_ = keep * bits_ + bitsPerSecond * seconds;
    squares_ = keep * squares_ + bitsPerSecond * bitsPerSecond * seconds;
}

void ThroughputEstimator::update(const Situation& situation, std::size_t path) {
    if (!started_) {
        started_ = true;
        if (situation.link.priorBitsPerSecond && path == 0) {
            const double rate = *situation.link.priorBitsPerSecond;
            seconds_ = kPriorSeconds;
            bits_ = rate * kPriorSeconds;
            squares_ = rate * rate * kPriorSeconds * (1 + kPriorSpread * kPriorSpread);
        }
    }
    const double known = situation.observedUntil(path);
    // After a long silence the windows grow, so that no call takes long.
    const double window = std::max(kWindowSeconds, (known - until_) / 32);
    while (known - until_ >= window / 2) {
        const double next = std::min(known, until_ + window);
        const Throughput seen = situation.observed(path, until_, next);
        if (seen.seconds > 1e-4)
            add(8.0 * seen.bytes / seen.seconds, seen.seconds);
        until_ = next;
    }
    // Nothing has had the time to arrive: that the path is free again says how long it took to send what was sent.
    if (seconds_ > 0 || situation.atReceiver)
        return;
    Throughput sums;
    for (const SentChunk& sent : situation.sent) {
        if (sent.path == path && sent.send.end <= situation.now) {
            sums.bytes += sent.payload;
            sums.seconds += sent.send.seconds();
        }
    }
    if (sums.seconds > 0)
        first_ = Estimate{8.0 * sums.bytes / sums.seconds, kNewSpread};
}

std::optional<ThroughputEstimator::Estimate> ThroughputEstimator::estimate() const {
    if (!(seconds_ > 0) || !(bits_ > 0))
        return first_;
    const double mean = bits_ / seconds_;
    const double variance = std::max(0.0, squares_ / seconds_ / (mean * mean) - 1.0);
    const double unseen = kNewSpread * kNewSeconds / (kNewSeconds + seconds_);
    return Estimate{mean, std::sqrt(variance + kLeastSpread * kLeastSpread + unseen * unseen),
                    measured_ ? RateBasis::Chunks : RateBasis::Given};
}

} // namespace kvscope
