// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/key_histogram.h"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace kvscope {

/// Percentiles of |x| that are kept, in percent.
inline constexpr std::array kMagnitudePercentiles{0.5, 50.0, 99.0, 99.5, 99.9};

/// Exact order statistics of a set of values; 0 when it is empty.
struct Ranks {
    /// Of |x|, interpolated linearly at p/100 * (count - 1).
    std::array<double, kMagnitudePercentiles.size()> magnitudePercentiles{};
    /// The mean of the middle two for an even count.
    double median = 0;
};

/// Finds exact order statistics of float32 values in two passes. The first is a KeyHistogram, which says in which
/// buckets of equal upper 16 bits the wanted ranks lie; the second counts the lower 16 bits of those few buckets.
/// For exact encodings the second pass is not needed. Safe to use from many threads; each counts into its own Counters.
class RankRefinement {
public:
    using Counters = std::vector<std::uint32_t>;

    /// Plans the second pass. The histogram is read here alone.
    explicit RankRefinement(const KeyHistogram& keys);

    /// Whether a second pass is needed at all.
    [[nodiscard]] bool needed() const { return slotCount_ > 0; }
    [[nodiscard]] Counters makeCounters() const;
    /// Second pass over values that were all in the histogram; at most 2^32 - 1 into one set of counters.
    void count(std::span<const float> values, Counters& counters) const;
    /// Adds up the counters of a part.
    void merge(const Counters& part, std::vector<std::int64_t>& sum) const;
    /// The order statistics, from the merged counters of all values (empty when not needed).
    [[nodiscard]] Ranks ranks(std::span<const std::int64_t> counters) const;

    /// A value close below the median, known before the second pass.
    [[nodiscard]] double pivot() const { return pivot_; }
    /// What turns sum |x - pivot()| into sum |x - median| when added; 0 for exact encodings.
    [[nodiscard]] double pivotCorrection(std::span<const std::int64_t> counters, double median) const;

private:
    /// A wanted rank: its bucket, how many values of the bucket lie before it, and the slot of the bucket's counters.
    struct Target {
        std::uint16_t key = 0;
        std::int64_t within = 0;
        std::size_t slot = 0;
    };
    /// Two neighbouring ranks and the weight of the upper one.
    struct Position {
        Target lower;
        Target upper;
        double weight = 0;
    };

    Target find(const KeyHistogram& keys, std::int64_t rank, bool magnitude);
    std::size_t slotFor(std::uint16_t key, bool magnitude);
    [[nodiscard]] double valueAt(const Target& target, std::span<const std::int64_t> counters, bool descending) const;
    [[nodiscard]] double valueAt(const Position& position, std::span<const std::int64_t> counters,
                                 bool magnitude) const;

    bool exact_;
    bool half_;
    std::int64_t total_ = 0;
    std::array<Position, kMagnitudePercentiles.size()> percentiles_;
    Position median_;
    std::int64_t belowMedianBucket_ = 0;
    std::int64_t inMedianBucket_ = 0;
    double pivot_ = 0;
    std::size_t slotCount_ = 0;
    /// By key: 1 + slot of its magnitude's counters in the low byte, 1 + slot of its own in the high byte; 0 is none.
    std::vector<std::uint16_t> slots_;
};

/// A bound on |x| that the given share (0..1] of the finite values keeps: the upper edge of the key that holds the
/// rank. 0 when there are no values.
double magnitudeBound(const KeyHistogram& keys, double share);

} // namespace kvscope
