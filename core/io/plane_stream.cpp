// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/plane_stream.h"

#include "core/kv/convert.h"

#include <algorithm>
#include <cmath>

namespace kvscope {

namespace {

constexpr std::int64_t kBlockValues = std::int64_t{64} * 1024;

} // namespace

PlaneStream::PlaneStream(const KvCache& cache, std::vector<PlaneId> planes, DType dtype,
                         std::optional<RopeDirection> rope)
    : cache_(cache)
    , planes_(std::move(planes))
    , dtype_(dtype)
    , rope_(rope) {}

Result<std::span<const std::byte>> PlaneStream::next() {
    while (plane_ < planes_.size()) {
        const PlaneId plane = planes_[plane_];
        const PlaneGeometry& shape = *cache_.geometry().find(plane);
        if (head_ == shape.heads || shape.tokens == 0) {
            ++plane_;
            head_ = 0;
            continue;
        }
        const std::int64_t count =
            std::min(shape.tokens - token_, std::max<std::int64_t>(1, kBlockValues / shape.headDim));
        const TokenRange tokens = tokenRange(token_, token_ + count);
        values_.resize(static_cast<std::size_t>(count * shape.headDim));
        KVSCOPE_TRY(
            cache_.readRows(plane, tokens, channelRange(head_ * shape.headDim, (head_ + 1) * shape.headDim), values_));
        if (plane.kind == PlaneKind::Key && rope_)
            rotateBlock(plane, shape, tokens);
        bytes_.resize(values_.size() * static_cast<std::size_t>(sizeOf(dtype_)));
        convertFromFloat(dtype_, values_, bytes_);
        this->count(plane.kind);
        token_ += count;
        if (token_ == shape.tokens) {
            token_ = 0;
            ++head_;
        }
        return std::span<const std::byte>(bytes_);
    }
    return std::span<const std::byte>();
}

std::int64_t PlaneStream::totalBytes() const {
    std::int64_t values = 0;
    for (const PlaneId plane : planes_)
        values += cache_.geometry().find(plane)->values();
    return values * sizeOf(dtype_);
}

std::vector<ConversionLoss> PlaneStream::losses(std::span<const PlaneStream* const> streams) {
    std::vector<ConversionLoss> losses;
    for (const PlaneKind kind : kAllPlaneKinds) {
        Sums all;
        for (const PlaneStream* stream : streams) {
            const Sums& sums = stream->sums_[static_cast<std::size_t>(kind)];
            all.values += sums.values;
            all.overflowed += sums.overflowed;
            all.underflowed += sums.underflowed;
            all.maxAbsError = std::max(all.maxAbsError, sums.maxAbsError);
            all.absError += sums.absError;
            all.squaredError += sums.squaredError;
            all.squares += sums.squares;
        }
        if (all.values == 0)
            continue;
        ConversionLoss loss;
        loss.kind = kind;
        loss.values = all.values;
        loss.maxAbsError = all.maxAbsError;
        loss.meanAbsError = all.absError / static_cast<double>(all.values);
        loss.relativeError = all.squares > 0 ? std::sqrt(all.squaredError / all.squares) : 0.0;
        loss.overflowed = all.overflowed;
        loss.underflowed = all.underflowed;
        losses.push_back(loss);
    }
    return losses;
}

void PlaneStream::rotateBlock(PlaneId plane, const PlaneGeometry& shape, TokenRange tokens) {
    const Rope* rope = cache_.rope(plane.layer);
    if (rope == nullptr)
        return;
    PlaneGeometry oneHead = shape;
    oneHead.heads = 1;
    rotate(*rope, *rope_, oneHead, tokens, values_);
}

void PlaneStream::count(PlaneKind kind) {
    rounded_.resize(values_.size());
    convertToFloat(dtype_, bytes_, rounded_);
    Sums& sums = sums_[static_cast<std::size_t>(kind)];
    for (std::size_t i = 0; i < values_.size(); ++i) {
        const double value = static_cast<double>(values_[i]);
        if (!std::isfinite(value))
            continue;
        ++sums.values;
        sums.squares += value * value;
        if (!std::isfinite(rounded_[i])) {
            ++sums.overflowed;
            continue;
        }
        sums.underflowed += rounded_[i] == 0.0F && value != 0.0 ? 1 : 0;
        const double error = std::abs(static_cast<double>(rounded_[i]) - value);
        sums.maxAbsError = std::max(sums.maxAbsError, error);
        sums.absError += error;
        sums.squaredError += error * error;
    }
}

} // namespace kvscope
