// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/rans_kernels.h"

#if defined(__x86_64__)

#include <array>
#include <immintrin.h>

// See rans_avx512.cpp for why this is an attribute of each function.
#define KVSCOPE_AVX2 __attribute__((target("avx2,popcnt"), always_inline)) inline
#define KVSCOPE_AVX2_ENTRY __attribute__((target("avx2,popcnt")))

namespace kvscope::rans {

namespace {

/// For each set of 8 lanes, eight bytes that say which element goes where.
using Permutations = std::array<std::uint64_t, 256>;

/// Lane l takes the word that is its turn: as many as lanes before it need one.
constexpr Permutations makeExpand() {
    Permutations all{};
    for (unsigned set = 0; set < 256; ++set) {
        std::uint64_t next = 0;
        for (unsigned lane = 0; lane < 8; ++lane) {
            if ((set >> lane & 1U) != 0)
                all[set] |= next++ << (8 * lane);
        }
    }
    return all;
}

/// The lanes of the set, in order, at the upper end.
constexpr Permutations makeCompress() {
    Permutations all{};
    for (unsigned set = 0; set < 256; ++set) {
        unsigned to = 8;
        for (std::uint64_t lane = 8; lane-- > 0;) {
            if ((set >> lane & 1U) != 0)
                all[set] |= lane << (8 * --to);
        }
    }
    return all;
}

constexpr Permutations kExpand = makeExpand();
constexpr Permutations kCompress = makeCompress();

KVSCOPE_AVX2 __m256i permutation(const Permutations& all, int set) {
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(all[static_cast<unsigned>(set)])));
}

KVSCOPE_AVX2 __m256i loadLanes(const std::uint32_t* states) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(states));
}

KVSCOPE_AVX2 void storeLanes(std::uint32_t* states, __m256i lanes) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(states), lanes);
}

/// Takes one symbol off each of 8 lanes, hands out words in lane order and returns the decode entries.
KVSCOPE_AVX2 __m256i popQuarter(std::uint32_t* states, const std::uint32_t* table, const std::byte*& words) {
    const __m256i slotMask = _mm256_set1_epi32(kRansTotal - 1);
    const __m256i state = loadLanes(states);
    const __m256i entry =
        _mm256_i32gather_epi32(reinterpret_cast<const int*>(table), _mm256_and_si256(state, slotMask), 4);
    const __m256i popped = _mm256_add_epi32(
        _mm256_mullo_epi32(_mm256_srli_epi32(state, kRansProbabilityBits), _mm256_srli_epi32(entry, 20)),
        _mm256_and_si256(_mm256_srli_epi32(entry, 8), slotMask));
    const __m256i needs = _mm256_cmpgt_epi32(_mm256_set1_epi32(kRansStateLow), popped);
    const int set = _mm256_movemask_ps(_mm256_castsi256_ps(needs));
    const __m256i next = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(words)));
    const __m256i turn = _mm256_permutevar8x32_epi32(next, permutation(kExpand, set));
    const __m256i refilled = _mm256_or_si256(_mm256_slli_epi32(popped, kRansWordBits), turn);
    storeLanes(states, _mm256_blendv_epi8(popped, refilled, needs));
    words += static_cast<std::size_t>(_mm_popcnt_u32(static_cast<unsigned>(set))) * sizeof(std::uint16_t);
    return _mm256_and_si256(entry, _mm256_set1_epi32(0xFF));
}

KVSCOPE_AVX2 void pop(DecodeLane& stream) {
    const std::byte* words = stream.words;
    const __m256i a = popQuarter(stream.states, stream.entries, words);
    const __m256i b = popQuarter(stream.states + 8, stream.entries, words);
    const __m256i c = popQuarter(stream.states + 16, stream.entries, words);
    const __m256i d = popQuarter(stream.states + 24, stream.entries, words);
    stream.words = words;
    const __m256i mixed = _mm256_packus_epi16(_mm256_packus_epi32(a, b), _mm256_packus_epi32(c, d));
    storeLanes(reinterpret_cast<std::uint32_t*>(stream.symbols),
               _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
    stream.symbols += kRansLanes;
}

/// Puts one symbol on each of 8 lanes and gives the words away in lane order, last first. Returns where a symbol has
/// no frequency.
KVSCOPE_AVX2 __m256i pushQuarter(std::uint32_t* states, const std::uint8_t* symbols, const EncodeLane& stream,
                                 std::uint16_t*& words) {
    alignas(32) std::array<std::uint32_t, 8> both{};
    for (std::size_t lane = 0; lane < 8; ++lane) {
        const std::uint8_t symbol = symbols[lane];
        both[lane] = stream.frequencies[symbol] | static_cast<std::uint32_t>(stream.firstSlots[symbol]) << 16;
    }
    const __m256i looked = loadLanes(both.data());
    const __m256i frequency = _mm256_and_si256(looked, _mm256_set1_epi32(0xFFFF));
    const __m256i first = _mm256_srli_epi32(looked, 16);
    const __m256i state = loadLanes(states);
    // Both sides are below 2^31; only a frequency of 4096 would not be.
    const __m256i keeps =
        _mm256_cmpgt_epi32(_mm256_slli_epi32(frequency, kRansStateBits - kRansProbabilityBits), state);
    const int set = ~_mm256_movemask_ps(_mm256_castsi256_ps(keeps)) & 0xFF;
    const __m256i packed =
        _mm256_and_si256(_mm256_permutevar8x32_epi32(state, permutation(kCompress, set)), _mm256_set1_epi32(0xFFFF));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(words - 8),
                     _mm_packus_epi32(_mm256_castsi256_si128(packed), _mm256_extracti128_si256(packed, 1)));
    words -= _mm_popcnt_u32(static_cast<unsigned>(set));
    const __m256i kept = _mm256_blendv_epi8(_mm256_srli_epi32(state, kRansWordBits), state, keeps);
    // The quotient is below 2^19, so that float32 is off by at most one, which the remainder shows.
    const __m256i estimate =
        _mm256_cvttps_epi32(_mm256_div_ps(_mm256_cvtepi32_ps(kept), _mm256_cvtepi32_ps(frequency)));
    const __m256i remainder = _mm256_sub_epi32(kept, _mm256_mullo_epi32(estimate, frequency));
    const __m256i large = _mm256_cmpgt_epi32(_mm256_setzero_si256(), remainder);
    const __m256i fits = _mm256_cmpgt_epi32(frequency, remainder);
    // Minus one where the estimate was too large, plus one where too small.
    const __m256i quotient =
        _mm256_add_epi32(_mm256_add_epi32(estimate, large), _mm256_add_epi32(fits, _mm256_set1_epi32(1)));
    // quotient * total + remainder + first, where remainder = kept - quotient * frequency.
    storeLanes(states, _mm256_add_epi32(
                           _mm256_add_epi32(kept, first),
                           _mm256_mullo_epi32(quotient, _mm256_sub_epi32(_mm256_set1_epi32(kRansTotal), frequency))));
    return _mm256_cmpeq_epi32(frequency, _mm256_setzero_si256());
}

KVSCOPE_AVX2 __m256i push(EncodeLane& stream) {
    stream.symbols -= kRansLanes;
    std::uint16_t* words = stream.words;
    __m256i missing = pushQuarter(stream.states + 24, stream.symbols + 24, stream, words);
    missing = _mm256_or_si256(missing, pushQuarter(stream.states + 16, stream.symbols + 16, stream, words));
    missing = _mm256_or_si256(missing, pushQuarter(stream.states + 8, stream.symbols + 8, stream, words));
    missing = _mm256_or_si256(missing, pushQuarter(stream.states, stream.symbols, stream, words));
    stream.words = words;
    return missing;
}

} // namespace

KVSCOPE_AVX2_ENTRY void decodeAvx2(DecodeLane* streams, int count, std::int64_t steps) {
    for (std::int64_t step = 0; step < steps; ++step) {
        for (int i = 0; i < count; ++i)
            pop(streams[i]);
    }
}

KVSCOPE_AVX2_ENTRY bool encodeAvx2(EncodeLane* streams, int count, std::int64_t steps) {
    __m256i missing = _mm256_setzero_si256();
    for (std::int64_t step = 0; step < steps; ++step) {
        for (int i = 0; i < count; ++i)
            missing = _mm256_or_si256(missing, push(streams[i]));
    }
    return _mm256_testz_si256(missing, missing) != 0;
}

} // namespace kvscope::rans

#endif
