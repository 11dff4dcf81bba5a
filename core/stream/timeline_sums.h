// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/stream_input.h"
#include "core/stream/timeline.h"

namespace kvscope {

/// Fills the figures of a timeline from its chunks and abandoned transfers: TTFT, bytes (on top of those of the ids),
/// error, quality, mean level, seconds of computing and of decoding.
void sumUp(Timeline& timeline, const StreamInput& input, double firstStepSeconds);

} // namespace kvscope
