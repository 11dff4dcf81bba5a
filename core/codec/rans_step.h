// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/host_device.h"

#include <cstdint>

/// One step of a lane of the rANS coder, for every machine that runs it: 32-bit states in [2^15, 2^31), probabilities
/// of 12 bits, words of 16 bits, at most one word a symbol. Integers only, so that all of them make the same bytes.
namespace kvscope {

inline constexpr int kRansLanes = 32;
inline constexpr int kRansProbabilityBits = 12;
/// What the frequencies of a table add up to.
inline constexpr std::uint32_t kRansTotal = 1U << kRansProbabilityBits;
inline constexpr int kRansLowStateBits = 15;
inline constexpr int kRansWordBits = 16;
/// States are at least this and below kRansStateLow << kRansWordBits.
inline constexpr std::uint32_t kRansStateLow = 1U << kRansLowStateBits;
inline constexpr int kRansStateBits = kRansLowStateBits + kRansWordBits;

/// Decode entry of a slot: frequency (12 bits) | slot - first slot of the symbol (12) | symbol (8). A frequency of
/// 4096 does not fit; such rows are not coded at all.
KVSCOPE_HD constexpr std::uint32_t ransEntry(std::uint32_t frequency, std::uint32_t offset, std::uint32_t symbol) {
    return frequency << 20 | offset << 8 | symbol;
}

/// Which entry of the table the state selects.
KVSCOPE_HD constexpr std::uint32_t ransSlot(std::uint32_t state) {
    return state & (kRansTotal - 1);
}

KVSCOPE_HD constexpr std::uint8_t ransSymbol(std::uint32_t entry) {
    return static_cast<std::uint8_t>(entry & 0xFFU);
}

/// The state after its symbol was taken off; it may need a word.
KVSCOPE_HD constexpr std::uint32_t ransPop(std::uint32_t state, std::uint32_t entry) {
    return (entry >> 20) * (state >> kRansProbabilityBits) + (entry >> 8 & (kRansTotal - 1));
}

KVSCOPE_HD constexpr bool ransNeedsWord(std::uint32_t state) {
    return state < kRansStateLow;
}

KVSCOPE_HD constexpr std::uint32_t ransRefill(std::uint32_t state, std::uint16_t word) {
    return state << kRansWordBits | word;
}

/// Whether the state must give away a word (its low half) before a symbol of this frequency is put on.
KVSCOPE_HD constexpr bool ransMustSpill(std::uint32_t state, std::uint32_t frequency) {
    return state >= frequency << (kRansStateBits - kRansProbabilityBits);
}

/// Puts a symbol with slots [first, first + frequency) on a state that has spilled where it must.
KVSCOPE_HD constexpr std::uint32_t ransPush(std::uint32_t state, std::uint32_t frequency, std::uint32_t first) {
    const std::uint32_t quotient = state / frequency;
    return (quotient << kRansProbabilityBits) + (state - quotient * frequency) + first;
}

} // namespace kvscope
