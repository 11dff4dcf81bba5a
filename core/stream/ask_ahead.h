// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <limits>
#include <span>

namespace kvscope {

/// A transfer that a receiver has asked a path for and does not have whole.
struct AskedFor {
    std::size_t transfer = 0;
    /// When the receiver asked, seconds from the request.
    double since = 0;
    double bytesLeft = 0;
    /// Whether its first byte has come.
    bool begun = false;
    /// When its last byte is expected; foresee() fills it in.
    double arrives = std::numeric_limits<double>::infinity();
};

/// What a receiver knows of a path at a moment.
struct PathOutlook {
    /// Seconds from the request, at the receiver.
    double now = 0;
    double rttSeconds = 0;
    /// At which bytes have come lately; 0 while nothing is known.
    double bytesPerSecond = 0;
    /// How much later than round trip and bandwidth explain transfers begin and end at times.
    double lateSeconds = 0;
};

/// When a receiver asks a path for another chunk, in a fetch and in its simulation alike: as late as the path still
/// has no gap, so that the form of each chunk is chosen with all that can be known by then. What was asked for comes
/// one behind the other, each no sooner than a round trip after it was asked for; a little before the sender has sent
/// the last of it, the next request is to reach it. On a link whose delay is long against a chunk's time on the wire,
/// several requests are on their way at once.
class AskAhead {
public:
    /// Requests open on a path, at most.
    static constexpr std::size_t kMostOpen = 32;
    /// Over how long a receiver reckons the rate of a path.
    static constexpr double kRateWindow = 0.1;
    /// Shortest pause between two looks.
    static constexpr double kShortestPause = 5e-4;

    /// Bytes per second of a path on which nothing but the directory has come, `seconds` later than its round trip
    /// explains: rather too low than too high where that time is too short to be measured.
    static double firstRate(double bytes, double seconds);
    /// Fills in when each of the transfers, in the order in which they were asked for, will be there.
    static void foresee(const PathOutlook& path, std::span<AskedFor> asked);
    /// When to ask for more, at the receiver: at once where that is not later than now. Infinite where something must
    /// arrive first. `asked` must be foreseen.
    static double askAt(const PathOutlook& path, std::span<const AskedFor> asked);
};

/// How much later than expected transfers of a path have begun and ended lately, seconds: what jitter and lost packets
/// cost. The largest of each, which fades with every transfer.
class Lateness {
public:
    void began(double seconds);
    void ended(double seconds);
    [[nodiscard]] double seconds() const { return begin_ + end_; }

private:
    double begin_ = 0;
    double end_ = 0;
};

} // namespace kvscope
