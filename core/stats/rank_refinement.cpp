// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/rank_refinement.h"

#include "core/base/float_formats.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace kvscope {

namespace {

constexpr std::size_t kLow = 65536;
constexpr std::uint16_t kSign = 0x8000;

float floatOf(std::uint16_t key, std::uint32_t low) {
    return std::bit_cast<float>((static_cast<std::uint32_t>(key) << 16) | low);
}

} // namespace

RankRefinement::RankRefinement(const KeyHistogram& keys)
    : exact_(keys.isExact())
    , half_(keys.encoding() == KeyEncoding::F16)
    , total_(keys.total())
    , slots_(exact_ ? 0 : KeyHistogram::kKeys) {
    if (total_ == 0)
        return;
    for (std::size_t i = 0; i < kMagnitudePercentiles.size(); ++i) {
        const double at = kMagnitudePercentiles[i] / 100.0 * static_cast<double>(total_ - 1);
        const auto lower = std::min(static_cast<std::int64_t>(at), total_ - 1);
        percentiles_[i].lower = find(keys, lower, true);
        percentiles_[i].upper = find(keys, std::min(lower + 1, total_ - 1), true);
        percentiles_[i].weight = at - static_cast<double>(lower);
    }
    median_.lower = find(keys, (total_ - 1) / 2, false);
    median_.upper = find(keys, total_ / 2, false);
    median_.weight = 0.5;
    belowMedianBucket_ = (total_ - 1) / 2 - median_.lower.within;
    inMedianBucket_ = keys.counts()[median_.lower.key];
    const bool negative = (median_.lower.key & kSign) != 0;
    pivot_ = exact_ ? keys.valueOf(median_.lower.key) : floatOf(median_.lower.key, negative ? kLow - 1 : 0);
}

std::size_t RankRefinement::slotFor(std::uint16_t key, bool magnitude) {
    const unsigned shift = magnitude ? 0 : 8;
    const std::size_t known = (slots_[key] >> shift) & 0xFFU;
    if (known != 0)
        return known - 1;
    const auto entry = static_cast<std::uint16_t>(++slotCount_ << shift);
    slots_[key] = static_cast<std::uint16_t>(slots_[key] | entry);
    if (magnitude)
        slots_[key | kSign] = static_cast<std::uint16_t>(slots_[key | kSign] | entry);
    return slotCount_ - 1;
}

RankRefinement::Target RankRefinement::find(const KeyHistogram& keys, std::int64_t rank, bool magnitude) {
    const auto counts = keys.counts();
    const std::uint16_t limit = keys.nonFiniteFrom();
    Target target{0, rank, 0};
    bool found = false;
    const auto visit = [&](std::uint16_t key, std::int64_t count) {
        if (target.within < count) {
            target.key = key;
            found = true;
        } else {
            target.within -= count;
        }
        return found;
    };
    if (magnitude) {
        for (std::uint16_t key = 0; key < limit && !visit(key, counts[key] + counts[key | kSign]); ++key) {
        }
    } else {
        for (std::uint16_t key = limit; key > 0 && !found; --key) {
            const auto negative = static_cast<std::uint16_t>((key - 1) | kSign);
            visit(negative, counts[negative]);
        }
        for (std::uint16_t key = 0; key < limit && !found; ++key)
            visit(key, counts[key]);
    }
    if (!exact_)
        target.slot = slotFor(target.key, magnitude);
    return target;
}

RankRefinement::Counters RankRefinement::makeCounters() const {
    return Counters(slotCount_ * kLow);
}

void RankRefinement::count(std::span<const float> values, Counters& counters) const {
    if (slotCount_ == 0)
        return;
    for (const float value : values) {
        const auto bits = std::bit_cast<std::uint32_t>(value);
        const std::uint32_t slots = slots_[bits >> 16];
        if (slots == 0)
            continue;
        const std::size_t low = bits & 0xFFFFU;
        if ((slots & 0xFFU) != 0)
            ++counters[((slots & 0xFFU) - 1) * kLow + low];
        if ((slots >> 8) != 0)
            ++counters[((slots >> 8) - 1) * kLow + low];
    }
}

void RankRefinement::merge(const Counters& part, std::vector<std::int64_t>& sum) const {
    sum.resize(slotCount_ * kLow);
    for (std::size_t i = 0; i < part.size(); ++i)
        sum[i] += part[i];
}

double RankRefinement::valueAt(const Target& target, std::span<const std::int64_t> counters, bool descending) const {
    if (exact_)
        return half_ ? floatFromHalf(target.key) : floatFromBfloat(target.key);
    const auto bucket = counters.subspan(target.slot * kLow, kLow);
    std::int64_t before = target.within;
    for (std::uint32_t i = 0; i < kLow; ++i) {
        const std::uint32_t low = descending ? static_cast<std::uint32_t>(kLow - 1) - i : i;
        if (before < bucket[low])
            return floatOf(target.key, low);
        before -= bucket[low];
    }
    return floatOf(target.key, 0);
}

double RankRefinement::valueAt(const Position& position, std::span<const std::int64_t> counters, bool magnitude) const {
    const auto value = [&](const Target& target) {
        return valueAt(target, counters, !magnitude && (target.key & kSign) != 0);
    };
    const double lower = value(position.lower);
    return lower + position.weight * (value(position.upper) - lower);
}

Ranks RankRefinement::ranks(std::span<const std::int64_t> counters) const {
    Ranks result;
    if (total_ == 0)
        return result;
    for (std::size_t i = 0; i < percentiles_.size(); ++i)
        result.magnitudePercentiles[i] = valueAt(percentiles_[i], counters, true);
    result.median = valueAt(median_, counters, false);
    return result;
}

double RankRefinement::pivotCorrection(std::span<const std::int64_t> counters, double median) const {
    if (total_ == 0 || exact_)
        return 0.0;
    // The centre moves up within the median's bucket: values below the bucket come further from it by as much, those
    // above come nearer.
    const double move = median - pivot_;
    const std::int64_t above = total_ - belowMedianBucket_ - inMedianBucket_;
    double sum = move * static_cast<double>(belowMedianBucket_ - above);
    const auto bucket = counters.subspan(median_.lower.slot * kLow, kLow);
    for (std::uint32_t low = 0; low < kLow; ++low) {
        if (bucket[low] == 0)
            continue;
        const double x = floatOf(median_.lower.key, low);
        sum += static_cast<double>(bucket[low]) * (std::fabs(x - median) - std::fabs(x - pivot_));
    }
    return sum;
}

double magnitudeBound(const KeyHistogram& keys, double share) {
    const std::int64_t total = keys.total();
    if (total == 0)
        return 0.0;
    const auto rank = static_cast<std::int64_t>(share * static_cast<double>(total - 1));
    const auto counts = keys.counts();
    std::int64_t before = 0;
    for (std::uint16_t key = 0; key < keys.nonFiniteFrom(); ++key) {
        before += counts[key] + counts[key | kSign];
        if (before <= rank)
            continue;
        if (keys.isExact())
            return keys.valueOf(key);
        return key + 1 < keys.nonFiniteFrom() ? keys.valueOf(static_cast<std::uint16_t>(key + 1))
                                              : std::numeric_limits<float>::max();
    }
    return 0.0;
}

} // namespace kvscope
