// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>

/// What the symbols of a channel or the bytes of a plane look like, and which table suits them; compiled for every
/// instruction set and chosen at run time. All give the same numbers.
namespace kvscope {

/// Of symbols 128 + n, |n| <= 127: the largest |n| and the sum of all. At most 2^24 symbols.
struct SymbolSizes {
    std::uint8_t largest = 0;
    std::uint32_t sum = 0;
};
SymbolSizes sizesOf(const std::uint8_t* symbols, std::size_t number);

/// Adds costs[|n| * stride + i] of all of up to 65,535 symbols 128 + n to sums[i], i < 16. No |n| is above `largest`.
void addCosts(const std::uint8_t* symbols, std::size_t number, int largest, const std::uint32_t* costs,
              std::size_t stride, std::uint32_t* sums);

/// The index of the first of the smallest of 16 sums.
int cheapestOf(const std::uint32_t* sums);

/// Sum of counts[i] * costs[i], i < number, a multiple of kWeighedAtOnce; neither is negative and the sum fits.
inline constexpr std::size_t kWeighedAtOnce = 32;
std::int32_t weighBytes(const std::int16_t* counts, const std::int16_t* costs, std::size_t number);

} // namespace kvscope
