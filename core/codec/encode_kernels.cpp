// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/encode_kernels.h"

#include "core/codec/kvz_step.h"
#include "core/codec/symbol_bank.h"
#include "core/codec/symbol_layout.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/codec/encode_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kvscope::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr float kRounder = 0x1.8p23F;
constexpr int kMostSymbolNumber = kBankZero - 1;

bool within(const float* values, std::size_t count, float most) {
    const hn::ScalableTag<float> tag;
    const std::size_t lanes = hn::Lanes(tag);
    const auto bound = hn::Set(tag, most);
    std::size_t i = 0;
    auto good = hn::Eq(bound, bound);
    for (; i + lanes <= count; i += lanes)
        good = hn::And(good, hn::Le(hn::Abs(hn::LoadU(tag, values + i)), bound));
    bool all = hn::AllTrue(tag, good);
    for (; i < count; ++i)
        all = all && std::fabs(values[i]) <= most;
    return all;
}

void add(const float* values, std::size_t channels, float* sums) {
    const hn::ScalableTag<float> tag;
    const std::size_t lanes = hn::Lanes(tag);
    std::size_t c = 0;
    for (; c + lanes <= channels; c += lanes)
        hn::StoreU(hn::Add(hn::LoadU(tag, sums + c), hn::LoadU(tag, values + c)), tag, sums + c);
    for (; c < channels; ++c)
        sums[c] += values[c];
}

bool steps(const float* values, const float* offsets, float inverse, std::size_t channels, std::int16_t* numbers) {
    const hn::ScalableTag<float> floats;
    const hn::RebindToSigned<decltype(floats)> ints;
    const hn::Rebind<std::int16_t, decltype(floats)> shorts;
    const std::size_t lanes = hn::Lanes(floats);
    const auto factor = hn::Set(floats, inverse);
    const auto rounder = hn::Set(floats, kRounder);
    auto largest = hn::Zero(ints);
    std::size_t c = 0;
    for (; c + lanes <= channels; c += lanes) {
        const auto scaled = hn::Sub(hn::Mul(hn::LoadU(floats, values + c), factor), hn::LoadU(floats, offsets + c));
        const auto number = hn::ConvertTo(ints, hn::Sub(hn::Add(scaled, rounder), rounder));
        largest = hn::Max(largest, hn::Abs(number));
        hn::StoreU(hn::DemoteTo(shorts, number), shorts, numbers + c);
    }
    bool narrow = hn::AllFalse(ints, hn::Gt(largest, hn::Set(ints, kMostNarrow)));
    for (; c < channels; ++c) {
        const std::int32_t number = stepsOf(values[c], inverse, offsets[c]);
        narrow = narrow && number <= kMostNarrow && number >= -kMostNarrow;
        numbers[c] = static_cast<std::int16_t>(std::clamp(number, -32768, 32767));
    }
    return narrow;
}

bool symbolsOf(const std::int16_t* numbers, const ModeFactors& factors, const ModeRows& rows, std::size_t channels,
               std::uint8_t* symbols) {
    const hn::ScalableTag<std::int16_t> wide;
    const hn::Rebind<std::uint8_t, decltype(wide)> bytes;
    const std::size_t lanes = hn::Lanes(wide);
    const auto half = hn::Set(wide, 4);
    const auto weight = hn::Set(wide, rows.weight);
    const auto most = hn::Set(wide, kMostSymbolNumber);
    const auto least = hn::Set(wide, -kMostSymbolNumber);
    const auto zero = hn::Set(wide, kBankZero);
    auto same = hn::Eq(half, half);
    std::size_t c = 0;
    for (; c + lanes <= channels; c += lanes) {
        auto number = hn::LoadU(wide, numbers + c);
        if (rows.reference != nullptr || rows.previous != nullptr) {
            auto sum = half;
            if (rows.reference != nullptr)
                sum = hn::Add(sum, hn::Mul(hn::LoadU(wide, rows.reference + c),
                                           hn::And(hn::LoadU(wide, factors.reference + c), weight)));
            if (rows.previous != nullptr)
                sum = hn::Add(sum, hn::Mul(hn::LoadU(wide, rows.previous + c), hn::LoadU(wide, factors.previous + c)));
            number = hn::Sub(number, hn::ShiftRight<3>(sum));
        }
        if (rows.anchor != nullptr)
            number = hn::Sub(number, hn::And(hn::LoadU(wide, rows.anchor + c), hn::LoadU(wide, factors.anchor + c)));
        const auto clamped = hn::Min(hn::Max(number, least), most);
        same = hn::And(same, hn::Eq(clamped, number));
        hn::StoreU(hn::DemoteTo(bytes, hn::Add(clamped, zero)), bytes, symbols + c);
    }
    bool all = hn::AllTrue(wide, same);
    for (; c < channels; ++c) {
        std::uint32_t sum = 4;
        if (rows.reference != nullptr)
            sum += static_cast<std::uint32_t>(rows.reference[c]) *
                   static_cast<std::uint32_t>(factors.reference[c] & rows.weight);
        if (rows.previous != nullptr)
            sum += static_cast<std::uint32_t>(rows.previous[c]) * static_cast<std::uint32_t>(factors.previous[c]);
        std::uint32_t left =
            static_cast<std::uint32_t>(numbers[c]) - static_cast<std::uint32_t>(static_cast<std::int16_t>(sum) >> 3);
        if (rows.anchor != nullptr)
            left -= static_cast<std::uint32_t>(rows.anchor[c] & factors.anchor[c]);
        const auto number = static_cast<std::int16_t>(left);
        const std::int16_t clamped = std::clamp<std::int16_t>(number, -kMostSymbolNumber, kMostSymbolNumber);
        all = all && clamped == number;
        symbols[c] = static_cast<std::uint8_t>(clamped + kBankZero);
    }
    return all;
}

void moments(const std::int16_t* numbers, const ModeRows& rows, std::size_t channels, const MomentSums& sums) {
    const hn::ScalableTag<std::int32_t> tag;
    const hn::Rebind<std::int16_t, decltype(tag)> shorts;
    const std::size_t lanes = hn::Lanes(tag);
    const auto most = hn::Set(tag, kMostInNarrowMoments);
    const auto least = hn::Set(tag, -kMostInNarrowMoments);
    const auto weight = hn::Set(tag, rows.weight);
    const auto half = hn::Set(tag, kWholeWeight / 2);
    const auto load = [&](const std::int16_t* from) HWY_ATTR { return hn::PromoteTo(tag, hn::LoadU(shorts, from)); };
    const auto clamped = [&](auto number) HWY_ATTR { return hn::Min(hn::Max(number, least), most); };
    const auto accumulate = [&](std::int32_t* sum, auto product)
                                HWY_ATTR { hn::StoreU(hn::Add(hn::LoadU(tag, sum), product), tag, sum); };
    const auto one = [&](std::size_t c) HWY_ATTR {
        const auto raw = load(numbers + c);
        const auto number = clamped(raw);
        const auto square = hn::Mul(number, number);
        accumulate(sums.own + c, square);
        if (rows.previous != nullptr) {
            const auto before = clamped(load(rows.previous + c));
            accumulate(sums.lagged + c, hn::Mul(before, before));
            accumulate(sums.product + c, hn::Mul(number, before));
        }
        if (rows.anchor != nullptr) {
            const auto left = clamped(hn::Sub(raw, load(rows.anchor + c)));
            accumulate(sums.anchor + c, hn::Mul(left, left));
        } else {
            accumulate(sums.anchor + c, square);
        }
        if (sums.reference == nullptr)
            return;
        if (rows.reference != nullptr) {
            const auto part = hn::ShiftRight<3>(hn::Add(hn::Mul(load(rows.reference + c), weight), half));
            const auto left = clamped(hn::Sub(raw, part));
            accumulate(sums.reference + c, hn::Mul(left, left));
        } else {
            accumulate(sums.reference + c, square);
        }
    };
    std::size_t c = 0;
    for (; c + lanes <= channels; c += lanes)
        one(c);
    for (; c < channels; ++c) {
        const auto bounded = [](int number) {
            return std::clamp<int>(number, -kMostInNarrowMoments, kMostInNarrowMoments);
        };
        const int raw = numbers[c];
        const int number = bounded(raw);
        sums.own[c] += number * number;
        if (rows.previous != nullptr) {
            const int before = bounded(rows.previous[c]);
            sums.lagged[c] += before * before;
            sums.product[c] += number * before;
        }
        const int fromAnchor = rows.anchor != nullptr ? bounded(raw - rows.anchor[c]) : number;
        sums.anchor[c] += fromAnchor * fromAnchor;
        if (sums.reference == nullptr)
            continue;
        const int fromReference = rows.reference != nullptr
                                      ? bounded(raw - ((rows.reference[c] * rows.weight + kWholeWeight / 2) >> 3))
                                      : number;
        sums.reference[c] += fromReference * fromReference;
    }
}

void products(const std::int16_t* a, std::size_t pairCount, const std::int16_t* pairs, std::size_t stride,
              std::size_t count, std::int32_t* sums) {
    for (std::size_t u = 0; u < count; ++u)
        sums[u] = 0;
#if HWY_TARGET == HWY_SCALAR || !HWY_ARCH_X86
    for (std::size_t k = 0; k < pairCount; ++k) {
        for (std::size_t u = 0; u < count; ++u)
            sums[u] += pairs[k * stride + 2 * u] * a[2 * k] + pairs[k * stride + 2 * u + 1] * a[2 * k + 1];
    }
#else
    const hn::ScalableTag<std::int32_t> tag;
    const hn::ScalableTag<std::int16_t> shorts;
    const std::size_t lanes = hn::Lanes(tag);
    std::size_t u = 0;
    for (; u + lanes <= count; u += lanes) {
        auto sum = hn::Zero(tag);
        auto other = hn::Zero(tag);
        for (std::size_t k = 0; k < pairCount; ++k) {
            const auto both =
                static_cast<std::int32_t>(static_cast<std::uint32_t>(static_cast<std::uint16_t>(a[2 * k])) |
                                          static_cast<std::uint32_t>(a[2 * k + 1]) << 16);
            sum = hn::ReorderWidenMulAccumulate(tag, hn::BitCast(shorts, hn::Set(tag, both)),
                                                hn::LoadU(shorts, pairs + k * stride + 2 * u), sum, other);
        }
        // The instructions that add the products of pairs leave everything in the first sum.
        hn::StoreU(hn::Add(sum, other), tag, sums + u);
    }
    for (; u < count; ++u) {
        for (std::size_t k = 0; k < pairCount; ++k)
            sums[u] += pairs[k * stride + 2 * u] * a[2 * k] + pairs[k * stride + 2 * u + 1] * a[2 * k + 1];
    }
#endif
}

void costs(const std::uint16_t* counts, int first, int last, const std::uint32_t* rows, std::size_t stride,
           std::uint32_t* sums) {
    const hn::CappedTag<std::uint32_t, 16> tag;
    const std::size_t lanes = hn::Lanes(tag);
    for (std::size_t i = 0; i < 16; i += lanes) {
        auto sum = hn::LoadU(tag, sums + i);
        for (int symbol = first; symbol <= last; ++symbol)
            sum = hn::Add(sum, hn::Mul(hn::Set(tag, counts[symbol]),
                                       hn::LoadU(tag, rows + static_cast<std::size_t>(symbol) * stride + i)));
        hn::StoreU(sum, tag, sums + i);
    }
}

} // namespace kvscope::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace kvscope {

HWY_EXPORT(within);
HWY_EXPORT(add);
HWY_EXPORT(steps);
HWY_EXPORT(symbolsOf);
HWY_EXPORT(moments);
HWY_EXPORT(products);
HWY_EXPORT(costs);

bool allWithin(const float* values, std::size_t count, float most) {
    return HWY_DYNAMIC_DISPATCH(within)(values, count, most);
}

void addRow(const float* values, std::size_t channels, float* sums) {
    HWY_DYNAMIC_DISPATCH(add)(values, channels, sums);
}

bool stepsRow(const float* values, const float* offsets, float inverse, std::size_t channels, std::int16_t* numbers) {
    return HWY_DYNAMIC_DISPATCH(steps)(values, offsets, inverse, channels, numbers);
}

bool symbolsOfRow(const std::int16_t* numbers, const ModeFactors& factors, const ModeRows& rows, std::size_t channels,
                  std::uint8_t* symbols) {
    return HWY_DYNAMIC_DISPATCH(symbolsOf)(numbers, factors, rows, channels, symbols);
}

void addMoments(const std::int16_t* numbers, const ModeRows& rows, std::size_t channels, const MomentSums& sums) {
    HWY_DYNAMIC_DISPATCH(moments)(numbers, rows, channels, sums);
}

void pairProducts(const std::int16_t* a, std::size_t pairCount, const std::int16_t* pairs, std::size_t stride,
                  std::size_t count, std::int32_t* sums) {
    HWY_DYNAMIC_DISPATCH(products)(a, pairCount, pairs, stride, count, sums);
}

void addCosts(const std::uint16_t* counts, int first, int last, const std::uint32_t* rows, std::size_t stride,
              std::uint32_t* sums) {
    HWY_DYNAMIC_DISPATCH(costs)(counts, first, last, rows, stride, sums);
}

} // namespace kvscope

#endif
