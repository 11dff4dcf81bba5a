// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/bit_stream.h"

#include <bit>
#include <optional>

namespace kvscope {

/// Elias gamma code of value + 1: as many zeros as the number has bits after its first, then the number from the top.
inline void putGamma(BitWriter& bits, std::uint32_t value) {
    const std::uint64_t number = std::uint64_t{value} + 1;
    const int below = static_cast<int>(std::bit_width(number)) - 1;
    bits.put(0, below);
    for (int bit = below; bit >= 0; --bit)
        bits.put(static_cast<std::uint32_t>(number >> bit & 1U), 1);
}

/// Nothing where the bits end or the value exceeds `most`.
inline std::optional<std::uint32_t> readGamma(BitReader& bits, std::uint32_t most) {
    int below = 0;
    while (bits.get(1) == 0) {
        if (++below > 32 || bits.overrun())
            return std::nullopt;
    }
    std::uint64_t number = 1;
    for (int bit = 0; bit < below; ++bit)
        number = number << 1 | bits.get(1);
    if (bits.overrun() || number - 1 > most)
        return std::nullopt;
    return static_cast<std::uint32_t>(number - 1);
}

} // namespace kvscope
