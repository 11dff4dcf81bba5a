// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/moments.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

// The inner loops of the statistics, compiled for each instruction set and chosen when the program runs. Lanes hold
// channels (or are summed per channel), so that results differ between machines in rounding at most.
namespace kvscope::kernels {

/// Moments of each channel of rows [rows.size() / channels][channels], written to out[channels].
void channelMoments(std::span<const float> rows, std::int64_t channels, float smallestNormal, std::span<Moments> out);

/// out[i] = minuend[i] - subtrahend[i].
void subtract(const float* minuend, const float* subtrahend, float* out, std::size_t count);

/// Counts of |x - mean| > limits[i] and the sum of |x - centre|, over finite values.
struct Deviations {
    std::array<std::int64_t, 3> beyond{};
    double sumAbs = 0;
};
Deviations deviations(std::span<const float> values, double mean, const std::array<double, 3>& limits, double centre);

/// The bin of every value: floor((x - low) / width) in double, high in the last of `bins`; bins, bins + 1 and bins + 2
/// stand for below, above and not finite.
void binIndices(std::span<const float> values, double low, double high, double width, std::int32_t bins,
                std::int32_t* out);

/// Largest |x| of the finite values of a row; 0 when there are none.
float maxAbs(std::span<const float> row);

/// CacheGen's quantiser: symbol = rint(x * half / scale + half), ties to even, in double; non-finite values give half.
void quantise(std::span<const float> row, double scale, int half, std::uint8_t* symbols);

/// One token against a direction: over the finite values.
struct RowSums {
    double squares = 0;
    double dot = 0;
    float maxAbs = 0;
    std::int64_t nonFinite = 0;
};
RowSums rowSums(std::span<const float> row, const float* direction);

/// sums[lag - 1][channel] += sum over t < tokens of x[t][channel] * x[t + lag][channel], for lag = 1..lags and t + lag
/// < available; x is [available][channels] in double.
void lagProducts(const double* x, std::int64_t channels, std::int64_t tokens, std::int64_t available, std::int64_t lags,
                 double* sums);

/// Sums over the pairs of which both sides are finite; e = changed - original.
struct ErrorSums {
    std::int64_t count = 0;
    double sumAbs = 0;
    double sumSquared = 0;
    double max = 0;
    double dot = 0;
    double originalEnergy = 0;
    double changedEnergy = 0;
};
ErrorSums errorSums(std::span<const float> original, std::span<const float> changed);

} // namespace kvscope::kernels
