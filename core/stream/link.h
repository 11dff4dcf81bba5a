// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/stream/bandwidth_trace.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace kvscope {

/// One way from the sender to the receiver. Times in seconds.
struct LinkPath {
    std::shared_ptr<const BandwidthTrace> trace;
    /// Where in the trace the request is made.
    double traceStart = 0;
    double rttSeconds = 0.02;
    /// Share of packets of 1,500 bytes that are lost and sent again, 0 to below 1.
    double lossRate = 0;
    /// Standard deviation of the extra delay of a chunk (half-normal); arrivals keep their order.
    double jitterSeconds = 0;
};

/// One or two paths; a chunk travels on the path that is free first.
struct Link {
    std::vector<LinkPath> paths;
    /// Draws losses and jitter: equal seeds give equal times.
    std::uint64_t seed = 1;
    /// What was known of the bandwidth of the first path before the request, bits per second.
    std::optional<double> priorBitsPerSecond;
};

/// Refuses anything but one or two paths with traces, and delays and shares outside their ranges.
Result<void> validate(const Link& link);

/// A link of one path without loss or jitter.
Link simpleLink(BandwidthTrace trace, double rttSeconds);

/// What goes wrong with a transfer on its way.
struct TransferTrouble {
    /// Bytes that are sent once more because packets were lost.
    double bytesAgain = 0;
    /// How much later its end arrives because packets of the end were lost, and how much later all of it does.
    double tailSeconds = 0;
    double jitterSeconds = 0;
};

/// Draws what befalls `payload` bytes that leave at `bytesPerSecond` (infinite: at once) on a path of that loss, jitter
/// and round trip. `draw` makes this transfer differ from others of the same seed.
TransferTrouble drawTrouble(const LinkPath& path, std::uint64_t seed, std::uint64_t draw, double payload,
                            double bytesPerSecond);

/// Bytes on their way; sender's side and receiver's side, seconds from the request. Infinite where they never arrive.
struct Transfer {
    double sendBegin = 0;
    double sendEnd = 0;
    double receiveBegin = 0;
    double receiveEnd = 0;
    /// Bytes that crossed the wire: the payload and what was sent again.
    double wireBytes = 0;
};

/// Sends `payload` bytes on a path from `begin` on; nothing is received before `receiveAfter` (order of arrival).
/// `draw` makes losses and jitter of this transfer differ from others of the same seed.
Transfer transferBytes(const LinkPath& path, std::uint64_t seed, std::uint64_t draw, double begin, double payload,
                       double receiveAfter);

} // namespace kvscope
