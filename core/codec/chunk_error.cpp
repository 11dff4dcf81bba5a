// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/chunk_error.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace kvscope {

namespace {

/// Partial sums that let the compiler add several values at a time.
constexpr std::size_t kLanes = 8;

/// NaN on both sides, or the same infinity.
bool sameNonFinite(float x, float y) {
    return x == y || (std::isnan(x) && std::isnan(y));
}

double total(const std::array<double, kLanes>& lanes) {
    double sum = 0;
    for (const double lane : lanes)
        sum += lane;
    return sum;
}

} // namespace

ChunkError::ChunkError(std::int64_t channels)
    : channels_(static_cast<std::size_t>(channels)) {}

void ChunkError::Channel::merge(const Channel& other) {
    if (other.count > 0) {
        least = count > 0 ? std::min(least, other.least) : other.least;
        most = count > 0 ? std::max(most, other.most) : other.most;
    }
    count += other.count;
    mismatches += other.mismatches;
    sumAbs += other.sumAbs;
    sumSquared += other.sumSquared;
    max = std::max(max, other.max);
    dot += other.dot;
    energy += other.energy;
    changedEnergy += other.changedEnergy;
    sum += other.sum;
}

double ChunkError::Channel::centredEnergy() const {
    // A constant channel leaves rounding noise of the size of an ulp of its energy; that is no energy.
    const double centred = count > 0 ? energy - sum * sum / static_cast<double>(count) : 0.0;
    return least < most ? std::max(0.0, centred) : 0.0;
}

TensorErrorSums ChunkError::Channel::sums() const {
    TensorErrorSums out;
    out.count = count;
    out.mismatches = mismatches;
    out.sumAbs = sumAbs;
    out.sumSquared = sumSquared;
    out.max = max;
    out.dot = dot;
    out.originalEnergy = energy;
    out.changedEnergy = changedEnergy;
    out.centredEnergy = centredEnergy();
    out.originalMin = least;
    out.originalMax = most;
    return out;
}

void ChunkError::addRow(std::span<const float> original, std::span<const float> decoded) {
    for (std::size_t c = 0; c < channels_.size(); ++c) {
        Channel& channel = channels_[c];
        const float left = original[c];
        const float right = decoded[c];
        if (!std::isfinite(left) || !std::isfinite(right)) {
            channel.mismatches += sameNonFinite(left, right) ? 0 : 1;
            continue;
        }
        const double x = left;
        const double y = right;
        const double e = y - x;
        const double size = std::abs(e);
        channel.sumAbs += size;
        channel.sumSquared += e * e;
        channel.max = std::max(channel.max, size);
        channel.dot += x * y;
        channel.energy += x * x;
        channel.changedEnergy += y * y;
        channel.sum += x;
        channel.least = channel.count > 0 ? std::min(channel.least, left) : left;
        channel.most = channel.count > 0 ? std::max(channel.most, left) : left;
        ++channel.count;
    }
}

void ChunkError::addTokens(std::span<const float> original, std::span<const float> decoded) {
    std::array<double, kLanes> error{};
    std::array<double, kLanes> energy{};
    for (std::size_t c = 0; c < original.size(); ++c) {
        const double x = original[c];
        const double e = static_cast<double>(decoded[c]) - x;
        const bool finite = std::isfinite(original[c]) && std::isfinite(decoded[c]);
        error[c % kLanes] += finite ? e * e : 0.0;
        energy[c % kLanes] += finite ? x * x : 0.0;
    }
    tokenError_.push_back(static_cast<float>(total(error)));
    tokenEnergy_.push_back(static_cast<float>(total(energy)));
}

void ChunkError::add(std::span<const float> original, std::span<const float> decoded) {
    const std::size_t width = channels_.size();
    for (std::size_t row = 0; row + width <= original.size() && width > 0; row += width) {
        addRow(original.subspan(row, width), decoded.subspan(row, width));
        addTokens(original.subspan(row, width), decoded.subspan(row, width));
    }
}

void ChunkError::merge(const ChunkError& other) {
    for (std::size_t c = 0; c < channels_.size(); ++c)
        channels_[c].merge(other.channels_[c]);
    tokenError_.insert(tokenError_.end(), other.tokenError_.begin(), other.tokenError_.end());
    tokenEnergy_.insert(tokenEnergy_.end(), other.tokenEnergy_.begin(), other.tokenEnergy_.end());
}

void ChunkError::store(PlaneReport& report) const {
    report.hasError = true;
    report.headErrors.assign(static_cast<std::size_t>(report.heads), {});
    for (std::size_t c = 0; c < channels_.size(); ++c) {
        const Channel& channel = channels_[c];
        report.headErrors[c / static_cast<std::size_t>(report.headDim)].merge(channel.sums());
        report.channelErrorEnergy.push_back(channel.sumSquared);
        report.channelEnergy.push_back(channel.energy);
        report.channelCentredEnergy.push_back(channel.centredEnergy());
    }
    for (const TensorErrorSums& head : report.headErrors)
        report.error.merge(head);
    report.tokenErrorEnergy = tokenError_;
    report.tokenEnergy = tokenEnergy_;
}

} // namespace kvscope
