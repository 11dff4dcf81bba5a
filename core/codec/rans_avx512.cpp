// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/rans_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

// Functions carry their instruction set as an attribute: with a flag for the whole file, inline functions of the
// standard library would be compiled for it too and could be chosen by the linker for processors without it.
#define KVSCOPE_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,popcnt"), always_inline)) inline
#define KVSCOPE_AVX512_ENTRY __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,popcnt")))

namespace kvscope::rans {

namespace {

/// Half of the lanes of a stream, in a register.
using Half = __m512i;

/// Takes one symbol off each of 16 lanes and hands out words in lane order.
KVSCOPE_AVX512 void popHalf(Half& state, const std::uint32_t* table, const std::byte*& words, std::uint8_t* symbols) {
    const __m512i slotMask = _mm512_set1_epi32(kRansTotal - 1);
    const __m512i entry = _mm512_i32gather_epi32(_mm512_and_si512(state, slotMask), table, 4);
    const __m512i popped = _mm512_add_epi32(
        _mm512_mullo_epi32(_mm512_srli_epi32(state, kRansProbabilityBits), _mm512_srli_epi32(entry, 20)),
        _mm512_and_si512(_mm512_srli_epi32(entry, 8), slotMask));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(symbols), _mm512_cvtepi32_epi8(entry));
    const __mmask16 needs = _mm512_cmplt_epu32_mask(popped, _mm512_set1_epi32(kRansStateLow));
    const __m512i next = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)));
    state = _mm512_mask_or_epi32(popped, needs, _mm512_slli_epi32(popped, kRansWordBits),
                                 _mm512_maskz_expand_epi32(needs, next));
    words += static_cast<std::size_t>(_mm_popcnt_u32(needs)) * sizeof(std::uint16_t);
}

/// A stream whose states are in registers.
struct PopState {
    Half low;
    Half high;
    const std::uint32_t* table;
    const std::byte* words;
    std::uint8_t* symbols;
};

KVSCOPE_AVX512 PopState load(const DecodeLane& stream) {
    return {_mm512_loadu_si512(stream.states), _mm512_loadu_si512(stream.states + 16), stream.entries, stream.words,
            stream.symbols};
}

KVSCOPE_AVX512 void store(const PopState& state, DecodeLane& stream) {
    _mm512_storeu_si512(stream.states, state.low);
    _mm512_storeu_si512(stream.states + 16, state.high);
    stream.words = state.words;
    stream.symbols = state.symbols;
}

KVSCOPE_AVX512 void pop(PopState& state) {
    popHalf(state.low, state.table, state.words, state.symbols);
    popHalf(state.high, state.table, state.words, state.symbols + 16);
    state.symbols += kRansLanes;
}

KVSCOPE_AVX512_ENTRY void decodeFour(DecodeLane* streams, std::int64_t steps) {
    PopState a = load(streams[0]);
    PopState b = load(streams[1]);
    PopState c = load(streams[2]);
    PopState d = load(streams[3]);
    for (std::int64_t step = 0; step < steps; ++step) {
        pop(a);
        pop(b);
        pop(c);
        pop(d);
    }
    store(a, streams[0]);
    store(b, streams[1]);
    store(c, streams[2]);
    store(d, streams[3]);
}

KVSCOPE_AVX512_ENTRY void decodeTwo(DecodeLane* streams, std::int64_t steps) {
    PopState a = load(streams[0]);
    PopState b = load(streams[1]);
    for (std::int64_t step = 0; step < steps; ++step) {
        pop(a);
        pop(b);
    }
    store(a, streams[0]);
    store(b, streams[1]);
}

KVSCOPE_AVX512_ENTRY void decodeOne(DecodeLane* streams, std::int64_t steps) {
    PopState a = load(streams[0]);
    for (std::int64_t step = 0; step < steps; ++step)
        pop(a);
    store(a, streams[0]);
}

/// Frequencies and first slots of 32 symbols as 16-bit numbers.
struct Looked {
    __m512i frequencies;
    __m512i firstSlots;
};

/// The 64 numbers from `table` on, in registers.
struct Window {
    __m512i low;
    __m512i high;
};

KVSCOPE_AVX512 Window windowAt(const std::uint16_t* table) {
    return {_mm512_loadu_si512(table), _mm512_loadu_si512(table + 32)};
}

KVSCOPE_AVX512 __m512i lookUp(const Window& window, __m512i index) {
    return _mm512_permutex2var_epi16(window.low, index, window.high);
}

/// A table whose symbols lie within 64 neighbours; it stays in registers.
struct NarrowTable {
    Window frequencies;
    Window firstSlots;
    __m512i base;

    KVSCOPE_AVX512 explicit NarrowTable(const EncodeLane& stream) {
        // The window ends with the tables.
        const int begin = stream.firstSymbol < 192 ? stream.firstSymbol : 192;
        frequencies = windowAt(stream.frequencies + begin);
        firstSlots = windowAt(stream.firstSlots + begin);
        base = _mm512_set1_epi16(static_cast<short>(begin));
    }

    KVSCOPE_AVX512 Looked operator()(__m512i symbols) const {
        const __m512i index = _mm512_sub_epi16(symbols, base);
        // Symbols outside of the window have no frequency, wherever the index wraps to.
        const __mmask32 inside = _mm512_cmplt_epu16_mask(index, _mm512_set1_epi16(64));
        return {_mm512_maskz_mov_epi16(inside, lookUp(frequencies, index)), lookUp(firstSlots, index)};
    }
};

/// Any table, as four windows of 64 symbols each.
struct WideTable {
    const std::uint16_t* frequencies;
    const std::uint16_t* firstSlots;

    KVSCOPE_AVX512 explicit WideTable(const EncodeLane& stream)
        : frequencies(stream.frequencies)
        , firstSlots(stream.firstSlots) {}

    KVSCOPE_AVX512 static __m512i select(const std::uint16_t* table, __m512i index) {
        const __mmask32 odd = _mm512_test_epi16_mask(index, _mm512_set1_epi16(64));
        const __mmask32 upper = _mm512_test_epi16_mask(index, _mm512_set1_epi16(128));
        const __m512i below =
            _mm512_mask_blend_epi16(odd, lookUp(windowAt(table), index), lookUp(windowAt(table + 64), index));
        const __m512i above =
            _mm512_mask_blend_epi16(odd, lookUp(windowAt(table + 128), index), lookUp(windowAt(table + 192), index));
        return _mm512_mask_blend_epi16(upper, below, above);
    }

    KVSCOPE_AVX512 Looked operator()(__m512i symbols) const {
        return {select(frequencies, symbols), select(firstSlots, symbols)};
    }
};

/// Puts one symbol on each of 16 lanes and gives the words away in lane order, last first.
KVSCOPE_AVX512 void pushHalf(Half& state, __m512i frequency, __m512i first, std::uint16_t*& words) {
    const __mmask16 spills =
        _mm512_cmpge_epu32_mask(state, _mm512_slli_epi32(frequency, kRansStateBits - kRansProbabilityBits));
    const int count = static_cast<int>(_mm_popcnt_u32(spills));
    // The words are moved to the upper end of 16, so that the store ends where the words before begin.
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i packed = _mm512_permutexvar_epi32(_mm512_add_epi32(lanes, _mm512_set1_epi32(count)),
                                                    _mm512_maskz_compress_epi32(spills, state));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(words - 16), _mm512_cvtepi32_epi16(packed));
    words -= count;
    const __m512i kept = _mm512_mask_srli_epi32(state, spills, state, kRansWordBits);
    // The quotient is below 2^19, so that float32 is off by at most one, which the remainder shows.
    const __m512i estimate =
        _mm512_cvttps_epi32(_mm512_div_ps(_mm512_cvtepi32_ps(kept), _mm512_cvtepi32_ps(frequency)));
    const __m512i remainder = _mm512_sub_epi32(kept, _mm512_mullo_epi32(estimate, frequency));
    const __m512i one = _mm512_set1_epi32(1);
    const __mmask16 large = _mm512_cmplt_epi32_mask(remainder, _mm512_setzero_si512());
    const __mmask16 small = _mm512_cmpge_epi32_mask(remainder, frequency);
    __m512i quotient = _mm512_mask_sub_epi32(estimate, large, estimate, one);
    quotient = _mm512_mask_add_epi32(quotient, small, quotient, one);
    // quotient * total + remainder + first, where remainder = kept - quotient * frequency.
    state = _mm512_add_epi32(_mm512_add_epi32(kept, first),
                             _mm512_mullo_epi32(quotient, _mm512_sub_epi32(_mm512_set1_epi32(kRansTotal), frequency)));
}

/// A stream whose states are in registers.
template <class Table> struct PushState {
    Half low;
    Half high;
    Table table;
    std::uint16_t* words;
    const std::uint8_t* symbols;
    __mmask32 missing = 0;

    KVSCOPE_AVX512 explicit PushState(const EncodeLane& stream)
        : low(_mm512_loadu_si512(stream.states))
        , high(_mm512_loadu_si512(stream.states + 16))
        , table(stream)
        , words(stream.words)
        , symbols(stream.symbols) {}

    KVSCOPE_AVX512 void push() {
        symbols -= kRansLanes;
        const Looked looked =
            table(_mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(symbols))));
        missing |= _mm512_testn_epi16_mask(looked.frequencies, looked.frequencies);
        pushHalf(high, _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(looked.frequencies, 1)),
                 _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(looked.firstSlots, 1)), words);
        pushHalf(low, _mm512_cvtepu16_epi32(_mm512_castsi512_si256(looked.frequencies)),
                 _mm512_cvtepu16_epi32(_mm512_castsi512_si256(looked.firstSlots)), words);
    }

    KVSCOPE_AVX512 bool store(EncodeLane& stream) const {
        _mm512_storeu_si512(stream.states, low);
        _mm512_storeu_si512(stream.states + 16, high);
        stream.words = words;
        stream.symbols = symbols;
        return missing == 0;
    }
};

template <class Table> KVSCOPE_AVX512_ENTRY bool encodeTwo(EncodeLane* streams, std::int64_t steps) {
    PushState<Table> a(streams[0]);
    PushState<Table> b(streams[1]);
    for (std::int64_t step = 0; step < steps; ++step) {
        a.push();
        b.push();
    }
    const bool goodA = a.store(streams[0]);
    return b.store(streams[1]) && goodA;
}

template <class Table> KVSCOPE_AVX512_ENTRY bool encodeOne(EncodeLane* streams, std::int64_t steps) {
    PushState<Table> a(streams[0]);
    for (std::int64_t step = 0; step < steps; ++step)
        a.push();
    return a.store(streams[0]);
}

bool isNarrow(const EncodeLane& stream) {
    return stream.lastSymbol - stream.firstSymbol < 64;
}

} // namespace

void decodeAvx512(DecodeLane* streams, int count, std::int64_t steps) {
    if (count == 4)
        decodeFour(streams, steps);
    else if (count == 2)
        decodeTwo(streams, steps);
    else
        decodeOne(streams, steps);
}

bool encodeAvx512(EncodeLane* streams, int count, std::int64_t steps) {
    bool good = true;
    for (int i = 0; i < count; i += 2) {
        if (count == 1)
            return isNarrow(streams[0]) ? encodeOne<NarrowTable>(streams, steps) : encodeOne<WideTable>(streams, steps);
        const bool narrow = isNarrow(streams[i]) && isNarrow(streams[i + 1]);
        good = (narrow ? encodeTwo<NarrowTable>(streams + i, steps) : encodeTwo<WideTable>(streams + i, steps)) && good;
    }
    return good;
}

} // namespace kvscope::rans

#endif
