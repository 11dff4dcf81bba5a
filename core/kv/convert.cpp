// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/kv/convert.h"

#include "core/base/float_formats.h"

#include <cstdint>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kv/convert.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kvscope::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class Small, class Scalar>
void promote(const std::byte* stored, float* values, std::size_t count, float scale, Scalar scalar) {
    const hn::ScalableTag<float> wide;
    const hn::Rebind<Small, decltype(wide)> narrow;
    const auto factor = hn::Set(wide, scale);
    const std::size_t lanes = hn::Lanes(wide);
    std::size_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        const auto loaded = hn::LoadU(narrow, reinterpret_cast<const Small*>(stored + i * sizeof(Small)));
        hn::StoreU(hn::Mul(hn::PromoteTo(wide, loaded), factor), wide, values + i);
    }
    for (; i < count; ++i) {
        std::uint16_t bits = 0;
        std::memcpy(&bits, stored + i * sizeof(bits), sizeof(bits));
        values[i] = scalar(bits) * scale;
    }
}

void promoteHalf(const std::byte* stored, float* values, std::size_t count, float scale) {
#if HWY_TARGET == HWY_SSSE3 || HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_EMU128 || HWY_TARGET == HWY_SCALAR
    // PromoteTo in software takes infinities for numbers.
    for (std::size_t i = 0; i < count; ++i) {
        std::uint16_t bits = 0;
        std::memcpy(&bits, stored + i * sizeof(bits), sizeof(bits));
        values[i] = floatFromHalf(bits) * scale;
    }
#else
    promote<hwy::float16_t>(stored, values, count, scale, floatFromHalf);
#endif
}

void promoteBfloat(const std::byte* stored, float* values, std::size_t count, float scale) {
    promote<hwy::bfloat16_t>(stored, values, count, scale, floatFromBfloat);
}

} // namespace kvscope::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace kvscope {

HWY_EXPORT(promoteHalf);
HWY_EXPORT(promoteBfloat);

namespace {

template <class T, class ToFloat>
void convertEach(std::span<const std::byte> stored, std::span<float> values, float scale, ToFloat toFloat) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        T value{};
        std::memcpy(&value, stored.data() + i * sizeof(T), sizeof(T));
        values[i] = toFloat(value) * scale;
    }
}

template <class T, class FromFloat>
void storeEach(std::span<const float> values, std::span<std::byte> stored, FromFloat fromFloat) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        const T value = fromFloat(values[i]);
        std::memcpy(stored.data() + i * sizeof(T), &value, sizeof(T));
    }
}

} // namespace

void convertToFloat(DType type, std::span<const std::byte> stored, std::span<float> values, float scale) {
    // Copying nothing from nowhere is not defined.
    if (values.empty())
        return;
    switch (type) {
    case DType::F64:
        convertEach<double>(stored, values, 1.0F,
                            [scale](double value) { return static_cast<float>(value * static_cast<double>(scale)); });
        return;
    case DType::F32:
        if (scale == 1.0F)
            std::memcpy(values.data(), stored.data(), values.size_bytes());
        else
            convertEach<float>(stored, values, scale, [](float value) { return value; });
        return;
    case DType::F16:
        HWY_DYNAMIC_DISPATCH(promoteHalf)(stored.data(), values.data(), values.size(), scale);
        return;
    case DType::BF16:
        HWY_DYNAMIC_DISPATCH(promoteBfloat)(stored.data(), values.data(), values.size(), scale);
        return;
    case DType::F8E4M3:
        convertEach<std::uint8_t>(stored, values, scale, floatFromE4M3);
        return;
    case DType::F8E5M2:
        convertEach<std::uint8_t>(stored, values, scale, floatFromE5M2);
        return;
    case DType::I8:
        convertEach<std::int8_t>(stored, values, scale, [](std::int8_t value) { return static_cast<float>(value); });
        return;
    case DType::U8:
        convertEach<std::uint8_t>(stored, values, scale, [](std::uint8_t value) { return static_cast<float>(value); });
        return;
    }
}

bool convertFromFloat(DType type, std::span<const float> values, std::span<std::byte> stored) {
    switch (type) {
    case DType::F64:
        storeEach<double>(values, stored, [](float value) { return static_cast<double>(value); });
        return true;
    case DType::F32:
        if (!values.empty())
            std::memcpy(stored.data(), values.data(), values.size_bytes());
        return true;
    case DType::F16:
        storeEach<std::uint16_t>(values, stored, halfFromFloat);
        return true;
    case DType::BF16:
        storeEach<std::uint16_t>(values, stored, bfloatFromFloat);
        return true;
    case DType::F8E4M3:
    case DType::F8E5M2:
    case DType::I8:
    case DType::U8:
        return false;
    }
    return false;
}

} // namespace kvscope

#endif
