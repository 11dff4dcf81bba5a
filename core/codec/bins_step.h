// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/float_formats.h"
#include "core/base/host_device.h"

#include <cmath>
#include <cstdint>

/// CacheGen's released quantiser, value by value, in the order of float32 operations of that code.
namespace kvscope {

/// Largest magnitude of a signed symbol: bins / 2 - 1.
KVSCOPE_HD constexpr int binsMiddle(int bins) {
    return bins / 2 - 1;
}

/// What values of a row with that largest magnitude are multiplied by; 0 for a row of zeros (where the released code
/// divides by zero) and for magnitudes so small that the quotient is infinite.
KVSCOPE_HD inline float binsFactor(int middle, float largest) {
    const float factor = largest > 0 ? static_cast<float>(middle) / largest : 0.0F;
    return factor <= 3.402823466e38F ? factor : 0.0F;
}

/// Symbol 0 .. 2 * middle; ties to even.
KVSCOPE_HD inline std::uint16_t binsSymbol(float value, float factor, int middle) {
    const float scaled = value * factor;
    const float symbol = std::rint(scaled + static_cast<float>(middle));
    const float most = static_cast<float>(2 * middle);
    return static_cast<std::uint16_t>(symbol < 0 ? 0 : (symbol > most ? most : symbol));
}

KVSCOPE_HD inline float binsValue(std::uint32_t symbol, float largest, int middle) {
    const float centred = static_cast<float>(symbol) - static_cast<float>(middle);
    const float unit = centred / static_cast<float>(middle);
    return unit * largest;
}

/// The 8-bit baseline of the same code multiplies and rounds in binary16 where the cache is binary16.
KVSCOPE_HD constexpr float roundedToHalf(float value) {
    return floatFromHalf(halfFromFloat(value));
}

/// 0 where binsFactor() is, and where binary16 overflows or loses bits of the inverse (magnitudes past 2^14).
KVSCOPE_HD inline float halfBinsFactor(int middle, float largest) {
    const float inverse = largest > 0 ? roundedToHalf(1.0F / largest) : 0.0F;
    const float factor = roundedToHalf(inverse * static_cast<float>(middle));
    return factor <= 65504.0F && inverse >= 0x1p-14F ? factor : 0.0F;
}

KVSCOPE_HD inline std::uint16_t halfBinsSymbol(float value, float factor, int middle) {
    const float scaled = roundedToHalf(value * factor);
    const float symbol = std::rint(scaled) + static_cast<float>(middle);
    const float most = static_cast<float>(2 * middle);
    return static_cast<std::uint16_t>(symbol < 0 ? 0 : (symbol > most ? most : symbol));
}

KVSCOPE_HD inline float halfBinsValue(std::uint32_t symbol, float largest, int middle) {
    const float centred = static_cast<float>(symbol) - static_cast<float>(middle);
    const float unit = roundedToHalf(centred / static_cast<float>(middle));
    return roundedToHalf(unit * largest);
}

} // namespace kvscope
