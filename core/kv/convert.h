// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/dtype.h"

#include <cstddef>
#include <span>

namespace kvscope {

/// Converts values.size() stored values (little-endian, any alignment) to float32 and multiplies them by `scale`.
/// `stored` holds exactly values.size() * sizeOf(type) bytes. Exact for all types but f64, which is rounded to nearest.
void convertToFloat(DType type, std::span<const std::byte> stored, std::span<float> values, float scale = 1.0F);

/// Rounds float32 values to f64, f32, f16 or bf16 (nearest even), little-endian. Other types are not written.
/// Returns false for a type it does not write.
bool convertFromFloat(DType type, std::span<const float> values, std::span<std::byte> stored);

} // namespace kvscope
