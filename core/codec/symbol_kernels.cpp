// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/symbol_kernels.h"

#include "core/base/float_formats.h"
#include "core/codec/kvz_step.h"
#include "core/codec/symbol_bank.h"
#include "core/codec/trellis_step.h"

#include <algorithm>
#include <bit>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/codec/symbol_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kvscope::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kSide = 16;
constexpr std::size_t kTile = 64;
constexpr float kMostHalf = 65504.0F;

#if HWY_TARGET == HWY_SCALAR
void transposeBlock(const std::uint8_t* in, std::size_t inStride, std::uint8_t* out, std::size_t outStride) {
    for (std::size_t i = 0; i < kSide; ++i) {
        for (std::size_t j = 0; j < kSide; ++j)
            out[j * outStride + i] = in[i * inStride + j];
    }
}
#else
/// One 16 x 16 block: four rounds of interleaving rows i and i + 8.
void transposeBlock(const std::uint8_t* in, std::size_t inStride, std::uint8_t* out, std::size_t outStride) {
    const hn::FixedTag<std::uint8_t, kSide> tag;
    using Row = hn::Vec<decltype(tag)>;
    Row a[kSide];
    Row b[kSide];
    for (std::size_t i = 0; i < kSide; ++i)
        a[i] = hn::LoadU(tag, in + i * inStride);
    const auto round = [&](const Row* from, Row* to) {
        for (std::size_t i = 0; i < kSide / 2; ++i) {
            to[2 * i] = hn::InterleaveLower(tag, from[i], from[i + kSide / 2]);
            to[2 * i + 1] = hn::InterleaveUpper(tag, from[i], from[i + kSide / 2]);
        }
    };
    round(a, b);
    round(b, a);
    round(a, b);
    round(b, a);
    for (std::size_t i = 0; i < kSide; ++i)
        hn::StoreU(a[i], tag, out + i * outStride);
}
#endif

void transpose(const std::uint8_t* in, std::size_t inStride, std::size_t rows, std::size_t columns, std::uint8_t* out,
               std::size_t outStride) {
    const std::size_t fullRows = rows / kSide * kSide;
    const std::size_t fullColumns = columns / kSide * kSide;
    for (std::size_t row = 0; row < fullRows; row += kTile) {
        for (std::size_t column = 0; column < fullColumns; column += kTile) {
            for (std::size_t i = row; i < std::min(row + kTile, fullRows); i += kSide) {
                for (std::size_t j = column; j < std::min(column + kTile, fullColumns); j += kSide)
                    transposeBlock(in + i * inStride + j, inStride, out + j * outStride + i, outStride);
            }
        }
    }
    for (std::size_t i = 0; i < rows; ++i) {
        for (std::size_t j = i < fullRows ? fullColumns : 0; j < columns; ++j)
            out[j * outStride + i] = in[i * inStride + j];
    }
}

void restore(const std::uint8_t* symbols, const ModeFactors& factors, const ModeRows& rows, std::size_t channels,
             std::int16_t* numbers) {
    const hn::ScalableTag<std::int16_t> wide;
    const hn::Rebind<std::uint8_t, decltype(wide)> bytes;
    const std::size_t lanes = hn::Lanes(wide);
    const auto zero = hn::Set(wide, kBankZero);
    const auto half = hn::Set(wide, 4);
    const auto weight = hn::Set(wide, rows.weight);
    std::size_t c = 0;
    for (; c + lanes <= channels; c += lanes) {
        auto number = hn::Sub(hn::PromoteTo(wide, hn::LoadU(bytes, symbols + c)), zero);
        if (rows.reference != nullptr || rows.previous != nullptr) {
            auto sum = half;
            if (rows.reference != nullptr)
                sum = hn::Add(sum, hn::Mul(hn::LoadU(wide, rows.reference + c),
                                           hn::And(hn::LoadU(wide, factors.reference + c), weight)));
            if (rows.previous != nullptr)
                sum = hn::Add(sum, hn::Mul(hn::LoadU(wide, rows.previous + c), hn::LoadU(wide, factors.previous + c)));
            number = hn::Add(number, hn::ShiftRight<3>(sum));
        }
        if (rows.anchor != nullptr)
            number = hn::Add(number, hn::And(hn::LoadU(wide, rows.anchor + c), hn::LoadU(wide, factors.anchor + c)));
        hn::StoreU(number, wide, numbers + c);
    }
    for (; c < channels; ++c) {
        std::uint32_t sum = 4;
        if (rows.reference != nullptr)
            sum += static_cast<std::uint32_t>(rows.reference[c]) *
                   static_cast<std::uint32_t>(factors.reference[c] & rows.weight);
        if (rows.previous != nullptr)
            sum += static_cast<std::uint32_t>(rows.previous[c]) * static_cast<std::uint32_t>(factors.previous[c]);
        std::uint32_t number = static_cast<std::uint32_t>(symbols[c]) - kBankZero +
                               static_cast<std::uint32_t>(static_cast<std::int16_t>(sum) >> 3);
        if (rows.anchor != nullptr)
            number += static_cast<std::uint32_t>(rows.anchor[c] & factors.anchor[c]);
        numbers[c] = static_cast<std::int16_t>(number);
    }
}

/// Values of steps: calls store(c, values) for vectors of them and storeOne(c, value) for what is left.
struct PlainSteps {
    const std::int16_t* numbers;
    const float* offsets;
    float step;

    template <class Store, class StoreOne>
    HWY_ATTR void each(std::size_t channels, Store store, StoreOne storeOne) const {
        const hn::ScalableTag<float> floats;
        const hn::RebindToSigned<decltype(floats)> ints;
        const hn::Rebind<std::int16_t, decltype(floats)> shorts;
        const std::size_t lanes = hn::Lanes(floats);
        const auto factor = hn::Set(floats, step);
        std::size_t c = 0;
        for (; c + lanes <= channels; c += lanes) {
            const auto number = hn::ConvertTo(floats, hn::PromoteTo(ints, hn::LoadU(shorts, numbers + c)));
            store(c, hn::Mul(hn::Add(number, hn::LoadU(floats, offsets + c)), factor));
        }
        for (; c < channels; ++c)
            storeOne(c, valueOfSteps(numbers[c], offsets[c], step));
    }
};

/// The same with trellises, whose states move on.
struct TrellisSteps {
    const std::int16_t* numbers;
    TrellisRows rows;

    template <class Store, class StoreOne>
    HWY_ATTR void each(std::size_t channels, [[maybe_unused]] Store store, StoreOne storeOne) const {
        std::size_t c = 0;
#if HWY_TARGET != HWY_SCALAR
        const hn::ScalableTag<std::int16_t> shorts;
        const hn::Half<decltype(shorts)> halves;
        const hn::Rebind<std::int32_t, decltype(halves)> ints;
        const hn::RebindToFloat<decltype(ints)> floats;
        const hn::Repartition<std::uint8_t, decltype(shorts)> bytes;
        const std::size_t lanes = hn::Lanes(shorts);
        const auto one = hn::Set(shorts, std::int16_t{1});
        const auto next = hn::LoadDup128(bytes, kTrellisNext.data());
        // The high byte of an index is 0 and looks up the first entry, which is 0 too.
        static_assert(kTrellisNext.front() == 0);
        const auto put = [&](std::size_t at, auto quarters) HWY_ATTR {
            const auto sum =
                hn::Add(hn::ConvertTo(floats, hn::PromoteTo(ints, quarters)), hn::LoadU(floats, rows.offsets + at));
            store(at, hn::Mul(sum, hn::LoadU(floats, rows.steps + at)));
        };
        for (; c + lanes <= channels; c += lanes) {
            const auto number = hn::LoadU(shorts, numbers + c);
            const auto state = hn::LoadU(shorts, rows.states + c);
            const auto side = hn::Sub(hn::Add(hn::And(state, one), hn::And(state, one)), one);
            const auto quarters = hn::Add(hn::ShiftLeft<2>(number), hn::And(side, hn::LoadU(shorts, rows.uses + c)));
            put(c, hn::LowerHalf(halves, quarters));
            put(c + lanes / 2, hn::UpperHalf(halves, quarters));
            const auto index = hn::Add(hn::Add(state, state), hn::And(number, one));
            hn::StoreU(hn::BitCast(shorts, hn::TableLookupBytes(next, hn::BitCast(bytes, index))), shorts,
                       rows.states + c);
        }
#endif
        for (; c < channels; ++c) {
            const auto state = static_cast<unsigned>(rows.states[c]);
            const std::int16_t quarters = quartersOf(numbers[c], state, rows.uses[c]);
            rows.states[c] = static_cast<std::int16_t>(nextTrellisState(state, numbers[c]));
            storeOne(c, valueOfSteps(quarters, rows.offsets[c], rows.steps[c]));
        }
    }
};

template <class Steps> HWY_INLINE void floatsOf(const Steps& steps, std::size_t channels, float* values) {
    const hn::ScalableTag<float> floats;
    steps.each(
        channels, [&](std::size_t c, auto value) { hn::StoreU(value, floats, values + c); },
        [&](std::size_t c, float value) { values[c] = value; });
}

template <class Steps> HWY_INLINE void halvesOf(const Steps& steps, std::size_t channels, std::uint16_t* values) {
    const hn::ScalableTag<float> floats;
    const hn::Rebind<hwy::float16_t, decltype(floats)> halves;
    const hn::Rebind<std::uint16_t, decltype(floats)> words;
    const auto most = hn::Set(floats, kMostHalf);
    const auto least = hn::Set(floats, -kMostHalf);
    steps.each(
        channels,
        [&](std::size_t c, auto value) {
            const auto bounded = hn::Min(hn::Max(value, least), most);
#if HWY_TARGET <= HWY_AVX2
            hn::StoreU(hn::BitCast(words, hn::DemoteTo(halves, bounded)), words, values + c);
#else
            // Without instructions for it, libraries round in ways of their own.
            alignas(64) float lanes[hn::MaxLanes(floats)];
            hn::Store(bounded, floats, lanes);
            for (std::size_t i = 0; i < hn::Lanes(floats); ++i)
                values[c + i] = halfFromFloat(lanes[i]);
            static_cast<void>(halves);
            static_cast<void>(words);
#endif
        },
        [&](std::size_t c, float value) { values[c] = halfFromFloat(std::clamp(value, -kMostHalf, kMostHalf)); });
}

template <class Steps> HWY_INLINE void bfloatsOf(const Steps& steps, std::size_t channels, std::uint16_t* values) {
    const hn::ScalableTag<float> floats;
    const hn::RebindToUnsigned<decltype(floats)> bits;
    const hn::Rebind<std::uint16_t, decltype(floats)> words;
    steps.each(
        channels,
        [&](std::size_t c, auto value) {
            const auto raw = hn::BitCast(bits, value);
            const auto odd = hn::And(hn::ShiftRight<16>(raw), hn::Set(bits, 1));
            const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(raw, hn::Set(bits, 0x7FFF)), odd));
            const hn::RebindToSigned<decltype(bits)> ints;
            hn::StoreU(hn::DemoteTo(words, hn::BitCast(ints, rounded)), words, values + c);
        },
        [&](std::size_t c, float value) { values[c] = bfloatFromFloat(value); });
}

void toFloat(const std::int16_t* numbers, const float* offsets, float step, std::size_t channels, float* values) {
    floatsOf(PlainSteps{numbers, offsets, step}, channels, values);
}

void trellisToFloat(const std::int16_t* numbers, const TrellisRows& rows, std::size_t channels, float* values) {
    floatsOf(TrellisSteps{numbers, rows}, channels, values);
}

void toHalf(const std::int16_t* numbers, const float* offsets, float step, std::size_t channels,
            std::uint16_t* values) {
    halvesOf(PlainSteps{numbers, offsets, step}, channels, values);
}

void trellisToHalf(const std::int16_t* numbers, const TrellisRows& rows, std::size_t channels, std::uint16_t* values) {
    halvesOf(TrellisSteps{numbers, rows}, channels, values);
}

void toBfloat(const std::int16_t* numbers, const float* offsets, float step, std::size_t channels,
              std::uint16_t* values) {
    bfloatsOf(PlainSteps{numbers, offsets, step}, channels, values);
}

void trellisToBfloat(const std::int16_t* numbers, const TrellisRows& rows, std::size_t channels,
                     std::uint16_t* values) {
    bfloatsOf(TrellisSteps{numbers, rows}, channels, values);
}

void join(const std::uint8_t* high, const std::uint8_t* low, std::size_t count, std::uint16_t* words) {
    const hn::ScalableTag<std::uint16_t> wide;
    const hn::Rebind<std::uint8_t, decltype(wide)> bytes;
    const std::size_t lanes = hn::Lanes(wide);
    std::size_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        const auto top = hn::PromoteTo(wide, hn::LoadU(bytes, high + i));
        const auto bottom = hn::PromoteTo(wide, hn::LoadU(bytes, low + i));
        hn::StoreU(hn::Or(hn::Or(hn::ShiftLeft<7>(top), hn::ShiftRight<1>(bottom)), hn::ShiftLeft<15>(bottom)), wide,
                   words + i);
    }
    for (; i < count; ++i)
        words[i] = std::rotr(static_cast<std::uint16_t>(high[i] << 8 | low[i]), 1);
}

std::uint16_t rotatedAt(const std::byte* words, std::size_t i) {
    std::uint16_t word = 0;
    std::memcpy(&word, words + i * sizeof word, sizeof word);
    return static_cast<std::uint16_t>(word << 1 | word >> 15);
}

void split(const std::byte* words, const std::byte* others, std::size_t count, std::uint8_t* high, std::uint8_t* low) {
    std::size_t i = 0;
#if HWY_TARGET != HWY_SCALAR
    const hn::ScalableTag<std::uint8_t> bytes;
    const hn::Repartition<std::uint16_t, decltype(bytes)> tag;
    const std::size_t lanes = hn::Lanes(tag);
    const auto rotated = [&](const std::byte* from) HWY_ATTR {
        const auto word =
            hn::BitCast(tag, hn::LoadU(bytes, reinterpret_cast<const std::uint8_t*>(from + i * sizeof(std::uint16_t))));
        return hn::Or(hn::Add(word, word), hn::ShiftRight<15>(word));
    };
    for (; i + 2 * lanes <= count; i += lanes) {
        auto first = rotated(words);
        if (others != nullptr)
            first = hn::Sub(first, rotated(others));
        i += lanes;
        auto second = rotated(words);
        if (others != nullptr)
            second = hn::Sub(second, rotated(others));
        const auto lower = hn::BitCast(bytes, first);
        const auto upper = hn::BitCast(bytes, second);
        hn::StoreU(hn::ConcatOdd(bytes, upper, lower), bytes, high + i - lanes);
        hn::StoreU(hn::ConcatEven(bytes, upper, lower), bytes, low + i - lanes);
    }
#endif
    for (; i < count; ++i) {
        const unsigned word = 0U + rotatedAt(words, i) - (others != nullptr ? rotatedAt(others, i) : 0U);
        high[i] = static_cast<std::uint8_t>(word >> 8);
        low[i] = static_cast<std::uint8_t>(word);
    }
}

void countBits(const std::uint8_t* bytes, std::size_t count, std::uint8_t* ones) {
    constexpr std::size_t kBits = 8;
    const hn::ScalableTag<std::uint8_t> tag;
    const std::size_t lanes = hn::Lanes(tag);
    const auto zero = hn::Zero(tag);
    const auto one = hn::Set(tag, std::uint8_t{1});
    std::size_t c = 0;
    for (; c + lanes <= count; c += lanes) {
        const auto some = hn::LoadU(tag, bytes + c);
        for (std::size_t bit = 0; bit < kBits; ++bit) {
            const auto mask = hn::Set(tag, static_cast<std::uint8_t>(1U << bit));
            const auto added = hn::IfThenZeroElse(hn::Eq(hn::And(some, mask), zero), one);
            std::uint8_t* to = ones + bit * count + c;
            hn::StoreU(hn::Add(hn::LoadU(tag, to), added), tag, to);
        }
    }
    for (; c < count; ++c) {
        for (std::size_t bit = 0; bit < kBits; ++bit)
            ones[bit * count + c] = static_cast<std::uint8_t>(ones[bit * count + c] + (bytes[c] >> bit & 1));
    }
}

} // namespace kvscope::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace kvscope {

HWY_EXPORT(transpose);
HWY_EXPORT(restore);
HWY_EXPORT(toFloat);
HWY_EXPORT(toHalf);
HWY_EXPORT(toBfloat);
HWY_EXPORT(trellisToFloat);
HWY_EXPORT(trellisToHalf);
HWY_EXPORT(trellisToBfloat);
HWY_EXPORT(join);
HWY_EXPORT(split);
HWY_EXPORT(countBits);

void transposeBytes(const std::uint8_t* in, std::size_t inStride, std::size_t rows, std::size_t columns,
                    std::uint8_t* out, std::size_t outStride) {
    HWY_DYNAMIC_DISPATCH(transpose)(in, inStride, rows, columns, out, outStride);
}

void restoreRow(const std::uint8_t* symbols, const ModeFactors& factors, const ModeRows& rows, std::size_t channels,
                std::int16_t* numbers) {
    HWY_DYNAMIC_DISPATCH(restore)(symbols, factors, rows, channels, numbers);
}

void stepsToFloat(const std::int16_t* numbers, const float* offsets, float step, std::size_t channels, float* values) {
    HWY_DYNAMIC_DISPATCH(toFloat)(numbers, offsets, step, channels, values);
}

void stepsToHalf(const std::int16_t* numbers, const float* offsets, float step, std::size_t channels,
                 std::uint16_t* values) {
    HWY_DYNAMIC_DISPATCH(toHalf)(numbers, offsets, step, channels, values);
}

void stepsToBfloat(const std::int16_t* numbers, const float* offsets, float step, std::size_t channels,
                   std::uint16_t* values) {
    HWY_DYNAMIC_DISPATCH(toBfloat)(numbers, offsets, step, channels, values);
}

void trellisToFloat(const std::int16_t* numbers, const TrellisRows& rows, std::size_t channels, float* values) {
    HWY_DYNAMIC_DISPATCH(trellisToFloat)(numbers, rows, channels, values);
}

void trellisToHalf(const std::int16_t* numbers, const TrellisRows& rows, std::size_t channels, std::uint16_t* values) {
    HWY_DYNAMIC_DISPATCH(trellisToHalf)(numbers, rows, channels, values);
}

void trellisToBfloat(const std::int16_t* numbers, const TrellisRows& rows, std::size_t channels,
                     std::uint16_t* values) {
    HWY_DYNAMIC_DISPATCH(trellisToBfloat)(numbers, rows, channels, values);
}

void joinRotated(const std::uint8_t* high, const std::uint8_t* low, std::size_t count, std::uint16_t* words) {
    HWY_DYNAMIC_DISPATCH(join)(high, low, count, words);
}

void splitRotated(const std::byte* words, const std::byte* others, std::size_t count, std::uint8_t* high,
                  std::uint8_t* low) {
    HWY_DYNAMIC_DISPATCH(split)(words, others, count, high, low);
}

void countBitsOf(const std::uint8_t* bytes, std::size_t count, std::uint8_t* ones) {
    HWY_DYNAMIC_DISPATCH(countBits)(bytes, count, ones);
}

} // namespace kvscope

#endif
