// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/dtype.h"

#include <cstddef>
#include <span>

namespace kvscope {

/// Rounds float32 values to the type, to nearest even; finite values past its range become its largest finite ones.
/// Writes every dtype.
void toNative(DType type, std::span<const float> values, std::span<std::byte> native);

} // namespace kvscope
