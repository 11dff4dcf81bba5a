// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/channel_kernels.h"

#include <algorithm>
#include <cstdlib>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/codec/channel_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kvscope::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr int kZeroSymbol = 128;
constexpr int kMostNumber = 127;

int predictedAt(std::span<const ChannelTerm> terms, const std::uint8_t* symbols, std::size_t stride, std::size_t i) {
    int sum = 0;
    for (const ChannelTerm& term : terms)
        sum += term.weight * (symbols[term.channel * stride + i] - kZeroSymbol);
    return termPrediction(sum);
}

/// Calls use(i, predictions) for vectors of rows, as int16; returns the first row that is left.
template <class Use>
HWY_INLINE std::size_t forPredictions(std::span<const ChannelTerm> terms, const std::uint8_t* symbols,
                                      std::size_t stride, std::size_t rows, Use use) {
    const hn::ScalableTag<std::int16_t> wide;
    const hn::Rebind<std::uint8_t, decltype(wide)> bytes;
    const std::size_t lanes = hn::Lanes(wide);
    // Symbols are 128 more than numbers. Sums may wrap on the way: what they come to fits.
    int bias = 0;
    for (const ChannelTerm& term : terms)
        bias += term.weight * kZeroSymbol;
    const auto start = hn::Set(wide, static_cast<std::int16_t>(4 - bias));
    const auto most = hn::Set(wide, kMostNumber);
    const auto least = hn::Set(wide, -kMostNumber);
    const auto load = [&](const std::uint8_t* at) { return hn::PromoteTo(wide, hn::LoadU(bytes, at)); };
    const auto predicted = [&](auto sum) { return hn::Min(hn::Max(hn::ShiftRight<3>(sum), least), most); };
    std::size_t i = 0;
    for (; i + 4 * lanes <= rows; i += 4 * lanes) {
        auto a = start;
        auto b = start;
        auto c = start;
        auto d = start;
        for (const ChannelTerm& term : terms) {
            const std::uint8_t* from = symbols + term.channel * stride + i;
            const auto weight = hn::Set(wide, term.weight);
            a = hn::Add(a, hn::Mul(load(from), weight));
            b = hn::Add(b, hn::Mul(load(from + lanes), weight));
            c = hn::Add(c, hn::Mul(load(from + 2 * lanes), weight));
            d = hn::Add(d, hn::Mul(load(from + 3 * lanes), weight));
        }
        use(i, predicted(a));
        use(i + lanes, predicted(b));
        use(i + 2 * lanes, predicted(c));
        use(i + 3 * lanes, predicted(d));
    }
    for (; i + lanes <= rows; i += lanes) {
        auto sum = start;
        for (const ChannelTerm& term : terms)
            sum = hn::Add(sum, hn::Mul(load(symbols + term.channel * stride + i), hn::Set(wide, term.weight)));
        use(i, predicted(sum));
    }
    return i;
}

void add(std::span<const ChannelTerm> terms, const std::uint8_t* symbols, std::size_t stride, std::size_t rows,
         std::uint8_t* row) {
    const hn::ScalableTag<std::int16_t> wide;
    const hn::Rebind<std::uint8_t, decltype(wide)> bytes;
    const auto low = hn::Set(wide, 255);
    std::size_t i = forPredictions(terms, symbols, stride, rows, [&](std::size_t at, auto predicted) {
        const auto now = hn::PromoteTo(wide, hn::LoadU(bytes, row + at));
        hn::StoreU(hn::DemoteTo(bytes, hn::And(hn::Add(now, predicted), low)), bytes, row + at);
    });
    for (; i < rows; ++i)
        row[i] = static_cast<std::uint8_t>(row[i] + predictedAt(terms, symbols, stride, i));
}

TermSquares take(std::span<const ChannelTerm> terms, const std::uint8_t* symbols, std::size_t stride, std::size_t rows,
                 const std::uint8_t* row, std::uint8_t* left) {
    const hn::ScalableTag<std::int16_t> wide;
    const hn::Rebind<std::uint8_t, decltype(wide)> bytes;
    const hn::Repartition<std::int32_t, decltype(wide)> sums;
    const auto zero = hn::Set(wide, kZeroSymbol);
    const auto most = hn::Set(wide, kMostNumber);
    const auto least = hn::Set(wide, -kMostNumber);
    auto largest = hn::Zero(wide);
    TermSquares result;
    // Int32 holds the squares of 65,536 rows.
    auto before0 = hn::Zero(sums);
    auto before1 = hn::Zero(sums);
    auto after0 = hn::Zero(sums);
    auto after1 = hn::Zero(sums);
    std::size_t i = forPredictions(terms, symbols, stride, rows, [&](std::size_t at, auto predicted) {
        const auto now = hn::Sub(hn::PromoteTo(wide, hn::LoadU(bytes, row + at)), zero);
        const auto rest = hn::Sub(now, predicted);
        largest = hn::Max(largest, hn::Abs(rest));
        const auto kept = hn::Min(hn::Max(rest, least), most);
        before0 = hn::ReorderWidenMulAccumulate(sums, now, now, before0, before1);
        after0 = hn::ReorderWidenMulAccumulate(sums, kept, kept, after0, after1);
        hn::StoreU(hn::DemoteTo(bytes, hn::Add(kept, zero)), bytes, left + at);
    });
    result.before = static_cast<std::uint64_t>(hn::GetLane(hn::SumOfLanes(sums, hn::Add(before0, before1))));
    result.after = static_cast<std::uint64_t>(hn::GetLane(hn::SumOfLanes(sums, hn::Add(after0, after1))));
    result.within = hn::GetLane(hn::MaxOfLanes(wide, largest)) <= kMostNumber;
    for (; i < rows; ++i) {
        const int now = row[i] - kZeroSymbol;
        const int rest = now - predictedAt(terms, symbols, stride, i);
        const int kept = std::clamp(rest, -kMostNumber, kMostNumber);
        result.within = result.within && kept == rest;
        result.before += static_cast<std::uint64_t>(now * now);
        result.after += static_cast<std::uint64_t>(kept * kept);
        left[i] = static_cast<std::uint8_t>(kept + kZeroSymbol);
    }
    return result;
}

/// Products of a with N rows from b on.
template <std::size_t N>
HWY_INLINE void multiplySome(const std::int16_t* a, const std::int16_t* b, std::size_t stride, std::size_t rows,
                             std::int32_t* products) {
    const hn::ScalableTag<std::int16_t> wide;
    const hn::Repartition<std::int32_t, decltype(wide)> sums;
    const std::size_t lanes = hn::Lanes(wide);
    hn::Vec<decltype(sums)> first[N];
    hn::Vec<decltype(sums)> second[N];
    for (std::size_t j = 0; j < N; ++j)
        first[j] = second[j] = hn::Zero(sums);
    std::size_t i = 0;
    for (; i + lanes <= rows; i += lanes) {
        const auto one = hn::LoadU(wide, a + i);
        for (std::size_t j = 0; j < N; ++j)
            first[j] =
                hn::ReorderWidenMulAccumulate(sums, one, hn::LoadU(wide, b + j * stride + i), first[j], second[j]);
    }
    for (std::size_t j = 0; j < N; ++j) {
        products[j] = hn::GetLane(hn::SumOfLanes(sums, hn::Add(first[j], second[j])));
        for (std::size_t k = i; k < rows; ++k)
            products[j] += a[k] * b[j * stride + k];
    }
}

void multiply(const std::int16_t* a, const std::int16_t* b, std::size_t stride, std::size_t count, std::size_t rows,
              std::int32_t* products) {
    constexpr std::size_t kAtOnce = 4;
    std::size_t j = 0;
    for (; j + kAtOnce <= count; j += kAtOnce)
        multiplySome<kAtOnce>(a, b + j * stride, stride, rows, products + j);
    for (; j < count; ++j)
        multiplySome<1>(a, b + j * stride, stride, rows, products + j);
}

} // namespace kvscope::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace kvscope {

HWY_EXPORT(add);
HWY_EXPORT(take);
HWY_EXPORT(multiply);

void addTerms(std::span<const ChannelTerm> terms, const std::uint8_t* symbols, std::size_t stride, std::size_t rows,
              std::uint8_t* row) {
    HWY_DYNAMIC_DISPATCH(add)(terms, symbols, stride, rows, row);
}

TermSquares takeTerms(std::span<const ChannelTerm> terms, const std::uint8_t* symbols, std::size_t stride,
                      std::size_t rows, const std::uint8_t* row, std::uint8_t* left) {
    return HWY_DYNAMIC_DISPATCH(take)(terms, symbols, stride, rows, row, left);
}

void multiplyRows(const std::int16_t* a, const std::int16_t* b, std::size_t stride, std::size_t count, std::size_t rows,
                  std::int32_t* products) {
    HWY_DYNAMIC_DISPATCH(multiply)(a, b, stride, count, rows, products);
}

} // namespace kvscope

#endif
