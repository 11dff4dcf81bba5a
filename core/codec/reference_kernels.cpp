// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/reference_kernels.h"

#include <algorithm>
#include <cstdlib>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/codec/reference_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kvscope::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Vectors that divide a sketch evenly.
using Sketch = hn::CappedTag<std::int32_t, 16>;

void sizes(const std::int32_t* numbers, std::size_t rows, std::int64_t* sums) {
    const Sketch tag;
    const std::size_t lanes = hn::Lanes(tag);
    constexpr std::size_t kRowsAtOnce = 4096;
    alignas(64) std::int32_t part[kSketchWidth];
    for (std::size_t first = 0; first < rows; first += kRowsAtOnce) {
        const std::size_t last = std::min(first + kRowsAtOnce, rows);
        for (std::size_t i = 0; i < kSketchWidth; i += lanes) {
            auto sum = hn::Zero(tag);
            for (std::size_t t = first; t < last; ++t)
                sum = hn::Add(sum, hn::Abs(hn::LoadU(tag, numbers + t * kSketchWidth + i)));
            hn::Store(sum, tag, part + i);
        }
        for (std::size_t i = 0; i < kSketchWidth; ++i)
            sums[i] += part[i];
    }
}

std::int32_t cells(const std::int32_t* numbers, const std::int32_t* factors, std::int16_t* out) {
    const Sketch tag;
    const hn::Rebind<std::int16_t, Sketch> shorts;
    const std::size_t lanes = hn::Lanes(tag);
    const auto most = hn::Set(tag, kMostCell);
    const auto least = hn::Set(tag, -kMostCell);
    auto squares = hn::Zero(tag);
    for (std::size_t i = 0; i < kSketchWidth; i += lanes) {
        const auto scaled = hn::ShiftRight<8>(hn::Mul(hn::LoadU(tag, numbers + i), hn::LoadU(tag, factors + i)));
        const auto cell = hn::Min(hn::Max(scaled, least), most);
        squares = hn::Add(squares, hn::Mul(cell, cell));
        hn::StoreU(hn::DemoteTo(shorts, cell), shorts, out + i);
    }
    return hn::GetLane(hn::SumOfLanes(tag, squares));
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
#if HWY_TARGET == HWY_SCALAR || !HWY_ARCH_X86
    for (std::size_t u = 0; u < count; ++u)
        sums[u] = 0;
    for (std::size_t k = 0; k < pairCount; ++k) {
        for (std::size_t u = 0; u < count; ++u)
            sums[u] += pairs[k * stride + 2 * u] * a[2 * k] + pairs[k * stride + 2 * u + 1] * a[2 * k + 1];
    }
#else
    const hn::ScalableTag<std::int32_t> tag;
    const hn::ScalableTag<std::int16_t> shorts;
    const std::size_t lanes = hn::Lanes(tag);
    static_assert(4 * hn::MaxLanes(tag) <= kProductSlack);
    // The instructions that add the products of pairs leave everything in the first sum.
    auto other = hn::Zero(tag);
    const auto add = [&](auto pair, std::size_t k, std::size_t u, auto sum) HWY_ATTR {
        return hn::ReorderWidenMulAccumulate(tag, pair, hn::LoadU(shorts, pairs + k * stride + 2 * u), sum, other);
    };
    for (std::size_t u = 0; u < count; u += 4 * lanes) {
        auto sum0 = hn::Zero(tag);
        auto sum1 = sum0;
        auto sum2 = sum0;
        auto sum3 = sum0;
        for (std::size_t k = 0; k < pairCount; ++k) {
            const auto both = static_cast<std::uint32_t>(static_cast<std::uint16_t>(a[2 * k])) |
                              static_cast<std::uint32_t>(a[2 * k + 1]) << 16;
            const auto pair = hn::BitCast(shorts, hn::Set(tag, static_cast<std::int32_t>(both)));
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
#endif
}

void same(const std::uint8_t* row, const std::uint8_t* rows, std::size_t count, std::uint8_t* counts) {
    const hn::CappedTag<std::uint8_t, kLikenessWidth> tag;
    const std::size_t lanes = hn::Lanes(tag);
    for (std::size_t u = 0; u < count; ++u, rows += kLikenessWidth) {
        std::size_t equal = 0;
        for (std::size_t i = 0; i < kLikenessWidth; i += lanes)
            equal += hn::CountTrue(tag, hn::Eq(hn::LoadU(tag, row + i), hn::LoadU(tag, rows + i)));
        counts[u] = static_cast<std::uint8_t>(equal);
    }
}

} // namespace kvscope::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace kvscope {

HWY_EXPORT(sizes);
HWY_EXPORT(cells);
HWY_EXPORT(score);
HWY_EXPORT(products);
HWY_EXPORT(same);

void addSizes(const std::int32_t* numbers, std::size_t rows, std::int64_t* sums) {
    HWY_DYNAMIC_DISPATCH(sizes)(numbers, rows, sums);
}

std::int32_t sketchRow(const std::int32_t* numbers, const std::int32_t* factors, std::int16_t* out) {
    return HWY_DYNAMIC_DISPATCH(cells)(numbers, factors, out);
}

float scoreProducts(const std::int32_t* products, const float* shares, std::size_t count, float* scores) {
    return HWY_DYNAMIC_DISPATCH(score)(products, shares, count, scores);
}

void pairProducts(const std::int16_t* a, std::size_t pairCount, const std::int16_t* pairs, std::size_t stride,
                  std::size_t count, std::int32_t* sums) {
    HWY_DYNAMIC_DISPATCH(products)(a, pairCount, pairs, stride, count, sums);
}

void countSame(const std::uint8_t* row, const std::uint8_t* rows, std::size_t count, std::uint8_t* same) {
    HWY_DYNAMIC_DISPATCH(same)(row, rows, count, same);
}

} // namespace kvscope

#endif
