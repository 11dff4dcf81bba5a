// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/index.h"
#include "core/kv/dtype.h"

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace kvscope {

/// The first four moments of a set of values and what else one pass can count, in double. Mergeable in any grouping
/// (Pebay, Sandia report SAND2008-6212). NaN and infinity are counted in nonFinite and in nothing else. Every number is
/// 0 when there is no finite value.
struct Moments {
    /// Finite values.
    std::int64_t count = 0;
    std::int64_t nonFinite = 0;
    std::int64_t zeros = 0;
    /// Nonzero values below the smallest normal number of the type they are stored in.
    std::int64_t denormals = 0;
    double min = 0;
    double max = 0;
    double mean = 0;
    /// Sums of the 2nd, 3rd and 4th power of the deviation from the mean.
    double m2 = 0;
    double m3 = 0;
    double m4 = 0;
    double sumAbs = 0;

    bool operator==(const Moments&) const = default;

    void merge(const Moments& other);

    /// Population variance (divided by count).
    [[nodiscard]] double variance() const;
    [[nodiscard]] double stddev() const;
    /// m3 / m2^1.5, biased; 0 when all values are equal.
    [[nodiscard]] double skewness() const;
    /// m4 / m2^2 - 3, biased; 0 when all values are equal.
    [[nodiscard]] double excessKurtosis() const;
    /// sqrt(mean(x^2)).
    [[nodiscard]] double rms() const;
    [[nodiscard]] double meanAbs() const;
    [[nodiscard]] double maxAbs() const;
    /// sum(x^2).
    [[nodiscard]] double energy() const;
};

/// The smallest positive normal number of a type; 0 for integers.
float smallestNormal(DType type);

/// Moments of each channel of rows [tokens][channels], and of all of them together.
class ChannelMoments {
public:
    /// `smallestNormal` is the limit below which a value counts as denormal.
    explicit ChannelMoments(std::int64_t channels, float smallestNormal = std::numeric_limits<float>::min());

    /// Adds whole rows; rows.size() is a multiple of the channel count. Sums are taken about the mean of the rows
    /// added, so blocks of at least some ten rows are best.
    void add(std::span<const float> rows);
    /// Adds the moments of another part; the same channel count.
    void merge(const ChannelMoments& other);

    [[nodiscard]] const std::vector<Moments>& channels() const { return channels_; }
    /// Moments of a range of channels (of a head).
    [[nodiscard]] Moments range(ChannelRange channels) const;
    /// Moments of all channels.
    [[nodiscard]] Moments total() const;

private:
    std::vector<Moments> channels_;
    /// Moments of the rows being added; kept so that adding does not allocate.
    std::vector<Moments> part_;
    float smallestNormal_;
};

/// Moments of a plain run of values.
Moments momentsOf(std::span<const float> values, float smallestNormal = std::numeric_limits<float>::min());

} // namespace kvscope
