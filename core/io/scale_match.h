// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/io/axes.h"

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace kvscope {

/// Strides of a tensor of scales (in its row-major elements) along the axes of the values it belongs to; 0 where one
/// scale serves the whole axis.
struct ScaleStrides {
    std::int64_t layer = 0;
    std::int64_t kind = 0;
    std::int64_t sequence = 0;
    std::int64_t head = 0;
    std::int64_t token = 0;
    std::int64_t dim = 0;
};

/// Finds which axes of the values a tensor of scales has: one number; the values' own axes with 1 for those that share
/// ([L,1,H,1,1]); or some of them in order ([L], [H], [L,H], [T,H] ...). `axes` are the values' axes, outermost first,
/// with merged channels split into H and D. Nothing when the shape fits no axes.
std::optional<ScaleStrides> matchScale(const std::vector<std::int64_t>& shape, const std::vector<TensorAxis>& axes);

} // namespace kvscope
