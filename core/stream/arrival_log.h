// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/bandwidth_trace.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace kvscope {

/// Bytes as they arrived on a path, as a bandwidth over time. Times in seconds from the request.
class ArrivalLog {
public:
    void add(double seconds, double bytes);
    /// Nothing could come between the last bytes and then, as nothing had been asked for.
    void idle(double until);

    /// The bandwidth at the sender's end, `shift` seconds before the receiver's; a trace that carries next to nothing
    /// while nothing has arrived, and as much as afterwards where nothing had been asked for.
    [[nodiscard]] std::shared_ptr<const BandwidthTrace> trace(double shift, const std::string& name) const;
    /// Bits per second over what the path was not idle of the last `window` seconds before `now`; 0 before anything
    /// arrived.
    [[nodiscard]] double recentRate(double now, double window) const;

private:
    struct Bin {
        double end = 0;
        double bytes = 0;
        bool idle = false;
    };
    std::vector<Bin> bins_;
    double begin_ = -1;
};

} // namespace kvscope
