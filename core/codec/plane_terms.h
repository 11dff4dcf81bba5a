// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/channel_terms.h"

#include <cstdint>
#include <span>

namespace kvscope {

/// Channel terms for a plane that is coded in steps of `step`, found on a sample of whole rows [token][channel] of it
/// (finite values, after the pipeline's transform), by what the coder's other predictions leave of them.
ChannelTerms termsOfPlane(std::span<const float> rows, std::int64_t channels, float step, std::int64_t planeTokens);

} // namespace kvscope
