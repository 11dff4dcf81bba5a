// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

/// The loops over all values of lossless bfloat16 chunks whose exponents are coded in pairs (FORMAT.md), compiled for
/// every instruction set and chosen at run time. All give the same bits. Counts of values are multiples of 64.
namespace kvscope {

/// Exponents that a channel's symbols tell apart: base, base - 1, ...; kFarClass stands for all others.
inline constexpr std::uint16_t kFarClass = 15;
/// Distances below a channel's largest exponent that are counted.
inline constexpr std::size_t kCountedDepths = 24;

/// Counts for 64 channels how often their exponents lie 0 .. kCountedDepths - 1 below their largest one.
struct ExponentCounts {
    std::array<std::uint16_t, 64> largest{};
    std::array<std::array<std::uint16_t, 64>, kCountedDepths> below{};
};

/// Counts the exponents of 64 channels; values of row t begin at rows[t] + firstChannel.
void countExponents(const std::uint16_t* const* rows, std::size_t rowCount, std::size_t firstChannel,
                    ExponentCounts& counts);

/// Splits a row: symbols[i] = class of value 2 i | class of value 2 i + 1 << 4; lows[c] = sign << 7 | mantissa.
void splitPairs(const std::uint16_t* words, const std::uint16_t* bases, std::size_t channels, std::uint8_t* symbols,
                std::uint8_t* lows);

/// Puts escaped symbols back: every symbol kEscapedPair takes the next of `escapes`. Returns how many there were, or
/// `escapeCount` + 1 when the escapes do not suffice.
std::size_t fillEscapes(std::uint8_t* symbols, std::size_t count, const std::uint8_t* escapes, std::size_t escapeCount);
inline constexpr std::uint8_t kEscapedPair = 0xFF;

/// The inverse of splitPairs, with tops[c] = bases[c] << 7; a far class is 15 below its base. Words are written as
/// bytes, wherever these lie.
void joinPairs(const std::uint8_t* symbols, const std::uint8_t* lows, const std::uint16_t* tops, std::size_t channels,
               std::byte* words);

} // namespace kvscope
