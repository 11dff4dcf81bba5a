// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/host_device.h"

#include <cstdint>

/// The quantiser of kvz chunks, for every machine that runs it: IEEE operations on their own, no fused ones.
namespace kvscope {

/// Values of more steps than this are kept bit by bit.
inline constexpr float kMostSteps = 0x1p20F;
/// So are values larger than this, whose transforms could overflow, and steps outside these bounds serve nothing.
inline constexpr float kLargestStepped = 0x1p100F;
inline constexpr float kSmallestStep = 0x1p-120F;

/// Offsets of channels are in parts of a step, up to so many.
inline constexpr std::int32_t kOffsetParts = 4;
inline constexpr double kMostOffset = 0x1p22;

/// An offset in steps; exact.
KVSCOPE_HD inline float offsetSteps(std::int32_t offset) {
    return static_cast<float>(offset) * (1.0F / kOffsetParts);
}

/// How many steps lie between the channel's offset and the value, to the nearest, ties to even; `inverse` is 1 / step.
/// Neither value * inverse nor what is left may exceed 2^22 in magnitude.
KVSCOPE_HD inline std::int32_t stepsOf(float value, float inverse, float offset) {
    // Adding and subtracting 1.5 * 2^23 leaves the nearest integer.
    constexpr float kRounder = 0x1.8p23F;
    const float scaled = value * inverse - offset;
    return static_cast<std::int32_t>((scaled + kRounder) - kRounder);
}

/// What so many steps from the offset stand for.
KVSCOPE_HD inline float valueOfSteps(std::int32_t steps, float offset, float step) {
    return (static_cast<float>(steps) + offset) * step;
}

} // namespace kvscope
