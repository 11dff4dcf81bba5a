// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/tensor_error.h"

#include "core/stats/in_order.h"
#include "core/stats/kernels.h"
#include "core/stats/scope.h"

#include <algorithm>
#include <cmath>
#include <memory>

namespace kvscope {

namespace {

/// Pairs with a non-finite side that are not the same infinity or both NaN.
std::int64_t countMismatches(std::span<const float> original, std::span<const float> changed) {
    std::int64_t mismatches = 0;
    for (std::size_t i = 0; i < original.size(); ++i) {
        const float x = original[i];
        const float y = changed[i];
        const bool finite = std::isfinite(x) && std::isfinite(y);
        const bool same = x == y || (std::isnan(x) && std::isnan(y));
        mismatches += !finite && !same ? 1 : 0;
    }
    return mismatches;
}

std::vector<ScopedPlane> commonPlanes(const KvCache& original, const KvCache& changed) {
    std::vector<ScopedPlane> planes;
    for (const PlaneId id : original.geometry().allPlanes()) {
        const PlaneGeometry* a = original.geometry().find(id);
        const PlaneGeometry* b = changed.geometry().find(id);
        if (b == nullptr || a->heads != b->heads || a->headDim != b->headDim || std::min(a->tokens, b->tokens) == 0)
            continue;
        planes.push_back({id, a, false, tokenRange(0, std::min(a->tokens, b->tokens)), channelRange(0, a->channels())});
    }
    return planes;
}

struct PlaneState {
    explicit PlaneState(std::int64_t channels)
        : sum(channels) {}

    InOrder<TensorErrorAccumulator> order;
    TensorErrorAccumulator sum;
    std::size_t firstSegment = 0;
};

Result<CacheError> compare(const KvCache& original, const KvCache& changed, const std::vector<ScopedPlane>& planes,
                           ThreadPool& pool, const JobControl& job) {
    const auto segments = cutSegments(planes);
    std::vector<std::unique_ptr<PlaneState>> states;
    for (const ScopedPlane& plane : planes)
        states.push_back(std::make_unique<PlaneState>(plane.channels.size()));
    for (std::size_t i = segments.size(); i-- > 0;)
        states[segments[i].plane]->firstSegment = i;
    KVSCOPE_TRY(forEachSegment(segments.size(), pool, job, [&](std::size_t i) -> Result<void> {
        const ScopedPlane& plane = planes[segments[i].plane];
        TensorErrorAccumulator part(plane.channels.size());
        RowReader left(original, plane);
        RowReader right(changed, plane);
        KVSCOPE_TRY(forEachBlock(segments[i].tokens, plane.channels.size(), job, [&](TokenRange block) -> Result<void> {
            KVSCOPE_ASSIGN(const auto x, left.read(block));
            KVSCOPE_ASSIGN(const auto y, right.read(block));
            part.add(x, y);
            job.advance(block.size() * plane.channels.size() * sizeOf(plane.geometry->dtype));
            return {};
        }));
        PlaneState& state = *states[segments[i].plane];
        state.order.deliver(i - state.firstSegment, std::move(part),
                            [&](const TensorErrorAccumulator& next) { state.sum.merge(next); });
        return {};
    }));
    CacheError result;
    for (const PlaneKind kind : kAllPlaneKinds) {
        TensorErrorSums sums;
        for (std::size_t p = 0; p < planes.size(); ++p) {
            if (planes[p].id.kind == kind)
                sums.merge(states[p]->sum.sums());
        }
        if (sums.count + sums.mismatches > 0)
            result.kinds.push_back({kind, sums.result()});
    }
    for (std::size_t p = 0; p < planes.size(); ++p)
        result.planes.push_back({planes[p].id, states[p]->sum.result()});
    return result;
}

} // namespace

void TensorErrorSums::merge(const TensorErrorSums& other) {
    if (other.count > 0) {
        originalMin = count > 0 ? std::min(originalMin, other.originalMin) : other.originalMin;
        originalMax = count > 0 ? std::max(originalMax, other.originalMax) : other.originalMax;
    }
    count += other.count;
    mismatches += other.mismatches;
    sumAbs += other.sumAbs;
    sumSquared += other.sumSquared;
    max = std::max(max, other.max);
    dot += other.dot;
    originalEnergy += other.originalEnergy;
    changedEnergy += other.changedEnergy;
    centredEnergy += other.centredEnergy;
}

TensorError TensorErrorSums::result() const {
    TensorError error;
    error.count = count;
    error.mismatches = mismatches;
    if (count == 0)
        return error;
    const auto n = static_cast<double>(count);
    error.meanAbs = sumAbs / n;
    error.meanSquared = sumSquared / n;
    error.max = max;
    if (originalEnergy > 0) {
        error.nmse = sumSquared / originalEnergy;
        error.relativeL2 = std::sqrt(*error.nmse);
        if (sumSquared > 0)
            error.snrDb = 10.0 * std::log10(originalEnergy / sumSquared);
        if (changedEnergy > 0)
            error.cosine = dot / (std::sqrt(originalEnergy) * std::sqrt(changedEnergy));
    }
    if (centredEnergy > 0)
        error.nmseCentred = sumSquared / centredEnergy;
    if (sumSquared > 0 && originalMax > originalMin)
        error.psnrDb = 20.0 * std::log10((originalMax - originalMin) / std::sqrt(error.meanSquared));
    return error;
}

TensorErrorAccumulator::TensorErrorAccumulator(std::int64_t channels)
    : original_(channels) {}

void TensorErrorAccumulator::add(std::span<const float> original, std::span<const float> changed) {
    if (original.empty())
        return;
    const auto sums = kernels::errorSums(original, changed);
    sums_.count += sums.count;
    if (sums.count != static_cast<std::int64_t>(original.size()))
        sums_.mismatches += countMismatches(original, changed);
    sums_.sumAbs += sums.sumAbs;
    sums_.sumSquared += sums.sumSquared;
    sums_.max = std::max(sums_.max, sums.max);
    sums_.dot += sums.dot;
    sums_.originalEnergy += sums.originalEnergy;
    sums_.changedEnergy += sums.changedEnergy;
    original_.add(original);
}

void TensorErrorAccumulator::merge(const TensorErrorAccumulator& other) {
    sums_.merge(other.sums_);
    original_.merge(other.original_);
}

TensorErrorSums TensorErrorAccumulator::sums() const {
    TensorErrorSums sums = sums_;
    bool first = true;
    for (const Moments& channel : original_.channels()) {
        if (channel.count == 0)
            continue;
        if (channel.min < channel.max)
            sums.centredEnergy += channel.m2;
        sums.originalMin = first ? channel.min : std::min(sums.originalMin, channel.min);
        sums.originalMax = first ? channel.max : std::max(sums.originalMax, channel.max);
        first = false;
    }
    return sums;
}

Result<CacheError> compareCaches(const KvCache& original, const KvCache& changed, ThreadPool& pool,
                                 const JobControl& job) {
    return withinMemory([&]() -> Result<CacheError> {
        const auto planes = commonPlanes(original, changed);
        if (planes.empty())
            return fail("the two dumps have no layer of equal heads and head dimension in common", changed.info().name,
                        "Compare dumps of the same model.");
        if (job.progress != nullptr)
            job.progress->start(bytesOf(planes));
        return compare(original, changed, planes, pool, job);
    });
}

} // namespace kvscope
