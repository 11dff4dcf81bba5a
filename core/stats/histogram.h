// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"

#include <cstdint>
#include <span>
#include <vector>

namespace kvscope {

/// Equal bins over [low, high].
struct BinRange {
    double low = -1;
    double high = 1;
    std::int64_t bins = 256;

    bool operator==(const BinRange&) const = default;
    [[nodiscard]] double width() const { return (high - low) / static_cast<double>(bins); }
    [[nodiscard]] double centre(std::int64_t bin) const { return low + (static_cast<double>(bin) + 0.5) * width(); }
};

/// The most bins a histogram may have.
inline constexpr std::int64_t kMaxBins = 65536;

/// Refuses a range that is empty or not finite, and a count of bins outside 1..kMaxBins.
Result<void> checkBinRange(const BinRange& range);

/// Counts in equal bins: bin = floor((x - low) / width), x == high counts in the last.
struct Histogram {
    BinRange range;
    std::vector<std::int64_t> counts;
    std::int64_t below = 0;
    std::int64_t above = 0;
    std::int64_t nonFinite = 0;

    Histogram() = default;
    explicit Histogram(const BinRange& bins);

    bool operator==(const Histogram&) const = default;

    void add(std::span<const float> values);
    void add(double value, std::int64_t times);
    /// Adds the counts of another histogram of the same range.
    void merge(const Histogram& other);

    /// Finite values, inside and outside the range.
    [[nodiscard]] std::int64_t total() const;
    /// Probability density over the value axis in a bin; 0 for an empty histogram.
    [[nodiscard]] double density(std::int64_t bin) const;
};

} // namespace kvscope
