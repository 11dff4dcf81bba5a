// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/host_device.h"

#include <bit>
#include <cstdint>

namespace kvscope {

// Integer-only conversions between binary32 and the small floating-point formats, so that CPU and GPU code give the
// same bits. Narrowing rounds to nearest even; NaN keeps its sign and top payload bits and stays NaN.

/// IEEE binary16 to binary32; exact.
KVSCOPE_HD constexpr float floatFromHalf(std::uint16_t half) {
    const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
    const std::uint32_t exponent = (half >> 10) & 0x1FU;
    std::uint32_t mantissa = half & 0x3FFU;
    if (exponent == 0x1FU)
        return std::bit_cast<float>(sign | 0x7F800000U | (mantissa << 13));
    if (exponent != 0)
        return std::bit_cast<float>(sign | ((exponent + 112U) << 23) | (mantissa << 13));
    if (mantissa == 0)
        return std::bit_cast<float>(sign);
    std::uint32_t shift = 0;
    while ((mantissa & 0x400U) == 0) {
        mantissa <<= 1;
        ++shift;
    }
    return std::bit_cast<float>(sign | ((113U - shift) << 23) | ((mantissa & 0x3FFU) << 13));
}

/// binary32 to IEEE binary16, rounding to nearest even; too large becomes infinity.
KVSCOPE_HD constexpr std::uint16_t halfFromFloat(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000U);
    const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
    if (magnitude > 0x7F800000U)
        return static_cast<std::uint16_t>(sign | 0x7C00U | 0x200U | ((magnitude >> 13) & 0x3FFU));
    if (magnitude >= 0x47800000U)
        return static_cast<std::uint16_t>(sign | 0x7C00U);
    if (magnitude >= 0x38800000U) {
        const std::uint32_t rebased = magnitude - 0x38000000U;
        return static_cast<std::uint16_t>(sign | ((rebased + 0xFFFU + ((rebased >> 13) & 1U)) >> 13));
    }
    if (magnitude < 0x33000000U)
        return sign;
    const std::uint32_t exponent = magnitude >> 23;
    const std::uint32_t mantissa = (magnitude & 0x7FFFFFU) | 0x800000U;
    const std::uint32_t shift = 126U - exponent;
    const std::uint32_t kept = mantissa >> shift;
    const std::uint32_t rest = mantissa & ((1U << shift) - 1U);
    const std::uint32_t middle = 1U << (shift - 1U);
    const std::uint32_t up = (rest > middle || (rest == middle && (kept & 1U) != 0)) ? 1U : 0U;
    return static_cast<std::uint16_t>(sign | (kept + up));
}

/// bfloat16 to binary32; exact.
KVSCOPE_HD constexpr float floatFromBfloat(std::uint16_t bits) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// binary32 to bfloat16, rounding to nearest even.
KVSCOPE_HD constexpr std::uint16_t bfloatFromFloat(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if ((bits & 0x7FFFFFFFU) > 0x7F800000U)
        return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
    return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

/// OCP FP8 E4M3 (no infinities, NaN is S.1111.111) to binary32; exact.
KVSCOPE_HD constexpr float floatFromE4M3(std::uint8_t bits) {
    const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x80U) << 24;
    const std::uint32_t exponent = (bits >> 3) & 0xFU;
    const std::uint32_t mantissa = bits & 7U;
    if (exponent == 0xFU && mantissa == 7U)
        return std::bit_cast<float>(sign | 0x7FC00000U);
    if (exponent == 0) {
        const float magnitude = static_cast<float>(mantissa) * 0.001953125F;
        return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
    }
    return std::bit_cast<float>(sign | ((exponent + 120U) << 23) | (mantissa << 20));
}

/// OCP FP8 E5M2 (binary16 without its low byte) to binary32; exact.
KVSCOPE_HD constexpr float floatFromE5M2(std::uint8_t bits) {
    return floatFromHalf(static_cast<std::uint16_t>(bits << 8));
}

} // namespace kvscope
