// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/moments.h"

#include "core/stats/kernels.h"

#include <algorithm>
#include <cmath>

namespace kvscope {

void Moments::merge(const Moments& other) {
    nonFinite += other.nonFinite;
    if (other.count == 0)
        return;
    if (count == 0) {
        const std::int64_t skipped = nonFinite;
        *this = other;
        nonFinite = skipped;
        return;
    }
    const auto na = static_cast<double>(count);
    const auto nb = static_cast<double>(other.count);
    const double n = na + nb;
    const double delta = other.mean - mean;
    const double step = delta / n;
    const double cross = delta * step * na * nb;
    m4 += other.m4 + cross * step * step * (na * na - na * nb + nb * nb) +
          6.0 * step * step * (na * na * other.m2 + nb * nb * m2) + 4.0 * step * (na * other.m3 - nb * m3);
    m3 += other.m3 + cross * step * (na - nb) + 3.0 * step * (na * other.m2 - nb * m2);
    m2 += other.m2 + cross;
    mean += step * nb;
    sumAbs += other.sumAbs;
    count += other.count;
    zeros += other.zeros;
    denormals += other.denormals;
    min = std::min(min, other.min);
    max = std::max(max, other.max);
}

double Moments::variance() const {
    return count > 0 ? m2 / static_cast<double>(count) : 0.0;
}

double Moments::stddev() const {
    return std::sqrt(variance());
}

double Moments::skewness() const {
    if (!(m2 > 0) || min == max)
        return 0.0;
    const double sigma = stddev();
    return m3 / static_cast<double>(count) / (sigma * sigma * sigma);
}

double Moments::excessKurtosis() const {
    if (!(m2 > 0) || min == max)
        return 0.0;
    return m4 / static_cast<double>(count) / (variance() * variance()) - 3.0;
}

double Moments::rms() const {
    return std::sqrt(variance() + mean * mean);
}

double Moments::meanAbs() const {
    return count > 0 ? sumAbs / static_cast<double>(count) : 0.0;
}

double Moments::maxAbs() const {
    return std::max(-min, max);
}

double Moments::energy() const {
    return m2 + static_cast<double>(count) * mean * mean;
}

float smallestNormal(DType type) {
    switch (type) {
    case DType::F16:
    case DType::F8E5M2:
        return 0x1p-14F;
    case DType::F8E4M3:
        return 0x1p-6F;
    case DType::F64:
    case DType::F32:
    case DType::BF16:
        return std::numeric_limits<float>::min();
    case DType::I8:
    case DType::U8:
        return 0.0F;
    }
    return 0.0F;
}

ChannelMoments::ChannelMoments(std::int64_t channels, float smallestNormal)
    : channels_(static_cast<std::size_t>(channels))
    , part_(static_cast<std::size_t>(channels))
    , smallestNormal_(smallestNormal) {}

void ChannelMoments::add(std::span<const float> rows) {
    if (rows.empty())
        return;
    kernels::channelMoments(rows, static_cast<std::int64_t>(channels_.size()), smallestNormal_, part_);
    for (std::size_t c = 0; c < channels_.size(); ++c)
        channels_[c].merge(part_[c]);
}

void ChannelMoments::merge(const ChannelMoments& other) {
    for (std::size_t c = 0; c < channels_.size(); ++c)
        channels_[c].merge(other.channels_[c]);
}

Moments ChannelMoments::range(ChannelRange channels) const {
    Moments sum;
    for (std::int64_t c = channels.begin.value; c < channels.end.value; ++c)
        sum.merge(channels_[static_cast<std::size_t>(c)]);
    return sum;
}

Moments ChannelMoments::total() const {
    return range(channelRange(0, static_cast<std::int64_t>(channels_.size())));
}

Moments momentsOf(std::span<const float> values, float smallestNormal) {
    // Sixteen interleaved series fill the lanes of every machine; blocks keep both passes over them in the cache.
    constexpr std::size_t kSeries = 16;
    constexpr std::size_t kBlock = kSeries * 4096;
    ChannelMoments series(kSeries, smallestNormal);
    const std::size_t whole = values.size() / kSeries * kSeries;
    for (std::size_t begin = 0; begin < whole; begin += kBlock)
        series.add(values.subspan(begin, std::min(kBlock, whole - begin)));
    Moments sum = series.total();
    ChannelMoments rest(1, smallestNormal);
    rest.add(values.subspan(whole));
    sum.merge(rest.total());
    return sum;
}

} // namespace kvscope
