// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/scale_match.h"

#include <algorithm>
#include <span>

namespace kvscope {

namespace {

void setStride(ScaleStrides& strides, char letter, std::int64_t stride) {
    switch (letter) {
    case 'L':
        strides.layer = stride;
        break;
    case 'X':
        strides.kind = stride;
        break;
    case 'S':
        strides.sequence = stride;
        break;
    case 'H':
        strides.head = stride;
        break;
    case 'T':
        strides.token = stride;
        break;
    case 'D':
        strides.dim = stride;
        break;
    default:
        break;
    }
}

struct ScaleAxis {
    std::int64_t size;
    std::int64_t stride;
};

/// Matches the scale's axes with a subsequence of the values' axes; the first one found counts.
bool matchRest(std::span<const ScaleAxis> scale, std::span<const TensorAxis> axes, ScaleStrides& strides) {
    if (scale.empty())
        return true;
    for (std::size_t i = 0; i < axes.size(); ++i) {
        ScaleStrides attempt = strides;
        const auto rest = axes.subspan(i + 1);
        const auto dims = std::find_if(rest.begin(), rest.end(), [](const auto& axis) { return axis.letter == 'D'; });
        const bool merged = axes[i].letter == 'H' && axes[i].size > 1 && dims != rest.end() &&
                            axes[i].size * dims->size == scale[0].size;
        if (axes[i].size == scale[0].size) {
            setStride(attempt, axes[i].letter, scale[0].stride);
            if (matchRest(scale.subspan(1), rest, attempt)) {
                strides = attempt;
                return true;
            }
        }
        if (merged) {
            attempt = strides;
            attempt.head = scale[0].stride * dims->size;
            attempt.dim = scale[0].stride;
            if (matchRest(scale.subspan(1), rest, attempt)) {
                strides = attempt;
                return true;
            }
        }
    }
    return false;
}

} // namespace

std::optional<ScaleStrides> matchScale(const std::vector<std::int64_t>& shape, const std::vector<TensorAxis>& axes) {
    std::vector<ScaleAxis> all(shape.size());
    std::int64_t stride = 1;
    for (std::size_t i = shape.size(); i-- > 0;) {
        all[i] = {shape[i], stride};
        stride *= shape[i];
    }
    if (shape.size() == axes.size()) {
        const bool fits = std::equal(shape.begin(), shape.end(), axes.begin(), [](std::int64_t size, const auto& axis) {
            return size == 1 || size == axis.size;
        });
        if (fits) {
            ScaleStrides strides;
            for (std::size_t i = 0; i < axes.size(); ++i)
                setStride(strides, axes[i].letter, all[i].size == 1 ? 0 : all[i].stride);
            return strides;
        }
    }
    std::erase_if(all, [](const ScaleAxis& axis) { return axis.size == 1; });
    ScaleStrides strides;
    if (!matchRest(all, axes, strides))
        return std::nullopt;
    return strides;
}

} // namespace kvscope
