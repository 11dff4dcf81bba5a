// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/ask_ahead.h"

#include <algorithm>

namespace kvscope {

namespace {

constexpr double kForEver = std::numeric_limits<double>::infinity();
/// How soon before the sender runs dry the next request is to be there.
constexpr double kAskAhead = 3e-3;
/// How exactly the time that a directory took on the wire is known.
constexpr double kFirstGrain = 5e-5;
/// Lateness that is reckoned with at most, and what is left of it with each transfer.
constexpr double kMostLateness = 0.2;
constexpr double kLatenessKept = 0.95;

} // namespace

double AskAhead::firstRate(double bytes, double seconds) {
    return bytes / (std::max(0.0, seconds) + kFirstGrain);
}

void AskAhead::foresee(const PathOutlook& path, std::span<AskedFor> asked) {
    double free = path.now;
    for (AskedFor& one : asked) {
        const double begins = one.begun ? free : std::max(free, one.since + path.rttSeconds);
        if (one.bytesLeft <= 0)
            one.arrives = begins;
        else
            one.arrives = path.bytesPerSecond > 0 ? begins + one.bytesLeft / path.bytesPerSecond : kForEver;
        free = one.arrives;
    }
}

double AskAhead::askAt(const PathOutlook& path, std::span<const AskedFor> asked) {
    if (asked.size() >= kMostOpen)
        return kForEver;
    const double dry = asked.empty() ? path.now : asked.back().arrives;
    return dry - path.rttSeconds - path.lateSeconds - kAskAhead;
}

void Lateness::began(double seconds) {
    begin_ = std::clamp(seconds, kLatenessKept * begin_, kMostLateness);
}

void Lateness::ended(double seconds) {
    end_ = std::clamp(seconds, kLatenessKept * end_, kMostLateness);
}

} // namespace kvscope
