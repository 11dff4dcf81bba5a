// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/cell_codec.h"

#include "core/base/float_formats.h"
#include "core/base/hash.h"

#include <cmath>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/stats/cell_codec.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kvscope::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Largest |min| or |max| among the cells that have values.
static float largestMagnitude(CellSumsView sums, std::size_t cells) {
    const hn::ScalableTag<float> d;
    const std::size_t lanes = hn::Lanes(d);
    auto largest = hn::Zero(d);
    std::size_t i = 0;
    for (; i + lanes <= cells; i += lanes) {
        const auto filled = hn::Gt(hn::LoadU(d, sums.count + i), hn::Zero(d));
        const auto both = hn::Max(hn::Abs(hn::LoadU(d, sums.min + i)), hn::Abs(hn::LoadU(d, sums.max + i)));
        largest = hn::Max(largest, hn::IfThenElseZero(filled, both));
    }
    float result = hn::GetLane(hn::MaxOfLanes(d, largest));
    for (; i < cells; ++i) {
        if (sums.count[i] > 0)
            result = std::max({result, std::abs(sums.min[i]), std::abs(sums.max[i])});
    }
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
template <class DD>
static std::size_t encodeWith(DD dd, CellSumsView sums, std::size_t begin, std::size_t cells, float scale, float unit,
                              std::uint16_t* halves) {
    const hn::Rebind<float, DD> df;
    const hn::Rebind<hwy::float16_t, DD> dh;
    const auto scales = hn::Set(df, scale);
    const auto units = hn::Set(df, unit);
    const auto squaredScale = hn::Set(dd, static_cast<double>(scale) * static_cast<double>(scale));
    const auto none = hn::Set(df, std::numeric_limits<float>::quiet_NaN());
    for (; begin + hn::Lanes(dd) <= cells; begin += hn::Lanes(dd)) {
        const auto count = hn::LoadU(df, sums.count + begin);
        const auto empty = hn::Eq(count, hn::Zero(df));
        const auto share = hn::Div(hn::Set(dd, 1.0), hn::PromoteTo(dd, hn::Max(count, hn::Set(df, 1.0F))));
        const auto mean = hn::Mul(hn::LoadU(dd, sums.sum + begin), share);
        const auto variance = hn::NegMulAdd(mean, mean, hn::Mul(hn::LoadU(dd, sums.squares + begin), share));
        // Scaled before the root is taken, so that float holds it.
        const auto scaledVariance = hn::Mul(hn::Max(variance, hn::Zero(dd)), squaredScale);
        const auto spread = hn::Sqrt(hn::DemoteTo(df, scaledVariance));
        const auto tainted = hn::Gt(hn::LoadU(df, sums.nonFinite + begin), hn::Zero(df));
        storeOutward<1>(df, hn::IfThenElse(empty, none, hn::LoadU(df, sums.min + begin)), scales, units,
                        halves + begin);
        storeOutward<-1>(df, hn::IfThenElse(empty, none, hn::LoadU(df, sums.max + begin)), scales, units,
                         halves + cells + begin);
        hn::StoreU(hn::DemoteTo(dh, hn::Mul(hn::DemoteTo(df, mean), scales)), dh,
                   reinterpret_cast<hwy::float16_t*>(halves + 2 * cells + begin));
        hn::StoreU(hn::DemoteTo(dh, hn::IfThenElse(tainted, hn::Neg(spread), spread)), dh,
                   reinterpret_cast<hwy::float16_t*>(halves + 3 * cells + begin));
    }
    return begin;
}

static void encodeAll(CellSumsView sums, std::size_t cells, float scale, float unit, std::uint16_t* halves) {
    const std::size_t done = encodeWith(hn::ScalableTag<double>(), sums, 0, cells, scale, unit, halves);
    encodeWith(hn::CappedTag<double, 1>(), sums, done, cells, scale, unit, halves);
}

} // namespace kvscope::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kvscope {

HWY_EXPORT(largestMagnitude);
HWY_EXPORT(encodeAll);

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

} // namespace

void encodeCells(CellSumsView sums, std::size_t cells, std::span<std::byte> out) {
    const float largest = HWY_DYNAMIC_DISPATCH(largestMagnitude)(sums, cells);
    int exponent = 0;
    std::frexp(largest, &exponent);
    // The largest magnitude becomes 2^14 to 2^15: a factor of two below the end of binary16.
    const int shift = largest > 0 ? std::min(15 - exponent, kLargestScaleExponent) : 0;
    GroupHead head;
    head.unit = std::ldexp(1.0F, -shift);
    // vector<std::byte> and the offsets within it keep the halves aligned to their size.
    auto* const halves = reinterpret_cast<std::uint16_t*>(out.data() + sizeof head);
    HWY_DYNAMIC_DISPATCH(encodeAll)(sums, cells, std::ldexp(1.0F, shift), head.unit, halves);
    head.check = checksum(out.subspan(sizeof head, cells * 8), head.unit);
    std::memcpy(out.data(), &head, sizeof head);
}

std::optional<EncodedCells> EncodedCells::open(std::span<const std::byte> bytes, std::size_t cells) {
    GroupHead head;
    if (bytes.size() != static_cast<std::size_t>(encodedBytes(static_cast<std::int64_t>(cells))))
        return std::nullopt;
    std::memcpy(&head, bytes.data(), sizeof head);
    if (checksum(bytes.subspan(sizeof head), head.unit) != head.check || !(head.unit > 0))
        return std::nullopt;
    return EncodedCells(bytes.data() + sizeof head, cells, head.unit);
}

CellSum EncodedCells::cell(std::size_t index, std::int64_t values) const {
    CellSum sum;
    const float spread = decodeHalf(halves_, 3 * cells_ + index) * unit_;
    sum.nonFinite = std::signbit(spread);
    const float min = decodeHalf(halves_, index) * unit_;
    if (std::isnan(min))
        return sum;
    sum.min = min;
    sum.max = decodeHalf(halves_, cells_ + index) * unit_;
    const auto mean = static_cast<double>(decodeHalf(halves_, 2 * cells_ + index) * unit_);
    const auto n = static_cast<double>(values);
    sum.count = values;
    sum.sum = mean * n;
    sum.squares = (mean * mean + static_cast<double>(spread) * static_cast<double>(spread)) * n;
    return sum;
}

} // namespace kvscope
#endif
