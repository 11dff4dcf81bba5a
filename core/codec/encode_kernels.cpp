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

/// Channels c and on of some rows, one vector of 16-bit numbers or a single channel at a time.
void planeMomentsOne(const std::int16_t* numbers, int rows, std::size_t channels, const std::int16_t* before,
                     std::size_t c, const MomentSums& sums) {
    const auto bounded = [](int number) {
        return std::clamp<int>(number, -kMostInNarrowMoments, kMostInNarrowMoments);
    };
    int previous = before != nullptr ? bounded(before[c]) : 0;
    int anchor = 0;
    sums.own[c] = sums.product[c] = sums.anchor[c] = 0;
    for (int t = 0; t < rows; ++t) {
        const int raw = numbers[static_cast<std::size_t>(t) * channels + c];
        const int number = bounded(raw);
        if (t % kAnchorGroup == 0)
            anchor = 0;
        const int left = bounded(raw - anchor);
        if (t % kAnchorGroup == 0)
            anchor = raw;
        sums.own[c] += number * number;
        sums.product[c] += number * previous;
        sums.anchor[c] += left * left;
        previous = number;
    }
}

void planeMoments(const std::int16_t* numbers, int rows, std::size_t channels, const std::int16_t* before,
                  const MomentSums& sums) {
    std::size_t c = 0;
#if HWY_TARGET != HWY_SCALAR && HWY_ARCH_X86
    const hn::ScalableTag<std::int16_t> tag;
    const hn::ScalableTag<std::int32_t> wide;
    const std::size_t lanes = hn::Lanes(tag);
    const auto most = hn::Set(tag, kMostInNarrowMoments);
    const auto least = hn::Set(tag, -kMostInNarrowMoments);
    const auto zero = hn::Zero(tag);
    const auto clamped = [&](auto number) HWY_ATTR { return hn::Min(hn::Max(number, least), most); };
    // Sums of the lower and the upper half of every 128 bits.
    struct Halves {
        decltype(hn::Zero(wide)) lower;
        decltype(hn::Zero(wide)) upper;
    };
    // The instructions that add the products of pairs leave everything in the first sum.
    auto unused = hn::Zero(wide);
    const auto add = [&](Halves& sum, auto a, auto b, auto x, auto y) HWY_ATTR {
        sum.lower = hn::ReorderWidenMulAccumulate(wide, hn::InterleaveLower(tag, a, b), hn::InterleaveLower(tag, x, y),
                                                  sum.lower, unused);
        sum.upper = hn::ReorderWidenMulAccumulate(wide, hn::InterleaveUpper(tag, a, b), hn::InterleaveUpper(tag, x, y),
                                                  sum.upper, unused);
    };
    const auto store = [&](const Halves& sum, std::int32_t* to) HWY_ATTR {
        constexpr std::size_t kBlock = 4;
        alignas(64) std::int32_t lower[hn::MaxLanes(wide)];
        alignas(64) std::int32_t upper[hn::MaxLanes(wide)];
        hn::Store(sum.lower, wide, lower);
        hn::Store(sum.upper, wide, upper);
        for (std::size_t i = 0; i < hn::Lanes(wide); i += kBlock) {
            std::copy_n(lower + i, kBlock, to + 2 * i);
            std::copy_n(upper + i, kBlock, to + 2 * i + kBlock);
        }
    };
    for (; c + lanes <= channels; c += lanes) {
        Halves own{hn::Zero(wide), hn::Zero(wide)};
        Halves product = own;
        Halves fromAnchor = own;
        auto previous = before != nullptr ? clamped(hn::LoadU(tag, before + c)) : zero;
        auto anchor = zero;
        for (int t = 0; t < rows; t += 2) {
            const std::int16_t* row = numbers + static_cast<std::size_t>(t) * channels + c;
            const bool isLast = t + 1 == rows;
            const auto rawFirst = hn::LoadU(tag, row);
            const auto rawSecond = isLast ? zero : hn::LoadU(tag, row + channels);
            const auto first = clamped(rawFirst);
            const auto second = clamped(rawSecond);
            add(own, first, second, first, second);
            add(product, first, second, previous, first);
            const bool isAnchor = t % kAnchorGroup == 0;
            const auto leftFirst = isAnchor ? first : clamped(hn::Sub(rawFirst, anchor));
            if (isAnchor)
                anchor = rawFirst;
            const auto leftSecond = isLast ? zero : clamped(hn::Sub(rawSecond, anchor));
            add(fromAnchor, leftFirst, leftSecond, leftFirst, leftSecond);
            previous = second;
        }
        store(own, sums.own + c);
        store(product, sums.product + c);
        store(fromAnchor, sums.anchor + c);
    }
#endif
    for (; c < channels; ++c)
        planeMomentsOne(numbers, rows, channels, before, c, sums);
}

float score(const std::int32_t* products, const float* shares, std::size_t count, float* scores) {
    const hn::ScalableTag<float> floats;
    const hn::RebindToSigned<decltype(floats)> ints;
    const std::size_t lanes = hn::Lanes(floats);
    auto largest = hn::Zero(floats);
    std::size_t u = 0;
    for (; u + lanes <= count; u += lanes) {
        const auto product = hn::ConvertTo(floats, hn::Max(hn::LoadU(ints, products + u), hn::Zero(ints)));
        const auto one = hn::Mul(hn::Mul(product, product), hn::LoadU(floats, shares + u));
        hn::StoreU(one, floats, scores + u);
        largest = hn::Max(largest, one);
    }
    float most = u > 0 ? hn::GetLane(hn::MaxOfLanes(floats, largest)) : 0.0F;
    for (; u < count; ++u) {
        const auto product = static_cast<float>(std::max(products[u], 0));
        scores[u] = product * product * shares[u];
        most = std::max(most, scores[u]);
    }
    return most;
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
    const auto pairOf = [&](std::size_t k) HWY_ATTR {
        const auto both = static_cast<std::uint32_t>(static_cast<std::uint16_t>(a[2 * k])) |
                          static_cast<std::uint32_t>(a[2 * k + 1]) << 16;
        return hn::BitCast(shorts, hn::Set(tag, static_cast<std::int32_t>(both)));
    };
    // The instructions that add the products of pairs leave everything in the first sum.
    auto other = hn::Zero(tag);
    const auto add = [&](auto pair, std::size_t k, std::size_t u, auto sum) HWY_ATTR {
        return hn::ReorderWidenMulAccumulate(tag, pair, hn::LoadU(shorts, pairs + k * stride + 2 * u), sum, other);
    };
    std::size_t u = 0;
    for (; u + 4 * lanes <= count; u += 4 * lanes) {
        auto sum0 = hn::Zero(tag);
        auto sum1 = sum0;
        auto sum2 = sum0;
        auto sum3 = sum0;
        for (std::size_t k = 0; k < pairCount; ++k) {
            const auto pair = pairOf(k);
            sum0 = add(pair, k, u, sum0);
            sum1 = add(pair, k, u + lanes, sum1);
            sum2 = add(pair, k, u + 2 * lanes, sum2);
            sum3 = add(pair, k, u + 3 * lanes, sum3);
        }
        hn::StoreU(sum0, tag, sums + u);
        hn::StoreU(sum1, tag, sums + u + lanes);
        hn::StoreU(sum2, tag, sums + u + 2 * lanes);
        hn::StoreU(sum3, tag, sums + u + 3 * lanes);
    }
    for (; u + lanes <= count; u += lanes) {
        auto sum = hn::Zero(tag);
        for (std::size_t k = 0; k < pairCount; ++k)
            sum = add(pairOf(k), k, u, sum);
        hn::StoreU(sum, tag, sums + u);
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
HWY_EXPORT(planeMoments);
HWY_EXPORT(score);
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

void planeMoments(const std::int16_t* numbers, int rows, std::size_t channels, const std::int16_t* before,
                  const MomentSums& sums) {
    HWY_DYNAMIC_DISPATCH(planeMoments)(numbers, rows, channels, before, sums);
}

float scoreProducts(const std::int32_t* products, const float* shares, std::size_t count, float* scores) {
    return HWY_DYNAMIC_DISPATCH(score)(products, shares, count, scores);
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
