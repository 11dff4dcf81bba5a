// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/histogram.h"

#include "core/stats/kernels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <string>

namespace kvscope {

Result<void> checkBinRange(const BinRange& range) {
    if (range.bins < 1 || range.bins > kMaxBins)
        return fail("a histogram cannot have " + std::to_string(range.bins) + " bins", {},
                    "Choose 1 to " + std::to_string(kMaxBins) + ".");
    if (!std::isfinite(range.low) || !std::isfinite(range.high) || !(range.low < range.high) ||
        !std::isfinite(range.high - range.low) || !(range.width() > 0))
        return fail("a histogram cannot span " + std::to_string(range.low) + " to " + std::to_string(range.high), {},
                    "Give a lower and a higher limit.");
    return {};
}

Histogram::Histogram(const BinRange& bins)
    : range(bins)
    , counts(static_cast<std::size_t>(bins.bins)) {}

void Histogram::add(double value, std::int64_t times) {
    if (!std::isfinite(value)) {
        nonFinite += times;
    } else if (value < range.low) {
        below += times;
    } else if (value > range.high) {
        above += times;
    } else {
        const auto bin = static_cast<std::int64_t>((value - range.low) / range.width());
        counts[static_cast<std::size_t>(std::min(bin, range.bins - 1))] += times;
    }
}

void Histogram::add(std::span<const float> values) {
    constexpr std::size_t kRun = 4096;
    std::array<std::int32_t, kRun> bins{};
    const auto binCount = static_cast<std::int32_t>(range.bins);
    for (; !values.empty(); values = values.subspan(std::min(kRun, values.size()))) {
        const auto run = values.first(std::min(kRun, values.size()));
        kernels::binIndices(run, range.low, range.high, range.width(), binCount, bins.data());
        for (std::size_t i = 0; i < run.size(); ++i) {
            const std::int32_t bin = bins[i];
            if (bin < binCount)
                ++counts[static_cast<std::size_t>(bin)];
            else if (bin == binCount)
                ++below;
            else if (bin == binCount + 1)
                ++above;
            else
                ++nonFinite;
        }
    }
}

void Histogram::merge(const Histogram& other) {
    for (std::size_t i = 0; i < counts.size(); ++i)
        counts[i] += other.counts[i];
    below += other.below;
    above += other.above;
    nonFinite += other.nonFinite;
}

std::int64_t Histogram::total() const {
    return std::accumulate(counts.begin(), counts.end(), below + above);
}

double Histogram::density(std::int64_t bin) const {
    const std::int64_t all = total();
    if (all == 0)
        return 0.0;
    return static_cast<double>(counts[static_cast<std::size_t>(bin)]) / (static_cast<double>(all) * range.width());
}

} // namespace kvscope
