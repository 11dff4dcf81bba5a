// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/cache_map.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace kvscope {

/// Running summary of the values under one cell; what cells are merged in before they are delivered.
struct CellSum {
    double sum = 0;
    double squares = 0;
    /// Finite values seen.
    std::int64_t count = 0;
    float min = std::numeric_limits<float>::infinity();
    float max = -std::numeric_limits<float>::infinity();
    bool nonFinite = false;

    void add(float value) {
        if (!std::isfinite(value)) {
            nonFinite = true;
            return;
        }
        const auto wide = static_cast<double>(value);
        sum += wide;
        squares += wide * wide;
        ++count;
        min = std::min(min, value);
        max = std::max(max, value);
    }

    void merge(const CellSum& other) {
        sum += other.sum;
        squares += other.squares;
        count += other.count;
        min = std::min(min, other.min);
        max = std::max(max, other.max);
        nonFinite = nonFinite || other.nonFinite;
    }

    [[nodiscard]] Cell cell() const {
        constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
        if (count == 0)
            return {kNone, kNone, kNone, kNone, 0, nonFinite};
        const auto n = static_cast<double>(count);
        constexpr std::int64_t kMost = std::numeric_limits<std::uint32_t>::max();
        return {min,
                max,
                static_cast<float>(sum / n),
                static_cast<float>(std::sqrt(squares / n)),
                static_cast<std::uint32_t>(std::min(count, kMost)),
                nonFinite};
    }
};

} // namespace kvscope
