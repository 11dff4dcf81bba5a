// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/host_device.h"
#include "core/codec/kvz_step.h"

#include <array>
#include <cstddef>
#include <cstdint>

/// Trellis-coded quantisation of kvz chunks, for every machine that runs it (Marcellin and Fischer, IEEE Trans. Commun.
/// 38(1), 1990; here with two quantisers and transitions by parity, as in video coding's dependent quantisation): the
/// tokens of a channel walk through eight states, of which each allows only the even or only the odd points of a grid
/// that is twice as fine as its step. Whoever decodes knows the state from the numbers before; whoever encodes chooses
/// the walk whose points lie nearest to all values, which comes about 1 dB nearer than rounding one by one.
namespace kvscope {

inline constexpr std::size_t kTrellisStates = 8;
/// The step of a channel with a trellis, in steps of one without: errors have the same mean square.
inline constexpr float kTrellisStep = 1.125F;
/// Points lie so many steps below or above those of whole numbers, by the state.
inline constexpr float kTrellisShift = 0.25F;

/// Where even and odd numbers lead from each state: [2 * state + parity].
inline constexpr std::array<std::uint8_t, 2 * kTrellisStates> kTrellisNext{0, 2, 5, 7, 1, 3, 6, 4,
                                                                           2, 0, 4, 6, 3, 1, 7, 5};

/// The state of the token after one that has this number. Token 0 has state 0.
KVSCOPE_HD inline unsigned nextTrellisState(unsigned state, std::int32_t number) {
    // kTrellisNext in nibbles.
    constexpr std::uint64_t kNext = 0x5713'6402'4631'7520;
    return static_cast<unsigned>(kNext >> ((2 * state + (static_cast<unsigned>(number) & 1U)) * 4)) & 7U;
}

/// What is added to a number of a token in this state, in quarters of a step.
KVSCOPE_HD constexpr int trellisQuarters(unsigned state) {
    return (state & 1U) != 0 ? 1 : -1;
}

/// The point of a number in a state, in quarters of a step, modulo 2^16; `uses` is -1 for a channel with a trellis, 0
/// for others. valueOfSteps() makes a value of it, with offset and step in quarters too.
KVSCOPE_HD constexpr std::int16_t quartersOf(std::int16_t number, unsigned state, std::int16_t uses) {
    return static_cast<std::int16_t>(4 * number + (trellisQuarters(state) & uses));
}

} // namespace kvscope
