// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/rans_kernels.h"

#if defined(__x86_64__)

#include <bit>
#include <immintrin.h>

// Functions carry their instruction set as an attribute: with a flag for the whole file, inline functions of the
// standard library would be compiled for it too and could be chosen by the linker for processors without it.
#define KVSCOPE_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,popcnt"), always_inline)) inline
#define KVSCOPE_AVX512_ENTRY __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,popcnt")))
#define KVSCOPE_VBMI                                                                                                   \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,popcnt"), always_inline)) inline
#define KVSCOPE_VBMI_ENTRY __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,popcnt")))

#define KVSCOPE_VBMI2                                                                                                  \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2,popcnt"), always_inline)) inline
#define KVSCOPE_VBMI2_ENTRY __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2,popcnt")))

namespace kvscope::rans {

namespace {

/// Half of the lanes of a stream, in a register.
using Half = __m512i;

/// Gives a word to each of 16 lanes that needs one, in lane order.
KVSCOPE_AVX512 Half refill(Half popped, const std::byte*& words) {
    const __mmask16 needs = _mm512_cmplt_epu32_mask(popped, _mm512_set1_epi32(kRansStateLow));
    const __m512i next = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)));
    words += static_cast<std::size_t>(_mm_popcnt_u32(needs)) * sizeof(std::uint16_t);
    return _mm512_mask_or_epi32(popped, needs, _mm512_slli_epi32(popped, kRansWordBits),
                                _mm512_maskz_expand_epi32(needs, next));
}

/// Takes one symbol off each of 16 lanes and hands out words in lane order.
KVSCOPE_AVX512 void popHalf(Half& state, const std::uint32_t* table, const std::byte*& words, std::uint8_t* symbols) {
    const __m512i slotMask = _mm512_set1_epi32(kRansTotal - 1);
    const __m512i entry = _mm512_i32gather_epi32(_mm512_and_si512(state, slotMask), table, 4);
    const __m512i popped = _mm512_add_epi32(
        _mm512_mullo_epi32(_mm512_srli_epi32(state, kRansProbabilityBits), _mm512_srli_epi32(entry, 20)),
        _mm512_and_si512(_mm512_srli_epi32(entry, 8), slotMask));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(symbols), _mm512_cvtepi32_epi8(entry));
    state = refill(popped, words);
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

/// A RansRegisterTable in registers.
struct RegisterTable {
    __m512i direct[2];
    __m512i bucket[2];
    __m512i frequency[2];
    __m512i first[2];
    __m512i next[2];
    __m512i symbol;
    __m512i start;

    KVSCOPE_VBMI explicit RegisterTable(const RansRegisterTable& table)
        : direct{_mm512_load_si512(table.direct.data()), _mm512_load_si512(table.direct.data() + 64)}
        , bucket{_mm512_load_si512(table.bucket.data()), _mm512_load_si512(table.bucket.data() + 64)}
        , frequency{_mm512_load_si512(table.frequency.data()), _mm512_load_si512(table.frequency.data() + 32)}
        , first{_mm512_load_si512(table.first.data()), _mm512_load_si512(table.first.data() + 32)}
        , next{_mm512_load_si512(table.next.data()), _mm512_load_si512(table.next.data() + 32)}
        , symbol(_mm512_load_si512(table.symbol.data()))
        , start(_mm512_set1_epi16(static_cast<short>(table.start))) {}
};

/// Takes one symbol off each lane of a stream, for tables of so many corrections. The 16-bit numbers of lanes l and l +
/// 16 share a 32-bit element.
template <int Corrections> KVSCOPE_VBMI void popByRank(PopState& state, const RegisterTable& table) {
    constexpr __mmask64 kEvenBytes = 0x5555555555555555U;
    constexpr __mmask32 kOddWords = 0xAAAAAAAAU;
    const __m512i one = _mm512_set1_epi16(1);
    const __m512i lowWords = _mm512_set1_epi32(0xFFFF);
    const __m512i both = _mm512_mask_blend_epi16(kOddWords, state.low, _mm512_slli_epi32(state.high, 16));
    const __m512i slot = _mm512_and_si512(Corrections > 0 ? _mm512_sub_epi16(both, table.start) : both,
                                          _mm512_set1_epi16(kRansTotal - 1));

    __m512i rank =
        _mm512_maskz_permutex2var_epi8(kEvenBytes, table.bucket[0], _mm512_srli_epi16(slot, 5), table.bucket[1]);
    for (int i = 0; i < Corrections; ++i) {
        const __m512i next = _mm512_permutex2var_epi16(table.next[0], rank, table.next[1]);
        rank = _mm512_mask_add_epi16(rank, _mm512_cmpge_epu16_mask(slot, next), rank, one);
    }
    // Without corrections the table is exact: an entry has four slots.
    constexpr int kEntryShift = Corrections > 0 ? 0 : std::countr_zero(RansRegisterTable::kExactSlots);
    const __mmask32 isDirect =
        _mm512_cmplt_epu16_mask(slot, _mm512_set1_epi16(RansRegisterTable::kDirectEntries << kEntryShift));
    const __m512i direct = _mm512_maskz_permutex2var_epi8(kEvenBytes, table.direct[0],
                                                          _mm512_srli_epi16(slot, kEntryShift), table.direct[1]);
    rank = _mm512_mask_mov_epi16(rank, isDirect, direct);

    const __m512i frequency = _mm512_permutex2var_epi16(table.frequency[0], rank, table.frequency[1]);
    const __m512i offset = _mm512_sub_epi16(slot, _mm512_permutex2var_epi16(table.first[0], rank, table.first[1]));
    const __m512i low = _mm512_add_epi32(
        _mm512_mullo_epi32(_mm512_srli_epi32(state.low, kRansProbabilityBits), _mm512_and_si512(frequency, lowWords)),
        _mm512_and_si512(offset, lowWords));
    const __m512i high = _mm512_add_epi32(
        _mm512_mullo_epi32(_mm512_srli_epi32(state.high, kRansProbabilityBits), _mm512_srli_epi32(frequency, 16)),
        _mm512_srli_epi32(offset, 16));
    state.low = refill(low, state.words);
    state.high = refill(high, state.words);

    // Bytes 0, 4, 8 ... are the ranks of the low lanes, bytes 2, 6, 10 ... those of the high ones.
    const __m512i inOrder =
        _mm512_castsi256_si512(_mm256_setr_epi8(0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 2, 6, 10,
                                                14, 18, 22, 26, 30, 34, 38, 42, 46, 50, 54, 58, 62));
    const __m512i symbols = _mm512_permutexvar_epi8(_mm512_permutexvar_epi8(inOrder, rank), table.symbol);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(state.symbols), _mm512_castsi512_si256(symbols));
    state.symbols += kRansLanes;
}

template <int Corrections> KVSCOPE_VBMI_ENTRY void decodeFourByRank(DecodeLane* streams, std::int64_t steps) {
    const RegisterTable table(*streams[0].registerTable);
    PopState a = load(streams[0]);
    PopState b = load(streams[1]);
    PopState c = load(streams[2]);
    PopState d = load(streams[3]);
    for (std::int64_t step = 0; step < steps; ++step) {
        popByRank<Corrections>(a, table);
        popByRank<Corrections>(b, table);
        popByRank<Corrections>(c, table);
        popByRank<Corrections>(d, table);
    }
    store(a, streams[0]);
    store(b, streams[1]);
    store(c, streams[2]);
    store(d, streams[3]);
}

template <int Corrections> KVSCOPE_VBMI_ENTRY void decodeTwoByRank(DecodeLane* streams, std::int64_t steps) {
    const RegisterTable table(*streams[0].registerTable);
    PopState a = load(streams[0]);
    PopState b = load(streams[1]);
    for (std::int64_t step = 0; step < steps; ++step) {
        popByRank<Corrections>(a, table);
        popByRank<Corrections>(b, table);
    }
    store(a, streams[0]);
    store(b, streams[1]);
}

template <int Corrections> KVSCOPE_VBMI_ENTRY void decodeOneByRank(DecodeLane* streams, std::int64_t steps) {
    const RegisterTable table(*streams[0].registerTable);
    PopState a = load(streams[0]);
    for (std::int64_t step = 0; step < steps; ++step)
        popByRank<Corrections>(a, table);
    store(a, streams[0]);
}

template <int Corrections> void decodeByRank(DecodeLane* streams, int count, std::int64_t steps) {
    if (count == 4)
        decodeFourByRank<Corrections>(streams, steps);
    else if (count == 2)
        decodeTwoByRank<Corrections>(streams, steps);
    else
        decodeOneByRank<Corrections>(streams, steps);
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

/// A table whose symbols, 0 apart, lie within 64 neighbours; it stays in registers.
struct NarrowTable {
    Window frequencies;
    Window firstSlots;
    __m512i base;
    /// Frequency of symbol 0, whose first slot is 0.
    __m512i zeroFrequency;

    KVSCOPE_AVX512 explicit NarrowTable(const EncodeLane& stream) {
        // The window ends with the tables.
        const int begin = stream.secondSymbol < 192 ? stream.secondSymbol : 192;
        frequencies = windowAt(stream.frequencies + begin);
        firstSlots = windowAt(stream.firstSlots + begin);
        base = _mm512_set1_epi16(static_cast<short>(begin));
        zeroFrequency = _mm512_set1_epi16(static_cast<short>(stream.frequencies[0]));
    }

    KVSCOPE_AVX512 Looked operator()(__m512i symbols) const {
        const __m512i index = _mm512_sub_epi16(symbols, base);
        // Symbols outside of the window have no frequency, wherever the index wraps to; but 0 may.
        const __mmask32 inside = _mm512_cmplt_epu16_mask(index, _mm512_set1_epi16(64));
        const __mmask32 notZero = _mm512_test_epi16_mask(symbols, symbols);
        return {
            _mm512_mask_mov_epi16(zeroFrequency, notZero, _mm512_maskz_mov_epi16(inside, lookUp(frequencies, index))),
            _mm512_maskz_mov_epi16(notZero, lookUp(firstSlots, index))};
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
    // The quotient is below 2^19, and float32 with a reciprocal that is too small by 2^-21 to 2^-20 gives it or one
    // less, which the remainder shows. The reciprocal does not wait for the state.
    const __m512 divisor = _mm512_cvtepi32_ps(frequency);
    const __m512 rough = _mm512_rcp14_ps(divisor);
    const __m512 error = _mm512_fnmadd_ps(divisor, rough, _mm512_set1_ps(1 - 0x1.8p-21F));
    const __m512 reciprocal = _mm512_fmadd_ps(rough, error, rough);
    const __m512i estimate = _mm512_cvttps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(kept), reciprocal));
    const __m512i remainder = _mm512_sub_epi32(kept, _mm512_mullo_epi32(estimate, frequency));
    const __mmask16 small = _mm512_cmpge_epi32_mask(remainder, frequency);
    const __m512i quotient = _mm512_mask_add_epi32(estimate, small, estimate, _mm512_set1_epi32(1));
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

/// A stream whose states and RansPushTable are in registers.
struct SmallPushState {
    Half low;
    Half high;
    __m512i slots[2];
    __m512 reciprocal[2];
    std::uint16_t* words;
    const std::uint8_t* symbols;
    /// Of all symbols; the least frequency.
    __m256i least;
    __m256i most;
    __m512i rarest;

    KVSCOPE_VBMI2 explicit SmallPushState(const EncodeLane& stream)
        : low(_mm512_loadu_si512(stream.states))
        , high(_mm512_loadu_si512(stream.states + 16))
        , slots{_mm512_load_si512(stream.pushTable->slots.data()),
                _mm512_load_si512(stream.pushTable->slots.data() + 16)}
        , reciprocal{_mm512_load_ps(stream.pushTable->reciprocal.data()),
                     _mm512_load_ps(stream.pushTable->reciprocal.data() + 16)}
        , words(stream.words)
        , symbols(stream.symbols)
        , least(_mm256_set1_epi8(-1))
        , most(_mm256_setzero_si256())
        , rarest(_mm512_set1_epi32(-1)) {}

    /// What a symbol of 16 lanes does to them once they have given their words away.
    struct Change {
        __m512i frequency;
        __m512i first;
        __m512 reciprocal;
        __mmask16 spills;
    };

    KVSCOPE_VBMI2 Change look(Half state, __m128i some) {
        const __m512i index = _mm512_cvtepu8_epi32(some);
        const __m512i slot = _mm512_permutex2var_epi32(slots[0], index, slots[1]);
        const __m512i frequency = _mm512_and_si512(slot, _mm512_set1_epi32(0xFFFF));
        rarest = _mm512_min_epu32(rarest, frequency);
        return {frequency, _mm512_srli_epi32(slot, 16), _mm512_permutex2var_ps(reciprocal[0], index, reciprocal[1]),
                _mm512_cmpge_epu32_mask(state, _mm512_slli_epi32(frequency, kRansStateBits - kRansProbabilityBits))};
    }

    /// As pushHalf().
    KVSCOPE_VBMI2 static Half apply(Half state, const Change& change) {
        const __m512i kept = _mm512_mask_srli_epi32(state, change.spills, state, kRansWordBits);
        const __m512i estimate = _mm512_cvttps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(kept), change.reciprocal));
        const __m512i remainder = _mm512_sub_epi32(kept, _mm512_mullo_epi32(estimate, change.frequency));
        const __mmask16 small = _mm512_cmpge_epi32_mask(remainder, change.frequency);
        // Where the estimate is one short, a total goes to the quotient and a frequency from the remainder.
        const __m512i missing = _mm512_sub_epi32(_mm512_set1_epi32(kRansTotal), change.frequency);
        const __m512i rough = _mm512_add_epi32(_mm512_slli_epi32(estimate, kRansProbabilityBits),
                                               _mm512_add_epi32(remainder, change.first));
        return _mm512_mask_add_epi32(rough, small, rough, missing);
    }

    KVSCOPE_VBMI2 void push() {
        symbols -= kRansLanes;
        const __m256i some = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(symbols));
        least = _mm256_min_epu8(least, some);
        most = _mm256_max_epu8(most, some);
        const Change lower = look(low, _mm256_castsi256_si128(some));
        const Change upper = look(high, _mm256_extracti128_si256(some, 1));
        // The words of both halves, in lane order, moved to the upper end of 32 as pushHalf() does.
        const __m512i lanes = _mm512_set_epi16(31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14,
                                               13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        const __m512i even = _mm512_slli_epi16(lanes, 1);
        const __mmask32 spills = _mm512_kunpackw(upper.spills, lower.spills);
        const int count = static_cast<int>(_mm_popcnt_u32(spills));
        const __m512i given = _mm512_maskz_compress_epi16(spills, _mm512_permutex2var_epi16(low, even, high));
        const __m512i packed =
            _mm512_permutexvar_epi16(_mm512_add_epi16(lanes, _mm512_set1_epi16(static_cast<short>(count))), given);
        _mm512_storeu_si512(words - kRansLanes, packed);
        words -= count;
        low = apply(low, lower);
        high = apply(high, upper);
    }

    KVSCOPE_VBMI2 bool store(EncodeLane& stream) const {
        _mm512_storeu_si512(stream.states, low);
        _mm512_storeu_si512(stream.states + 16, high);
        stream.words = words;
        stream.symbols = symbols;
        const __m256i first = _mm256_set1_epi8(static_cast<char>(stream.pushTable->firstSymbol));
        const __m256i last = _mm256_set1_epi8(static_cast<char>(stream.pushTable->lastSymbol));
        return (_mm256_cmplt_epu8_mask(least, first) | _mm256_cmpgt_epu8_mask(most, last)) == 0 &&
               _mm512_testn_epi32_mask(rarest, rarest) == 0;
    }
};

KVSCOPE_VBMI2_ENTRY bool encodeTwoSmall(EncodeLane* streams, std::int64_t steps) {
    SmallPushState a(streams[0]);
    SmallPushState b(streams[1]);
    for (std::int64_t step = 0; step < steps; ++step) {
        a.push();
        b.push();
    }
    const bool goodA = a.store(streams[0]);
    return b.store(streams[1]) && goodA;
}

bool isNarrow(const EncodeLane& stream) {
    return stream.lastSymbol - stream.secondSymbol < 64;
}

} // namespace

void decodeAvx512(DecodeLane* streams, int count, std::int64_t steps) {
    const RansRegisterTable* const table = streams[0].registerTable;
    bool shared = true;
    for (int i = 1; i < count; ++i)
        shared = shared && streams[i].registerTable == table;
    const bool byRank = __builtin_cpu_supports("avx512vbmi") && table->fits;
    if (shared && byRank && table->corrections == 0) {
        decodeByRank<0>(streams, count, steps);
    } else if (shared && byRank && table->corrections == 1) {
        decodeByRank<1>(streams, count, steps);
    } else if (shared && byRank && table->corrections == 2) {
        decodeByRank<2>(streams, count, steps);
    } else if (shared && byRank) {
        decodeByRank<3>(streams, count, steps);
    } else if (byRank) {
        decodeAvx512(streams, count / 2, steps);
        decodeAvx512(streams + count / 2, count / 2, steps);
    } else if (count == 4) {
        decodeFour(streams, steps);
    } else if (count == 2) {
        decodeTwo(streams, steps);
    } else {
        decodeOne(streams, steps);
    }
}

bool encodeAvx512(EncodeLane* streams, int count, std::int64_t steps) {
    bool good = true;
    const bool compresses = __builtin_cpu_supports("avx512vbmi2");
    for (int i = 0; i < count; i += 2) {
        if (count == 1)
            return isNarrow(streams[0]) ? encodeOne<NarrowTable>(streams, steps) : encodeOne<WideTable>(streams, steps);
        const bool small = compresses && streams[i].pushTable->fits && streams[i + 1].pushTable->fits;
        const bool narrow = isNarrow(streams[i]) && isNarrow(streams[i + 1]);
        const auto loop = small ? encodeTwoSmall : narrow ? encodeTwo<NarrowTable> : encodeTwo<WideTable>;
        good = loop(streams + i, steps) && good;
    }
    return good;
}

} // namespace kvscope::rans

#endif
