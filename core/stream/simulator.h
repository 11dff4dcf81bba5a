// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/compute_model.h"
#include "core/stream/link.h"
#include "core/stream/policy.h"
#include "core/stream/stream_input.h"
#include "core/stream/timeline.h"

#include <span>
#include <string>
#include <vector>

namespace kvscope {

/// Something that goes wrong with one chunk, for demonstrations and tests; it strikes the chunk's first transfer.
struct Fault {
    enum class Kind : std::uint8_t {
        Lose,    ///< never arrives: noticed a round trip after it should have, and sent again
        Corrupt, ///< arrives, fails its checksum, and is sent again
        Delay    ///< arrives `seconds` late
    };
    Kind kind = Kind::Lose;
    std::size_t chunk = 0;
    double seconds = 0;
};

/// The surroundings of a run.
struct StreamSetup {
    Link link;
    ComputeModel compute;
    /// Target for the first token, seconds from the request.
    double sloSeconds = 2.0;
    std::vector<Fault> faults;
    /// The receiver asks for each chunk itself, ahead as AskAhead says, and learns what there is only from the ids and
    /// sizes: what fetchContext() does. Otherwise the sender goes on at once whenever a path is free. Not for several
    /// contexts: there the first chunk is sent a round trip after the ids.
    bool receiverAsks = false;
    /// Whether text can be recomputed. Where it cannot, what a policy wants as text comes in the smallest form, as
    /// fetchContext() does it; the compute model should then have kNoPrefill.
    bool text = true;
};

/// Refuses what validate() of link and compute model refuses, and an SLO that is not positive.
Result<void> validate(const StreamSetup& setup);

/// Simulates one strategy. Pure: equal arguments give equal timelines. The setup must be valid.
///
/// The request is made at 0 and reaches the sender after half a round trip. Token ids and sizes come first on the first
/// path, then chunks one after another on each path. Chunks are decoded in order of arrival; text is recomputed once
/// all chunks before it are ready.
Timeline simulate(const StreamInput& input, const StreamSetup& setup, Policy& policy, std::string name);

/// One of several contexts that are requested over the same link.
struct SharedContext {
    const StreamInput* input = nullptr;
    Policy* policy = nullptr;
    std::string name;
};

/// Several receivers, each with its own decoder and compute lane, share the link: whenever a path is free, the context
/// that has had the fewest bytes so far comes next. All are requested at 0; faults are not injected.
std::vector<Timeline> simulateShared(std::span<const SharedContext> contexts, const StreamSetup& setup);

} // namespace kvscope
