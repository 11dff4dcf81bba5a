// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/cell_codec.h"

#include "core/base/float_formats.h"
#include "core/base/hash.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/stats/cell_codec.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kvscope::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Cells that may be empty or tainted, as the encoder asks for them.
struct AnyCells {
    CellSumsView sums;

    template <class DF> HWY_INLINE hn::Mask<DF> filled(DF df, std::size_t i) const {
        return hn::Gt(hn::LoadU(df, sums.count + i), hn::Zero(df));
    }
    template <class DD> HWY_INLINE hn::Vec<DD> share(DD dd, std::size_t i) const {
        const hn::Rebind<float, DD> df;
        const auto count = hn::Max(hn::LoadU(df, sums.count + i), hn::Set(df, 1.0F));
        return hn::Div(hn::Set(dd, 1.0), hn::PromoteTo(dd, count));
    }
    template <class DD> HWY_INLINE hn::Vec<DD> sum(DD dd, std::size_t i) const { return hn::LoadU(dd, sums.sum + i); }
    template <class DD> HWY_INLINE hn::Vec<DD> squares(DD dd, std::size_t i) const {
        return hn::LoadU(dd, sums.squares + i);
    }
    /// The bound of a filled cell, NaN otherwise.
    template <class DF> HWY_INLINE hn::Vec<DF> bound(DF df, const float* bounds, std::size_t i) const {
        return hn::IfThenElse(filled(df, i), hn::LoadU(df, bounds + i),
                              hn::Set(df, std::numeric_limits<float>::quiet_NaN()));
    }
    template <class DF> HWY_INLINE hn::Vec<DF> marked(DF df, hn::Vec<DF> spread, std::size_t i) const {
        return hn::IfThenElse(hn::Gt(hn::LoadU(df, sums.nonFinite + i), hn::Zero(df)), hn::Neg(spread), spread);
    }
};

/// The same for the cells of one block.
struct BlockCells {
    BlockSums sums;
    double each;

    template <class DF> HWY_INLINE hn::Mask<DF> filled(DF df, std::size_t /*i*/) const {
        return hn::FirstN(df, hn::Lanes(df));
    }
    template <class DD> HWY_INLINE hn::Vec<DD> share(DD dd, std::size_t /*i*/) const { return hn::Set(dd, each); }
    template <class DD> HWY_INLINE hn::Vec<DD> sum(DD dd, std::size_t i) const {
        return hn::PromoteTo(dd, hn::LoadU(hn::Rebind<float, DD>(), sums.sum + i));
    }
    template <class DD> HWY_INLINE hn::Vec<DD> squares(DD dd, std::size_t i) const {
        return hn::PromoteTo(dd, hn::LoadU(hn::Rebind<float, DD>(), sums.squares + i));
    }
    template <class DF> HWY_INLINE hn::Vec<DF> bound(DF df, const float* bounds, std::size_t i) const {
        return hn::LoadU(df, bounds + i);
    }
    template <class DF> HWY_INLINE hn::Vec<DF> marked(DF /*df*/, hn::Vec<DF> spread, std::size_t /*i*/) const {
        return spread;
    }
};

template <class Cells, class DF>
HWY_INLINE std::size_t growLargest(DF df, const Cells& from, std::size_t begin, std::size_t cells, float& result) {
    auto largest = hn::Zero(df);
    for (; begin + hn::Lanes(df) <= cells; begin += hn::Lanes(df)) {
        const auto both =
            hn::Max(hn::Abs(hn::LoadU(df, from.sums.min + begin)), hn::Abs(hn::LoadU(df, from.sums.max + begin)));
        largest = hn::Max(largest, hn::IfThenElseZero(from.filled(df, begin), both));
    }
    result = std::max(result, hn::GetLane(hn::MaxOfLanes(df, largest)));
    return begin;
}

/// Largest |min| or |max| among the cells that have values.
template <class Cells> static float largestMagnitude(const Cells& from, std::size_t cells) {
    float result = 0;
    const std::size_t done = growLargest(hn::ScalableTag<float>(), from, 0, cells, result);
    growLargest(hn::CappedTag<float, 1>(), from, done, cells, result);
    return result;
}

/// Stores t = value * scale as binary16 not above (Sign = 1) or not below (Sign = -1) it.
template <int Sign, class DF, class V> static void storeOutward(DF df, V value, V scale, V unit, std::uint16_t* out) {
    const hn::Rebind<hwy::float16_t, DF> dh;
    const auto scaled = hn::Mul(value, scale);
    const auto stored = hn::PromoteTo(df, hn::DemoteTo(dh, scaled));
    // Half a unit in the last place and a little, for normal and for subnormal numbers.
    const auto half = hn::MulAdd(hn::Abs(scaled), hn::Set(df, 0x1.01p-11F), hn::Set(df, 0x1.4p-25F));
    // Compared unscaled: a scale far below 1 may have lost a small value altogether.
    const auto back = hn::Mul(stored, unit);
    const auto outward = Sign > 0 ? hn::IfThenElse(hn::Gt(back, value), hn::Sub(scaled, half), scaled)
                                  : hn::IfThenElse(hn::Lt(back, value), hn::Add(scaled, half), scaled);
    hn::StoreU(hn::DemoteTo(dh, outward), dh, reinterpret_cast<hwy::float16_t*>(out));
}

/// Encodes `lanes of DD` cells at a time from `begin`; returns where it stopped.
template <class Cells, class DD>
HWY_INLINE std::size_t encodeWith(DD dd, const Cells& from, std::size_t begin, std::size_t cells, float scale,
                                  float unit, std::uint16_t* halves) {
    const hn::Rebind<float, DD> df;
    const hn::Rebind<hwy::float16_t, DD> dh;
    const auto scales = hn::Set(df, scale);
    const auto units = hn::Set(df, unit);
    const auto squaredScale = hn::Set(dd, static_cast<double>(scale) * static_cast<double>(scale));
    for (; begin + hn::Lanes(dd) <= cells; begin += hn::Lanes(dd)) {
        const auto share = from.share(dd, begin);
        const auto mean = hn::Mul(from.sum(dd, begin), share);
        const auto variance = hn::NegMulAdd(mean, mean, hn::Mul(from.squares(dd, begin), share));
        // Scaled before the root is taken, so that float holds it.
        const auto scaledVariance = hn::Mul(hn::Max(variance, hn::Zero(dd)), squaredScale);
        const auto spread = hn::Sqrt(hn::DemoteTo(df, scaledVariance));
        storeOutward<1>(df, from.bound(df, from.sums.min, begin), scales, units, halves + begin);
        storeOutward<-1>(df, from.bound(df, from.sums.max, begin), scales, units, halves + cells + begin);
        hn::StoreU(hn::DemoteTo(dh, hn::Mul(hn::DemoteTo(df, mean), scales)), dh,
                   reinterpret_cast<hwy::float16_t*>(halves + 2 * cells + begin));
        hn::StoreU(hn::DemoteTo(dh, from.marked(df, spread, begin)), dh,
                   reinterpret_cast<hwy::float16_t*>(halves + 3 * cells + begin));
    }
    return begin;
}

template <class Cells>
static void encodeAll(const Cells& from, std::size_t cells, float scale, float unit, std::uint16_t* halves) {
    const std::size_t done = encodeWith(hn::ScalableTag<double>(), from, 0, cells, scale, unit, halves);
    encodeWith(hn::CappedTag<double, 1>(), from, done, cells, scale, unit, halves);
}

static float largestOfAny(CellSumsView sums, std::size_t cells) {
    return largestMagnitude(AnyCells{sums}, cells);
}
static float largestOfBlock(BlockSums sums, std::size_t cells) {
    return largestMagnitude(BlockCells{sums, 1}, cells);
}
static void encodeAny(CellSumsView sums, std::size_t cells, float scale, float unit, std::uint16_t* halves) {
    encodeAll(AnyCells{sums}, cells, scale, unit, halves);
}
static void encodeBlock(BlockSums sums, std::size_t cells, std::size_t count, float scale, float unit,
                        std::uint16_t* halves) {
    encodeAll(BlockCells{sums, 1.0 / static_cast<double>(count)}, cells, scale, unit, halves);
}

} // namespace kvscope::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kvscope {

HWY_EXPORT(largestOfAny);
HWY_EXPORT(largestOfBlock);
HWY_EXPORT(encodeAny);
HWY_EXPORT(encodeBlock);

namespace {

/// Largest scale exponent: its inverse times the smallest binary16 is still a normal float.
constexpr int kLargestScaleExponent = 100;

struct GroupHead {
    float unit = 1;
    std::uint32_t check = 0;
};

std::uint32_t checksum(std::span<const std::byte> halves, float unit) {
    return static_cast<std::uint32_t>(hashBytes(halves, std::bit_cast<std::uint32_t>(unit)));
}

float decodeHalf(const std::byte* halves, std::size_t index) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, halves + index * sizeof bits, sizeof bits);
    return floatFromHalf(bits);
}

/// Lays a group out around the halves, which `encode(scale, unit, halves)` writes.
template <class Encode>
void writeGroup(float largest, std::size_t cells, std::span<std::byte> out, const Encode& encode) {
    int exponent = 0;
    std::frexp(largest, &exponent);
    // The largest magnitude becomes 2^14 to 2^15: a factor of two below the end of binary16.
    const int shift = largest > 0 ? std::min(15 - exponent, kLargestScaleExponent) : 0;
    GroupHead head;
    head.unit = std::ldexp(1.0F, -shift);
    // vector<std::byte> and the offsets within it keep the halves aligned to their size.
    encode(std::ldexp(1.0F, shift), head.unit, reinterpret_cast<std::uint16_t*>(out.data() + sizeof head));
    head.check = checksum(out.subspan(sizeof head, cells * 8), head.unit);
    std::memcpy(out.data(), &head, sizeof head);
}

} // namespace

void encodeCells(CellSumsView sums, std::size_t cells, std::span<std::byte> out) {
    writeGroup(HWY_DYNAMIC_DISPATCH(largestOfAny)(sums, cells), cells, out,
               [&](float scale, float unit, std::uint16_t* halves) {
                   HWY_DYNAMIC_DISPATCH(encodeAny)(sums, cells, scale, unit, halves);
               });
}

void encodeCells(BlockSums sums, std::size_t cells, std::size_t count, std::span<std::byte> out) {
    writeGroup(HWY_DYNAMIC_DISPATCH(largestOfBlock)(sums, cells), cells, out,
               [&](float scale, float unit, std::uint16_t* halves) {
                   HWY_DYNAMIC_DISPATCH(encodeBlock)(sums, cells, count, scale, unit, halves);
               });
}

std::optional<EncodedCells> EncodedCells::open(std::span<const std::byte> bytes, std::size_t cells) {
    GroupHead head;
    if (bytes.size() != static_cast<std::size_t>(encodedBytes(static_cast<std::int64_t>(cells))))
        return std::nullopt;
    std::memcpy(&head, bytes.data(), sizeof head);
    if (checksum(bytes.subspan(sizeof head), head.unit) != head.check || !std::isnormal(head.unit) || head.unit < 0)
        return std::nullopt;
    return EncodedCells(bytes.data() + sizeof head, cells, head.unit);
}

CellSum EncodedCells::cell(std::size_t index, std::int64_t values) const {
    CellSum sum;
    const float spread = decodeHalf(halves_, 3 * cells_ + index) * unit_;
    sum.nonFinite = std::signbit(spread);
    const float min = decodeHalf(halves_, index) * unit_;
    const float max = decodeHalf(halves_, cells_ + index) * unit_;
    if (!(min <= max))
        return sum;
    // A bound near the end of float may have been rounded beyond it. Mean and squares lie within the bounds, whatever
    // the file says.
    constexpr float kMost = std::numeric_limits<float>::max();
    sum.min = std::clamp(min, -kMost, kMost);
    sum.max = std::clamp(max, -kMost, kMost);
    const auto lower = static_cast<double>(sum.min);
    const auto upper = static_cast<double>(sum.max);
    const auto stored = static_cast<double>(decodeHalf(halves_, 2 * cells_ + index) * unit_);
    const double mean = stored >= lower ? std::min(stored, upper) : lower;
    const double squares = mean * mean + static_cast<double>(spread) * static_cast<double>(spread);
    const double mostSquares = std::max(lower * lower, upper * upper);
    const auto n = static_cast<double>(values);
    sum.count = values;
    sum.sum = mean * n;
    sum.squares = (squares < mostSquares ? squares : mostSquares) * n;
    return sum;
}

} // namespace kvscope
#endif
