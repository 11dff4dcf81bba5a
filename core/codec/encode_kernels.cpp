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
// clang-format off: comes behind foreach_target.h
#include "core/codec/stored_values-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace kvscope::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr int kMostSymbolNumber = kBankZero - 1;

template <class Stored>
bool addStored(Values<Stored> values, std::size_t rows, std::size_t channels, float most, float* sums) {
    const hn::ScalableTag<float> tag;
    const std::size_t lanes = hn::Lanes(tag);
    auto largest = hn::Zero(tag);
    bool all = true;
    // A row at a time, which the processor reads ahead of best.
    for (std::size_t t = 0; t < rows; ++t) {
        const std::size_t row = t * channels;
        std::size_t c = 0;
        for (; c + lanes <= channels; c += lanes) {
            const auto value = values.at(tag, row + c);
            largest = hn::Max(largest, hn::Abs(value));
            hn::StoreU(hn::Add(hn::LoadU(tag, sums + c), value), tag, sums + c);
        }
        for (; c < channels; ++c) {
            const float value = values[row + c];
            all = all && std::fabs(value) <= most;
            sums[c] += value;
        }
    }
    // NaN may get lost among the largest, but not in a sum.
    auto good = hn::Le(largest, hn::Set(tag, most));
    for (std::size_t c = 0; c + lanes <= channels; c += lanes) {
        const auto sum = hn::LoadU(tag, sums + c);
        good = hn::And(good, hn::Eq(sum, sum));
    }
    return all && hn::AllTrue(tag, good);
}

#if HWY_TARGET == HWY_SCALAR
template <class Stored>
std::size_t stepsOfBlocks(Values<Stored>, const float*, float, std::size_t, std::int16_t*, bool&) {
    return 0;
}
#else
/// The whole blocks of a row; returns how many channels they take.
template <class Stored>
std::size_t stepsOfBlocks(Values<Stored> values, const float* offsets, float inverse, std::size_t channels,
                          std::int16_t* numbers, bool& narrow) {
    const hn::ScalableTag<float> floats;
    const hn::Repartition<std::int16_t, decltype(floats)> shorts;
    const std::size_t lanes = hn::Lanes(floats);
    const auto factor = hn::Set(floats, inverse);
    // As in stepsOf(): the sum's low bits are the nearest integer, its low 16 all of a narrow one.
    const auto rounder = hn::Set(floats, 0x1.8p23F);
    auto largest = hn::Zero(floats);
    const auto rounded = [&](std::size_t c) HWY_ATTR {
        const auto scaled = hn::Sub(hn::Mul(values.at(floats, c), factor), hn::LoadU(floats, offsets + c));
        largest = hn::Max(largest, hn::Abs(scaled));
        return hn::BitCast(shorts, hn::Add(scaled, rounder));
    };
    std::size_t c = 0;
    for (; c + 2 * lanes <= channels; c += 2 * lanes) {
        const auto lower = rounded(c);
        const auto upper = rounded(c + lanes);
        hn::StoreU(hn::ConcatEven(shorts, upper, lower), shorts, numbers + c);
    }
    narrow = hn::AllTrue(floats, hn::Le(largest, hn::Set(floats, static_cast<float>(kMostNarrow))));
    return c;
}
#endif

template <class Stored>
bool stepsStored(Values<Stored> values, const float* offsets, float inverse, std::size_t channels,
                 std::int16_t* numbers) {
    bool narrow = true;
    for (std::size_t c = stepsOfBlocks(values, offsets, inverse, channels, numbers, narrow); c < channels; ++c) {
        const std::int32_t number = stepsOf(values[c], inverse, offsets[c]);
        narrow = narrow && number <= kMostNarrow && number >= -kMostNarrow;
        numbers[c] = static_cast<std::int16_t>(std::clamp(number, -32768, 32767));
    }
    return narrow;
}

bool add(DType type, const std::byte* values, std::size_t rows, std::size_t channels, float most, float* sums) {
    if (type == DType::F16)
        return addStored(Values<hwy::float16_t>{values}, rows, channels, most, sums);
    if (type == DType::BF16)
        return addStored(Values<hwy::bfloat16_t>{values}, rows, channels, most, sums);
    return addStored(Values<float>{values}, rows, channels, most, sums);
}

bool steps(DType type, const std::byte* values, const float* offsets, float inverse, std::size_t channels,
           std::int16_t* numbers) {
    if (type == DType::F16)
        return stepsStored(Values<hwy::float16_t>{values}, offsets, inverse, channels, numbers);
    if (type == DType::BF16)
        return stepsStored(Values<hwy::bfloat16_t>{values}, offsets, inverse, channels, numbers);
    return stepsStored(Values<float>{values}, offsets, inverse, channels, numbers);
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

} // namespace kvscope::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace kvscope {

HWY_EXPORT(add);
HWY_EXPORT(steps);
HWY_EXPORT(symbolsOf);
HWY_EXPORT(moments);
HWY_EXPORT(planeMoments);

bool addRows(DType type, const std::byte* values, std::size_t rows, std::size_t channels, float most, float* sums) {
    return HWY_DYNAMIC_DISPATCH(add)(type, values, rows, channels, most, sums);
}

bool stepsRow(DType type, const std::byte* values, const float* offsets, float inverse, std::size_t channels,
              std::int16_t* numbers) {
    return HWY_DYNAMIC_DISPATCH(steps)(type, values, offsets, inverse, channels, numbers);
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

} // namespace kvscope

#endif
