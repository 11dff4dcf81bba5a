// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <bit>
#include <cstdint>

namespace kvscope {

/// log2(value) in units of 2^-8, to about one unit, the same on every machine; value at least 1.
constexpr std::int64_t log2Q8(std::uint64_t value) {
    const int whole = static_cast<int>(std::bit_width(value)) - 1;
    const std::uint64_t fraction = (whole >= 16 ? value >> (whole - 16) : value << (16 - whole)) - (1U << 16);
    // log2(1 + f) is f + 0.344 f (1 - f) to 0.01.
    const std::uint64_t bent = fraction + ((fraction * ((1U << 16) - fraction) >> 16) * 88 >> 8);
    return static_cast<std::int64_t>(whole) * 256 + static_cast<std::int64_t>(bent >> 8);
}

/// The same for a number of at least 1 with a fraction.
inline std::int64_t realLog2Q8(double value) {
    const auto bits = std::bit_cast<std::uint64_t>(value);
    const std::uint64_t fraction = bits >> 36 & 0xFFFFU;
    const std::uint64_t bent = fraction + ((fraction * ((1U << 16) - fraction) >> 16) * 88 >> 8);
    return (static_cast<std::int64_t>(bits >> 52) - 1023) * 256 + static_cast<std::int64_t>(bent >> 8);
}

} // namespace kvscope
