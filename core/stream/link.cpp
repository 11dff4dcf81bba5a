// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/link.h"

#include "core/stream/seeded_random.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace kvscope {

namespace {

constexpr double kPacketBytes = 1500;

/// Number of successes in n trials of chance p: exact for few trials, by the normal limit for many.
double binomial(double n, double p, SeededRandom& random) {
    constexpr double kExact = 64;
    if (n <= kExact) {
        double hits = 0;
        for (int i = 0; i < static_cast<int>(n); ++i)
            hits += random.uniform() < p ? 1 : 0;
        return hits;
    }
    return std::clamp(std::round(n * p + std::sqrt(n * p * (1 - p)) * random.normal()), 0.0, n);
}

} // namespace

Result<void> validate(const Link& link) {
    if (link.paths.empty() || link.paths.size() > 2)
        return fail("a link has one or two paths", "link");
    for (const LinkPath& path : link.paths) {
        if (path.trace == nullptr)
            return fail("a path has no bandwidth trace", "link");
        if (!(path.rttSeconds >= 0 && path.rttSeconds <= 1e3) ||
            !(path.jitterSeconds >= 0 && path.jitterSeconds <= 1e3))
            return fail("round trip and jitter must lie between 0 and 1,000 seconds", "link");
        if (!(path.lossRate >= 0 && path.lossRate <= 0.9))
            return fail("the loss must lie between 0 and 90 %", "link");
        if (!(path.traceStart >= 0 && path.traceStart <= BandwidthTrace::kMaxSeconds))
            return fail("the place in the trace must not be negative", "link");
    }
    if (link.priorBitsPerSecond && !(*link.priorBitsPerSecond > 0 && *link.priorBitsPerSecond < 1e18))
        return fail("the bandwidth known before must be positive", "link");
    return {};
}

Link simpleLink(BandwidthTrace trace, double rttSeconds) {
    LinkPath path;
    path.trace = std::make_shared<const BandwidthTrace>(std::move(trace));
    path.rttSeconds = rttSeconds;
    return Link{{path}, 1, std::nullopt};
}

TransferTrouble drawTrouble(const LinkPath& path, std::uint64_t seed, std::uint64_t draw, double payload,
                            double bytesPerSecond) {
    SeededRandom random(seed * 0x2545f4914f6cdd1dULL ^ draw * 0x9e3779b97f4a7c15ULL);
    TransferTrouble trouble;
    if (path.lossRate > 0 && payload > 0) {
        // Packets lost are sent again until they are through. Those of the last round trip delay the chunk by a round
        // trip for each time that some of them are lost; earlier ones are repaired while the chunk is still on its way.
        const double packets = std::ceil(payload / kPacketBytes);
        double lost = binomial(packets, path.lossRate, random);
        while (lost > 0) {
            trouble.bytesAgain += lost * kPacketBytes;
            lost = binomial(lost, path.lossRate, random);
        }
        const double underWay = path.rttSeconds > 0 ? bytesPerSecond * path.rttSeconds : 0;
        const double window = std::clamp(std::ceil(underWay / kPacketBytes), 1.0, packets);
        lost = binomial(window, path.lossRate, random);
        while (lost > 0) {
            trouble.tailSeconds += path.rttSeconds;
            lost = binomial(lost, path.lossRate, random);
        }
    }
    if (path.jitterSeconds > 0)
        trouble.jitterSeconds = path.jitterSeconds * std::abs(random.normal());
    return trouble;
}

Transfer transferBytes(const LinkPath& path, std::uint64_t seed, std::uint64_t draw, double begin, double payload,
                       double receiveAfter) {
    const double rate = path.trace->bitsPerSecondAt(begin + path.traceStart) / 8.0;
    const TransferTrouble trouble = drawTrouble(path, seed, draw, payload, rate);
    const double delay = path.rttSeconds / 2 + trouble.jitterSeconds;
    Transfer transfer;
    transfer.wireBytes = payload + trouble.bytesAgain;
    transfer.sendBegin = begin;
    transfer.sendEnd = path.trace->timeWhenThrough(begin + path.traceStart, transfer.wireBytes) - path.traceStart;
    transfer.receiveBegin = std::max(begin + delay, receiveAfter);
    transfer.receiveEnd = std::max(transfer.sendEnd + delay + trouble.tailSeconds, transfer.receiveBegin);
    return transfer;
}

} // namespace kvscope
