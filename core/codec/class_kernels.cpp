// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/class_kernels.h"

#include "core/codec/symbol_bank.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/codec/class_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kvscope::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kSums = 16;

HWY_INLINE std::uint8_t sizeOf(std::uint8_t symbol) {
    return static_cast<std::uint8_t>(std::abs(symbol - kBankZero));
}

/// Lanes of a vector of symbols as sizes.
template <class Tag> HWY_INLINE auto sizesAt(Tag tag, const std::uint8_t* symbols) {
    const hn::RebindToSigned<Tag> ints;
    const auto number = hn::Xor(hn::LoadU(tag, symbols), hn::Set(tag, static_cast<std::uint8_t>(kBankZero)));
    return hn::BitCast(tag, hn::Abs(hn::BitCast(ints, number)));
}

SymbolSizes sizes(const std::uint8_t* symbols, std::size_t number) {
    SymbolSizes found;
    std::size_t whole = 0;
#if HWY_TARGET != HWY_SCALAR
    const hn::ScalableTag<std::uint8_t> tag;
    const hn::Repartition<std::uint16_t, decltype(tag)> pairs;
    const hn::Repartition<std::uint64_t, decltype(tag)> sums;
    const std::size_t lanes = hn::Lanes(tag);
    whole = number - number % lanes;
    auto most = hn::Zero(tag);
    auto sum = hn::Zero(sums);
    for (std::size_t i = 0; i < whole; i += lanes) {
        const auto some = sizesAt(tag, symbols + i);
        most = hn::Max(most, some);
        sum = hn::Add(sum, hn::SumsOf8(some));
    }
    const auto both = hn::BitCast(pairs, most);
    const auto either = hn::Max(hn::And(both, hn::Set(pairs, std::uint16_t{255})), hn::ShiftRight<8>(both));
    found.largest = static_cast<std::uint8_t>(hn::GetLane(hn::MaxOfLanes(pairs, either)));
    found.sum = static_cast<std::uint32_t>(hn::GetLane(hn::SumOfLanes(sums, sum)));
#endif
    for (std::size_t i = whole; i < number; ++i) {
        found.largest = std::max(found.largest, sizeOf(symbols[i]));
        found.sum += sizeOf(symbols[i]);
    }
    return found;
}

using Sums = hn::CappedTag<std::uint32_t, kSums>;

/// Adds the costs of sizes that occur so often.
void addCounted(const std::uint16_t* counts, int largest, const std::uint32_t* costs, std::size_t stride,
                std::uint32_t* sums) {
    const Sums tag;
    for (std::size_t i = 0; i < kSums; i += hn::Lanes(tag)) {
        auto sum = hn::LoadU(tag, sums + i);
        for (int size = 0; size <= largest; ++size)
            sum = hn::Add(sum, hn::Mul(hn::Set(tag, counts[size]),
                                       hn::LoadU(tag, costs + static_cast<std::size_t>(size) * stride + i)));
        hn::StoreU(sum, tag, sums + i);
    }
}

void countOneByOne(const std::uint8_t* symbols, std::size_t number, int largest, std::uint16_t* counts) {
    // Neighbours are often equal: counting them in one place would wait for the memory each time.
    std::uint16_t part[4][kBankZero];
    for (auto& one : part)
        std::fill_n(one, largest + 1, std::uint16_t{0});
    for (std::size_t i = 0; i < number; ++i)
        ++part[i % 4][sizeOf(symbols[i])];
    for (int size = 0; size <= largest; ++size)
        counts[size] = static_cast<std::uint16_t>(part[0][size] + part[1][size] + part[2][size] + part[3][size]);
}

#if HWY_TARGET != HWY_SCALAR
/// Counts each size up to the largest by comparing all symbols with it, four vectors at a time.
void countByComparing(const std::uint8_t* symbols, std::size_t number, int largest, std::uint16_t* counts) {
    const hn::ScalableTag<std::uint8_t> tag;
    const std::size_t lanes = hn::Lanes(tag);
    std::fill_n(counts, largest + 1, std::uint16_t{0});
    std::size_t i = 0;
    for (; i + 4 * lanes <= number; i += 4 * lanes) {
        const auto first = sizesAt(tag, symbols + i);
        const auto second = sizesAt(tag, symbols + i + lanes);
        const auto third = sizesAt(tag, symbols + i + 2 * lanes);
        const auto fourth = sizesAt(tag, symbols + i + 3 * lanes);
        for (int size = 0; size <= largest; ++size) {
            const auto wanted = hn::Set(tag, static_cast<std::uint8_t>(size));
            const std::size_t equal =
                hn::CountTrue(tag, hn::Eq(first, wanted)) + hn::CountTrue(tag, hn::Eq(second, wanted)) +
                hn::CountTrue(tag, hn::Eq(third, wanted)) + hn::CountTrue(tag, hn::Eq(fourth, wanted));
            counts[size] = static_cast<std::uint16_t>(counts[size] + equal);
        }
    }
    for (; i < number; ++i)
        ++counts[sizeOf(symbols[i])];
}

/// Four vectors of symbols, the usual chunk with AVX-512, without a look at memory between.
template <class Tag>
HWY_INLINE void addCostsOfFour(Tag tag, const std::uint8_t* symbols, int largest, const std::uint32_t* costs,
                               std::size_t stride, std::uint32_t* sums) {
    const Sums wide;
    const std::size_t lanes = hn::Lanes(tag);
    const auto first = sizesAt(tag, symbols);
    const auto second = sizesAt(tag, symbols + lanes);
    const auto third = sizesAt(tag, symbols + 2 * lanes);
    const auto fourth = sizesAt(tag, symbols + 3 * lanes);
    auto sum = hn::LoadU(wide, sums);
    for (int size = 0; size <= largest; ++size, costs += stride) {
        const auto wanted = hn::Set(tag, static_cast<std::uint8_t>(size));
        const std::size_t equal =
            hn::CountTrue(tag, hn::Eq(first, wanted)) + hn::CountTrue(tag, hn::Eq(second, wanted)) +
            hn::CountTrue(tag, hn::Eq(third, wanted)) + hn::CountTrue(tag, hn::Eq(fourth, wanted));
        sum = hn::Add(sum, hn::Mul(hn::Set(wide, static_cast<std::uint32_t>(equal)), hn::LoadU(wide, costs)));
    }
    hn::StoreU(sum, wide, sums);
}
#endif

void costs(const std::uint8_t* symbols, std::size_t number, int largest, const std::uint32_t* rows, std::size_t stride,
           std::uint32_t* sums) {
    std::uint16_t counts[kBankZero];
#if HWY_TARGET != HWY_SCALAR
    const hn::ScalableTag<std::uint8_t> tag;
    // Comparing pays while there are few different sizes.
    constexpr int kMostCompared = 32;
    if (largest < kMostCompared) {
        if (number == 4 * hn::Lanes(tag) && hn::Lanes(Sums()) == kSums)
            return addCostsOfFour(tag, symbols, largest, rows, stride, sums);
        countByComparing(symbols, number, largest, counts);
        return addCounted(counts, largest, rows, stride, sums);
    }
#endif
    countOneByOne(symbols, number, largest, counts);
    addCounted(counts, largest, rows, stride, sums);
}

int cheapest(const std::uint32_t* sums) {
    const hn::CappedTag<std::uint32_t, 16> tag;
    const std::size_t lanes = hn::Lanes(tag);
    auto least = hn::LoadU(tag, sums);
    for (std::size_t i = lanes; i < 16; i += lanes)
        least = hn::Min(least, hn::LoadU(tag, sums + i));
    least = hn::MinOfLanes(tag, least);
    for (std::size_t i = 0;; i += lanes) {
        if (const std::intptr_t found = hn::FindFirstTrue(tag, hn::Eq(hn::LoadU(tag, sums + i), least)); found >= 0)
            return static_cast<int>(i) + static_cast<int>(found);
    }
}

std::int32_t weigh(const std::int16_t* counts, const std::int16_t* costs, std::size_t number) {
#if HWY_TARGET == HWY_SCALAR || !HWY_ARCH_X86
    return std::inner_product(counts, counts + number, costs, std::int32_t{0});
#else
    const hn::CappedTag<std::int16_t, kWeighedAtOnce> shorts;
    const hn::Repartition<std::int32_t, decltype(shorts)> tag;
    // The instructions that add the products of pairs leave everything in the first sum.
    auto other = hn::Zero(tag);
    auto sum = hn::Zero(tag);
    for (std::size_t i = 0; i < number; i += hn::Lanes(shorts))
        sum =
            hn::ReorderWidenMulAccumulate(tag, hn::LoadU(shorts, counts + i), hn::LoadU(shorts, costs + i), sum, other);
    return hn::GetLane(hn::SumOfLanes(tag, sum));
#endif
}

} // namespace kvscope::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace kvscope {

HWY_EXPORT(sizes);
HWY_EXPORT(costs);
HWY_EXPORT(cheapest);
HWY_EXPORT(weigh);

SymbolSizes sizesOf(const std::uint8_t* symbols, std::size_t number) {
    return HWY_DYNAMIC_DISPATCH(sizes)(symbols, number);
}

void addCosts(const std::uint8_t* symbols, std::size_t number, int largest, const std::uint32_t* costs,
              std::size_t stride, std::uint32_t* sums) {
    HWY_DYNAMIC_DISPATCH(costs)(symbols, number, largest, costs, stride, sums);
}

int cheapestOf(const std::uint32_t* sums) {
    return HWY_DYNAMIC_DISPATCH(cheapest)(sums);
}

std::int32_t weighBytes(const std::int16_t* counts, const std::int16_t* costs, std::size_t number) {
    return HWY_DYNAMIC_DISPATCH(weigh)(counts, costs, number);
}

} // namespace kvscope

#endif
