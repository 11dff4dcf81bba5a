// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/simulator.h"
#include "core/stream/stream_input.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace kvscope {

/// Dynamic programme over the chunks of a context, from the last to the first: for each suffix, the combinations of
/// forms that lose least for what they cost on the network. Text is left to a prefix: it needs every chunk before it,
/// so recomputing waits for nothing only at the front.
class OfflinePlanner {
public:
    /// What a form costs: its bytes, or, where decoding may be the slower part, the longer of the time on a link of
    /// that many bytes a second and the time to decode it.
    struct Cost {
        double bytesPerSecond = 0;
        bool withDecoding = false;
    };

    OfflinePlanner(const StreamInput& input, const StreamSetup& setup, Cost cost);

    /// The plan (one candidate for each chunk) that loses least when the last chunk must be ready by `deadline` and
    /// the decoder needs `tail` seconds after the last byte; of equals the earliest. Empty when there is none.
    [[nodiscard]] std::vector<std::size_t> bestBy(double deadline, double tail) const;
    /// When the last chunk can be ready at the earliest.
    [[nodiscard]] double earliest(double tail) const;

private:
    /// A combination for a suffix of the chunks.
    struct Point {
        double cost = 0;
        double loss = 0;
        std::uint32_t rest = 0;
        std::uint32_t candidate = 0;
    };

    [[nodiscard]] double costOf(std::size_t chunk, std::size_t candidate) const;
    [[nodiscard]] double computedAt(std::size_t prefix) const { return idsArrive_ + prefillBefore_[prefix]; }
    /// Cost that is through on all paths by the time at which its last byte must arrive.
    [[nodiscard]] double budget(double arriveBy) const;
    /// When a cost is through and has arrived.
    [[nodiscard]] double arrives(double cost) const;
    void prune(std::vector<Point>& points, std::size_t most) const;

    const StreamInput& input_;
    const StreamSetup& setup_;
    Cost cost_;
    double idsArrive_ = 0;
    std::vector<double> prefillBefore_;
    /// Combinations of chunks [k, n) by rising cost and falling loss, for each k.
    std::vector<std::vector<Point>> suffixes_;
};

} // namespace kvscope
