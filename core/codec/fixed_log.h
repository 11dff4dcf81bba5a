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

} // namespace kvscope
