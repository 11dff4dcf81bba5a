// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/native_values.h"

#include "core/codec/float8_step.h"
#include "core/kv/convert.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace kvscope {

namespace {

float largestOf(DType type) {
    switch (type) {
    case DType::F16:
        return 65504.0F;
    case DType::BF16:
        return std::bit_cast<float>(0x7F7F0000U);
    case DType::F8E4M3:
        return kLargestE4M3;
    case DType::F8E5M2:
        return kLargestE5M2;
    case DType::I8:
        return 127.0F;
    case DType::U8:
        return 255.0F;
    case DType::F32:
    case DType::F64:
        break;
    }
    return std::numeric_limits<float>::max();
}

float leastOf(DType type) {
    if (type == DType::U8)
        return 0;
    return type == DType::I8 ? -128.0F : -largestOf(type);
}

std::uint8_t narrow(DType type, float value) {
    switch (type) {
    case DType::F8E4M3:
        return std::isnan(value) ? 0x7FU : e4m3FromFloat(value);
    case DType::F8E5M2:
        return std::isnan(value) ? 0x7EU : e5m2FromFloat(value);
    default:
        return std::isnan(value) ? 0U : static_cast<std::uint8_t>(static_cast<int>(std::rint(value)));
    }
}

} // namespace

void toNative(DType type, std::span<const float> values, std::span<std::byte> native) {
    const float least = leastOf(type);
    const float largest = largestOf(type);
    if (sizeOf(type) == 1) {
        for (std::size_t i = 0; i < values.size(); ++i)
            native[i] = static_cast<std::byte>(narrow(type, std::clamp(values[i], least, largest)));
        return;
    }
    std::vector<float> held(values.begin(), values.end());
    for (float& value : held)
        value = std::clamp(value, least, largest);
    convertFromFloat(type, held, native);
}

} // namespace kvscope
