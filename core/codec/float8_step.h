// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/host_device.h"

#include <bit>
#include <cstdint>

namespace kvscope {

/// binary32 to an eight-bit float with that many mantissa bits and that bias, rounding to nearest even. For finite
/// values that the format can hold after rounding; larger ones are the caller's business.
KVSCOPE_HD constexpr std::uint8_t narrowToEightBits(float value, int mantissaBits, int bias) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const auto sign = static_cast<std::uint8_t>(bits >> 24 & 0x80U);
    const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
    const int exponent = static_cast<int>(magnitude >> 23) - 127;
    const int least = 1 - bias;
    const int used = exponent < least ? least : exponent;
    const int shift = 23 - mantissaBits + (used - exponent);
    if (exponent == -127 || shift > 24)
        return sign;
    const std::uint32_t mantissa = (magnitude & 0x7FFFFFU) | 0x800000U;
    const std::uint32_t kept = mantissa >> shift;
    const std::uint32_t rest = mantissa & ((1U << shift) - 1);
    const std::uint32_t middle = 1U << (shift - 1);
    const std::uint32_t up = (rest > middle || (rest == middle && (kept & 1U) != 0)) ? 1U : 0U;
    // A mantissa with its leading one adds one to the exponent field, and so does one that rounds up to the next power.
    const std::uint32_t code = (static_cast<std::uint32_t>(used + bias - 1) << mantissaBits) + kept + up;
    return static_cast<std::uint8_t>(sign | code);
}

inline constexpr float kLargestE4M3 = 448.0F;
inline constexpr float kLargestE5M2 = 57344.0F;

/// Magnitudes up to 448 (and what rounds to it).
KVSCOPE_HD constexpr std::uint8_t e4m3FromFloat(float value) {
    return narrowToEightBits(value, 3, 7);
}

/// Magnitudes up to 57344 (and what rounds to it).
KVSCOPE_HD constexpr std::uint8_t e5m2FromFloat(float value) {
    return narrowToEightBits(value, 2, 15);
}

/// 2^exponent for exponents -126 to 127.
KVSCOPE_HD constexpr float powerOfTwo(int exponent) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(exponent + 127) << 23);
}

/// The least exponent e, at least -126, with largest <= 2^e * 1.75 * 2^top (both formats end at 1.75 times a power of
/// two: 2^8 and 2^15); 0 for a row of zeros.
KVSCOPE_HD constexpr int float8Exponent(float largest, int top) {
    if (largest == 0)
        return 0;
    const auto bits = std::bit_cast<std::uint32_t>(largest);
    const int exponent = static_cast<int>(bits >> 23) - 127;
    const int needed = exponent - top + ((bits & 0x7FFFFFU) > 0x600000U ? 1 : 0);
    return needed < -126 ? -126 : needed;
}

} // namespace kvscope
