// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/policy.h"
#include "core/stream/simulator.h"
#include "core/stream/stream_input.h"
#include "core/stream/timeline.h"

#include <span>
#include <vector>

namespace kvscope {

/// The best that can be done when the whole trace is known: plans of the dynamic programme (see OfflinePlanner),
/// simulated, and what the other strategies reached (`others`, of the same input and setup). None of those serves the
/// objective better than what is returned.
Timeline simulateOracle(const StreamInput& input, const StreamSetup& setup, std::span<const Timeline> others);

/// Simulates strategies, in the order given. The oracle is measured against all causal strategies, those that were not
/// asked for included.
std::vector<Timeline> simulateAll(const StreamInput& input, const StreamSetup& setup,
                                  std::span<const PolicyName> policies);

/// One strategy.
Timeline simulate(const StreamInput& input, const StreamSetup& setup, const PolicyName& policy);

} // namespace kvscope
