// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

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

} // namespace kvscope
