// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/float_formats.h"
#include "core/base/host_device.h"
#include "core/codec/byte_stream.h"
#include "core/kv/dtype.h"

#include <bit>
#include <cmath>
#include <cstdint>

namespace kvscope {

/// How a quantiser stores scales and zero points.
enum class ScaleFormat : std::uint8_t { F16, BF16, F32 };

/// The narrowest format that holds every value of the type as float32 does.
constexpr ScaleFormat formatHolding(DType type) {
    if (type == DType::BF16)
        return ScaleFormat::BF16;
    return type == DType::F32 || type == DType::F64 ? ScaleFormat::F32 : ScaleFormat::F16;
}

constexpr std::size_t sizeOf(ScaleFormat format) {
    return format == ScaleFormat::F32 ? 4 : 2;
}

/// Rounds to nearest even.
KVSCOPE_HD constexpr float roundedTo(ScaleFormat format, float value) {
    if (format == ScaleFormat::F16)
        return floatFromHalf(halfFromFloat(value));
    return format == ScaleFormat::BF16 ? floatFromBfloat(bfloatFromFloat(value)) : value;
}

/// The smallest value of the format that is at least `value` (finite, not negative); infinity past its range.
KVSCOPE_HD constexpr float roundedUpTo(ScaleFormat format, float value) {
    const float nearest = roundedTo(format, value);
    if (nearest >= value)
        return nearest;
    if (format == ScaleFormat::F16)
        return floatFromHalf(static_cast<std::uint16_t>(halfFromFloat(value) + 1U));
    return floatFromBfloat(static_cast<std::uint16_t>(bfloatFromFloat(value) + 1U));
}

/// Appends a value that the format holds exactly.
inline void putScale(Bytes& out, ScaleFormat format, float value) {
    if (format == ScaleFormat::F32)
        putNumber(out, value);
    else
        putNumber(out, format == ScaleFormat::F16 ? halfFromFloat(value) : bfloatFromFloat(value));
}

/// Reads a finite value.
inline Result<float> readScale(ByteReader& scales, ScaleFormat format) {
    float value = 0;
    if (format == ScaleFormat::F32) {
        KVSCOPE_ASSIGN(value, scales.number<float>());
    } else {
        KVSCOPE_ASSIGN(const auto bits, scales.number<std::uint16_t>());
        value = format == ScaleFormat::F16 ? floatFromHalf(bits) : floatFromBfloat(bits);
    }
    if (!std::isfinite(value))
        return scales.broken("hold a scale that is not finite");
    return value;
}

/// Appends which format follows, one byte.
inline void putFormat(Bytes& out, ScaleFormat format) {
    out.push_back(static_cast<std::byte>(format));
}

inline Result<ScaleFormat> readFormat(ByteReader& scales) {
    KVSCOPE_ASSIGN(const auto code, scales.number<std::uint8_t>());
    if (code > static_cast<std::uint8_t>(ScaleFormat::F32))
        return scales.broken("name an unknown format");
    return static_cast<ScaleFormat>(code);
}

/// What 16-bit scales of a chunk are stored in: binary16 where it spans the values and twice as much (the range of a
/// group), else bfloat16.
constexpr ScaleFormat halfFormatFor(DType type, float largest) {
    const bool small = largest > 0 && largest < 0x1p-10F && type != DType::F16;
    return type == DType::BF16 || largest > 30000.0F || small ? ScaleFormat::BF16 : ScaleFormat::F16;
}

} // namespace kvscope
