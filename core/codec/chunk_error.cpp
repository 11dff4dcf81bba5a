// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/chunk_error.h"

#include "core/stats/kernels.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace kvscope {

namespace {

/// Rows whose squares are added in float before they go into the sums in double.
constexpr std::size_t kFloatRows = 8;

/// Pairs with a NaN or infinity that the other side does not have in the same place.
std::int64_t countMismatches(std::span<const float> original, std::span<const float> decoded) {
    std::int64_t mismatches = 0;
    for (std::size_t i = 0; i < original.size(); ++i) {
        const float x = original[i];
        const float y = decoded[i];
        const bool finite = std::isfinite(x) && std::isfinite(y);
        mismatches += finite || x == y || (std::isnan(x) && std::isnan(y)) ? 0 : 1;
    }
    return mismatches;
}

} // namespace

ChunkError::ChunkError(std::int64_t heads, std::int64_t headDim)
    : headDim_(static_cast<std::size_t>(headDim))
    , heads_(static_cast<std::size_t>(heads))
    , original_(heads * headDim)
    , channelError_(static_cast<std::size_t>(heads * headDim)) {}

void ChunkError::addRow(std::span<const float> original, std::span<const float> decoded) {
    double error = 0;
    double energy = 0;
    for (std::size_t h = 0; h < heads_.size(); ++h) {
        const auto x = original.subspan(h * headDim_, headDim_);
        const auto y = decoded.subspan(h * headDim_, headDim_);
        const kernels::ErrorSums sums = kernels::errorSums(x, y);
        TensorErrorSums& head = heads_[h];
        head.count += sums.count;
        if (sums.count != static_cast<std::int64_t>(headDim_))
            head.mismatches += countMismatches(x, y);
        head.sumAbs += sums.sumAbs;
        head.sumSquared += sums.sumSquared;
        head.max = std::max(head.max, sums.max);
        head.dot += sums.dot;
        head.originalEnergy += sums.originalEnergy;
        head.changedEnergy += sums.changedEnergy;
        error += sums.sumSquared;
        energy += sums.originalEnergy;
    }
    tokenError_.push_back(static_cast<float>(error));
    tokenEnergy_.push_back(static_cast<float>(energy));
}

void ChunkError::addChannels(std::span<const float> original, std::span<const float> decoded) {
    const std::size_t width = channelError_.size();
    std::vector<float> part(width);
    for (std::size_t begin = 0; begin < original.size(); begin += kFloatRows * width) {
        const std::size_t end = std::min(original.size(), begin + kFloatRows * width);
        std::ranges::fill(part, 0.0F);
        for (std::size_t row = begin; row < end; row += width) {
            for (std::size_t c = 0; c < width; ++c) {
                const float e = decoded[row + c] - original[row + c];
                part[c] += e * e;
            }
        }
        for (std::size_t c = 0; c < width; ++c) {
            if (std::isfinite(part[c])) {
                channelError_[c] += part[c];
                continue;
            }
            for (std::size_t row = begin; row < end; row += width) {
                const double e = static_cast<double>(decoded[row + c]) - static_cast<double>(original[row + c]);
                channelError_[c] += std::isfinite(e) ? e * e : 0.0;
            }
        }
    }
}

void ChunkError::add(std::span<const float> original, std::span<const float> decoded) {
    const std::size_t width = channelError_.size();
    for (std::size_t row = 0; width > 0 && row + width <= original.size(); row += width)
        addRow(original.subspan(row, width), decoded.subspan(row, width));
    addChannels(original, decoded);
    original_.add(original);
}

void ChunkError::merge(const ChunkError& other) {
    for (std::size_t h = 0; h < heads_.size(); ++h)
        heads_[h].merge(other.heads_[h]);
    original_.merge(other.original_);
    std::ranges::transform(channelError_, other.channelError_, channelError_.begin(), std::plus<>());
    tokenError_.insert(tokenError_.end(), other.tokenError_.begin(), other.tokenError_.end());
    tokenEnergy_.insert(tokenEnergy_.end(), other.tokenEnergy_.begin(), other.tokenEnergy_.end());
}

void ChunkError::store(PlaneReport& report) const {
    report.hasError = true;
    report.headErrors = heads_;
    for (const Moments& channel : original_.channels()) {
        report.channelEnergy.push_back(channel.energy());
        report.channelCentredEnergy.push_back(channel.m2);
    }
    for (std::size_t h = 0; h < heads_.size(); ++h) {
        const auto first = static_cast<std::int64_t>(h * headDim_);
        TensorErrorSums& head = report.headErrors[h];
        for (std::size_t d = 0; d < headDim_; ++d)
            head.centredEnergy += original_.channels()[h * headDim_ + d].m2;
        const Moments all = original_.range(channelRange(first, first + static_cast<std::int64_t>(headDim_)));
        head.originalMin = all.min;
        head.originalMax = all.max;
        report.error.merge(head);
    }
    report.channelErrorEnergy = channelError_;
    report.tokenErrorEnergy = tokenError_;
    report.tokenEnergy = tokenEnergy_;
}

} // namespace kvscope
