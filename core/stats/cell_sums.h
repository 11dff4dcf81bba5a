// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

namespace kvscope {

/// Where the running summaries of many cells lie, one array per statistic (CellSum turned inside out, for SIMD).
struct CellSumsView {
    float* min = nullptr;
    float* max = nullptr;
    double* sum = nullptr;
    double* squares = nullptr;
    /// Finite values seen; a divisor, so float's 24 bits do.
    float* count = nullptr;
    /// 1 where a NaN or infinity was seen, otherwise 0.
    float* nonFinite = nullptr;

    [[nodiscard]] CellSumsView at(std::size_t offset) const {
        return {min + offset, max + offset, sum + offset, squares + offset, count + offset, nonFinite + offset};
    }
};

/// Cells of a block of values in which no sum left float's range: every one saw the same number of values, all finite.
struct BlockSums {
    float* min = nullptr;
    float* max = nullptr;
    float* sum = nullptr;
    float* squares = nullptr;

    [[nodiscard]] BlockSums at(std::size_t offset) const {
        return {min + offset, max + offset, sum + offset, squares + offset};
    }
};

/// Storage for a CellSumsView.
class CellSums {
public:
    CellSums() = default;
    explicit CellSums(std::size_t cells) { reset(cells); }

    /// Makes `cells` empty cells.
    void reset(std::size_t cells) {
        min_.assign(cells, std::numeric_limits<float>::infinity());
        max_.assign(cells, -std::numeric_limits<float>::infinity());
        sum_.assign(cells, 0.0);
        squares_.assign(cells, 0.0);
        count_.assign(cells, 0.0F);
        nonFinite_.assign(cells, 0.0F);
    }
    [[nodiscard]] std::size_t size() const { return min_.size(); }
    [[nodiscard]] CellSumsView view() {
        return {min_.data(), max_.data(), sum_.data(), squares_.data(), count_.data(), nonFinite_.data()};
    }

private:
    std::vector<float> min_;
    std::vector<float> max_;
    std::vector<double> sum_;
    std::vector<double> squares_;
    std::vector<float> count_;
    std::vector<float> nonFinite_;
};

} // namespace kvscope
