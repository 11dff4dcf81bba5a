// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/pair_kernels.h"

#include <algorithm>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>

// This file is compiled once for each instruction set.
#ifndef KVSCOPE_FILL_BY_EXPANDING
#define KVSCOPE_FILL_BY_EXPANDING
namespace kvscope {
namespace {

constexpr std::size_t kExpanded = 32;

/// fillEscapes() with the instruction that spreads bytes over the places of a mask.
__attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt"))) std::size_t
fillByExpanding(std::uint8_t* symbols, std::size_t count, const std::uint8_t* escapes, std::size_t escapeCount) {
    const __m256i escaped = _mm256_set1_epi8(static_cast<char>(kEscapedPair));
    std::size_t used = 0;
    for (std::size_t i = 0; i < count; i += kExpanded) {
        auto* place = reinterpret_cast<__m256i*>(symbols + i);
        const __m256i row = _mm256_loadu_si256(place);
        const __mmask32 mask = _mm256_cmpeq_epi8_mask(row, escaped);
        const auto wanted = static_cast<std::size_t>(_mm_popcnt_u32(mask));
        const std::size_t left = escapeCount - used;
        if (wanted > left)
            return escapeCount + 1;
        const __m256i some = left >= kExpanded ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(escapes + used))
                                               : _mm256_maskz_loadu_epi8((__mmask32{1} << left) - 1, escapes + used);
        _mm256_storeu_si256(place, _mm256_mask_expand_epi8(row, mask, some));
        used += wanted;
    }
    return used;
}

} // namespace
} // namespace kvscope
#endif
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/codec/pair_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kvscope::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kBlock = 64;
constexpr std::uint16_t kExponentMask = 0xFF;

using Words = hn::CappedTag<std::uint16_t, kBlock>;

template <class Word> HWY_INLINE auto exponentsOf(Words tag, Word word) {
    return hn::And(hn::ShiftRight<7>(word), hn::Set(tag, kExponentMask));
}

void count(const std::uint16_t* const* rows, std::size_t rowCount, std::size_t firstChannel, ExponentCounts& counts) {
    const Words tag;
    const std::size_t lanes = hn::Lanes(tag);
    const auto one = hn::Set(tag, 1);
    for (std::size_t c = 0; c < kBlock; c += lanes) {
        const std::size_t at = firstChannel + c;
        auto largest = hn::Zero(tag);
        for (std::size_t t = 0; t < rowCount; ++t)
            largest = hn::Max(largest, exponentsOf(tag, hn::LoadU(tag, rows[t] + at)));
        hn::StoreU(largest, tag, counts.largest.data() + c);
        // As many depths at a time as fit into registers.
        constexpr std::size_t kDepths = 8;
        for (std::size_t first = 0; first < kCountedDepths; first += kDepths) {
            auto sum0 = hn::Zero(tag);
            auto sum1 = sum0;
            auto sum2 = sum0;
            auto sum3 = sum0;
            auto sum4 = sum0;
            auto sum5 = sum0;
            auto sum6 = sum0;
            auto sum7 = sum0;
            const auto top = hn::Sub(largest, hn::Set(tag, static_cast<std::uint16_t>(first)));
            for (std::size_t t = 0; t < rowCount; ++t) {
                const auto depth = hn::Sub(top, exponentsOf(tag, hn::LoadU(tag, rows[t] + at)));
                const auto tally = [&](auto& sum, std::uint16_t value) HWY_ATTR {
                    sum = hn::Add(sum, hn::IfThenElseZero(hn::Eq(depth, hn::Set(tag, value)), one));
                };
                tally(sum0, 0);
                tally(sum1, 1);
                tally(sum2, 2);
                tally(sum3, 3);
                tally(sum4, 4);
                tally(sum5, 5);
                tally(sum6, 6);
                tally(sum7, 7);
            }
            hn::StoreU(sum0, tag, counts.below[first].data() + c);
            hn::StoreU(sum1, tag, counts.below[first + 1].data() + c);
            hn::StoreU(sum2, tag, counts.below[first + 2].data() + c);
            hn::StoreU(sum3, tag, counts.below[first + 3].data() + c);
            hn::StoreU(sum4, tag, counts.below[first + 4].data() + c);
            hn::StoreU(sum5, tag, counts.below[first + 5].data() + c);
            hn::StoreU(sum6, tag, counts.below[first + 6].data() + c);
            hn::StoreU(sum7, tag, counts.below[first + 7].data() + c);
        }
    }
}

#if HWY_TARGET == HWY_SCALAR
void split(const std::uint16_t* words, const std::uint16_t* bases, std::size_t channels, std::uint8_t* symbols,
           std::uint8_t* lows) {
    for (std::size_t c = 0; c < channels; ++c) {
        const auto depth = static_cast<std::uint16_t>(bases[c] - (words[c] >> 7 & kExponentMask));
        const unsigned kind = std::min(depth, kFarClass);
        symbols[c / 2] = static_cast<std::uint8_t>(c % 2 == 0 ? kind : symbols[c / 2] | kind << 4U);
        lows[c] = static_cast<std::uint8_t>((words[c] & 0x7FU) | (words[c] >> 15U) << 7U);
    }
}

void join(const std::uint8_t* symbols, const std::uint8_t* lows, const std::uint16_t* tops, std::size_t channels,
          std::byte* words) {
    for (std::size_t c = 0; c < channels; ++c) {
        const unsigned depth = c % 2 == 0 ? symbols[c / 2] & 0x0FU : symbols[c / 2] >> 4U;
        const auto word =
            static_cast<std::uint16_t>((tops[c] - (depth << 7U)) | (lows[c] >> 7U) << 15U | (lows[c] & 0x7FU));
        std::memcpy(words + c * sizeof(word), &word, sizeof(word));
    }
}
#else
void split(const std::uint16_t* words, const std::uint16_t* bases, std::size_t channels, std::uint8_t* symbols,
           std::uint8_t* lows) {
    const Words tag;
    const hn::Rebind<std::uint8_t, Words> bytes;
    const hn::RebindToSigned<Words> ints;
    const hn::Repartition<std::uint32_t, Words> pairs;
    const hn::Rebind<std::uint8_t, decltype(pairs)> pairBytes;
    const hn::RebindToSigned<decltype(pairs)> pairInts;
    const std::size_t lanes = hn::Lanes(tag);
    for (std::size_t c = 0; c < channels; c += lanes) {
        const auto word = hn::LoadU(tag, words + c);
        // Above the base the difference wraps and is far as well.
        const auto depth = hn::Sub(hn::LoadU(tag, bases + c), exponentsOf(tag, word));
        const auto kind = hn::BitCast(pairs, hn::Min(depth, hn::Set(tag, kFarClass)));
        const auto symbol = hn::And(hn::Or(kind, hn::ShiftRight<12>(kind)), hn::Set(pairs, 0xFF));
        hn::StoreU(hn::DemoteTo(pairBytes, hn::BitCast(pairInts, symbol)), pairBytes, symbols + c / 2);
        const auto low = hn::Or(hn::And(word, hn::Set(tag, 0x7F)), hn::ShiftLeft<7>(hn::ShiftRight<15>(word)));
        hn::StoreU(hn::DemoteTo(bytes, hn::BitCast(ints, low)), bytes, lows + c);
    }
}

void join(const std::uint8_t* symbols, const std::uint8_t* lows, const std::uint16_t* tops, std::size_t channels,
          std::byte* words) {
    const Words tag;
    const hn::Repartition<std::uint32_t, Words> pairs;
    const hn::Rebind<std::uint8_t, decltype(pairs)> pairBytes;
    const hn::Rebind<std::uint8_t, Words> bytes;
    const std::size_t lanes = hn::Lanes(tag);
    for (std::size_t c = 0; c < channels; c += lanes) {
        const auto symbol = hn::PromoteTo(pairs, hn::LoadU(pairBytes, symbols + c / 2));
        const auto depth = hn::OrAnd(hn::And(hn::ShiftLeft<7>(symbol), hn::Set(pairs, 0x0780)),
                                     hn::ShiftLeft<19>(symbol), hn::Set(pairs, 0x07800000));
        const auto exponent = hn::Sub(hn::LoadU(tag, tops + c), hn::BitCast(tag, depth));
        const auto low = hn::PromoteTo(tag, hn::LoadU(bytes, lows + c));
        const auto signedOne = hn::OrAnd(exponent, hn::ShiftLeft<8>(low), hn::Set(tag, 0x8000));
        hn::StoreU(hn::OrAnd(signedOne, low, hn::Set(tag, 0x7F)), tag,
                   reinterpret_cast<std::uint16_t*>(words + c * sizeof(std::uint16_t)));
    }
}
#endif

std::size_t fill(std::uint8_t* symbols, std::size_t count, const std::uint8_t* escapes, std::size_t escapeCount) {
#if HWY_TARGET == HWY_AVX3
    if (__builtin_cpu_supports("avx512vbmi2"))
        return fillByExpanding(symbols, count, escapes, escapeCount);
#endif
    const hn::CappedTag<std::uint8_t, 32> tag;
    const std::size_t lanes = hn::Lanes(tag);
    const auto escaped = hn::Set(tag, kEscapedPair);
    std::size_t used = 0;
    for (std::size_t i = 0; i < count; i += lanes) {
        std::uint64_t mask = 0;
        hn::StoreMaskBits(tag, hn::Eq(hn::LoadU(tag, symbols + i), escaped), reinterpret_cast<std::uint8_t*>(&mask));
        for (; mask != 0; mask &= mask - 1) {
            if (used == escapeCount)
                return escapeCount + 1;
            symbols[i + static_cast<std::size_t>(std::countr_zero(mask))] = escapes[used++];
        }
    }
    return used;
}

} // namespace kvscope::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace kvscope {

HWY_EXPORT(count);
HWY_EXPORT(split);
HWY_EXPORT(fill);
HWY_EXPORT(join);

void countExponents(const std::uint16_t* const* rows, std::size_t rowCount, std::size_t firstChannel,
                    ExponentCounts& counts) {
    HWY_DYNAMIC_DISPATCH(count)(rows, rowCount, firstChannel, counts);
}

void splitPairs(const std::uint16_t* words, const std::uint16_t* bases, std::size_t channels, std::uint8_t* symbols,
                std::uint8_t* lows) {
    HWY_DYNAMIC_DISPATCH(split)(words, bases, channels, symbols, lows);
}

std::size_t fillEscapes(std::uint8_t* symbols, std::size_t count, const std::uint8_t* escapes,
                        std::size_t escapeCount) {
    return HWY_DYNAMIC_DISPATCH(fill)(symbols, count, escapes, escapeCount);
}

void joinPairs(const std::uint8_t* symbols, const std::uint8_t* lows, const std::uint16_t* tops, std::size_t channels,
               std::byte* words) {
    HWY_DYNAMIC_DISPATCH(join)(symbols, lows, tops, channels, words);
}

} // namespace kvscope

#endif
