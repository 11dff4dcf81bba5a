// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/host_device.h"

#include <cmath>
#include <cstdint>

/// n-bit quantisation value by value; float32 operations in the order of the published formulas, ties to even.
namespace kvscope {

/// Largest magnitude of a symmetric symbol: 2^(bits - 1) - 1.
KVSCOPE_HD constexpr int symmetricMiddle(int bits) {
    return (1 << (bits - 1)) - 1;
}

/// Symbol 0 .. 2 * middle of value / scale; the middle one where the scale is 0.
KVSCOPE_HD inline std::uint16_t symmetricSymbol(float value, float scale, int middle) {
    const float most = static_cast<float>(middle);
    float symbol = scale > 0 ? std::rint(value / scale) : 0.0F;
    symbol = symbol < -most ? -most : (symbol > most ? most : symbol);
    return static_cast<std::uint16_t>(static_cast<int>(symbol) + middle);
}

KVSCOPE_HD inline float symmetricValue(std::uint32_t symbol, float scale, int middle) {
    return (static_cast<float>(symbol) - static_cast<float>(middle)) * scale;
}

/// Symbol 0 .. most of (value - zero) / scale; 0 where the scale is 0.
KVSCOPE_HD inline std::uint16_t affineSymbol(float value, float zero, float scale, int most) {
    const float offset = value - zero;
    const float symbol = scale > 0 ? std::rint(offset / scale) : 0.0F;
    const float limit = static_cast<float>(most);
    return static_cast<std::uint16_t>(symbol < 0 ? 0.0F : (symbol > limit ? limit : symbol));
}

KVSCOPE_HD inline float affineValue(std::uint32_t symbol, float zero, float scale) {
    const float offset = static_cast<float>(symbol) * scale;
    return offset + zero;
}

} // namespace kvscope
