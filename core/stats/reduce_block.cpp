// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/reduce_block.h"

#include "core/base/float_formats.h"
#include "core/stats/cell_sum.h"

#include <cmath>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/stats/reduce_block.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#ifndef KVSCOPE_REDUCE_BLOCK_SHARED
#define KVSCOPE_REDUCE_BLOCK_SHARED
namespace kvscope {

/// Float sums of some cells within a block.
struct BlockSums {
    float* min = nullptr;
    float* max = nullptr;
    float* sum = nullptr;
    float* squares = nullptr;

    [[nodiscard]] BlockSums at(std::size_t offset) const {
        return {min + offset, max + offset, sum + offset, squares + offset};
    }
};

/// Below this a value's square loses precision in float.
constexpr float kSmallestSquared = 1e-15F;

/// One stored value as float; the pointer needs no alignment.
template <DType Type> float loadValue(const std::byte* at) {
    if constexpr (Type == DType::F32) {
        float value = 0;
        std::memcpy(&value, at, sizeof value);
        return value;
    } else {
        std::uint16_t bits = 0;
        std::memcpy(&bits, at, sizeof bits);
        return Type == DType::F16 ? floatFromHalf(bits) : floatFromBfloat(bits);
    }
}

/// Channels [begin, end) of one head in up to 16 rows, value by value: into the channels' sums (which they start when
/// `First`) and into the head's next cells.
template <DType Type, bool First>
void plainRows(const std::byte* rows, std::size_t rowBytes, std::size_t count, std::size_t begin, std::size_t end,
               BlockSums channels, BlockSums head) {
    for (std::size_t channel = begin; First && channel < end; ++channel) {
        *channels.at(channel).min = std::numeric_limits<float>::infinity();
        *channels.at(channel).max = -std::numeric_limits<float>::infinity();
        *channels.at(channel).sum = 0;
        *channels.at(channel).squares = 0;
    }
    for (std::size_t row = 0; row < count; ++row) {
        for (std::size_t channel = begin; channel < end; ++channel) {
            const float value =
                loadValue<Type>(rows + row * rowBytes + channel * static_cast<std::size_t>(sizeOf(Type)));
            for (const BlockSums& cell : {channels.at(channel), head.at(row / kHeadTokens)}) {
                *cell.min = std::min(*cell.min, value);
                *cell.max = std::max(*cell.max, value);
                *cell.sum += value;
                *cell.squares += value * value;
            }
        }
    }
}

} // namespace kvscope
#endif

HWY_BEFORE_NAMESPACE();
namespace kvscope::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <DType Type, class DF> HWY_INLINE hn::Vec<DF> loadValues(DF df, const std::byte* at) {
    if constexpr (Type == DType::F32)
        return hn::LoadU(df, reinterpret_cast<const float*>(at));
    else if constexpr (Type == DType::F16)
        return hn::PromoteTo(df,
                             hn::LoadU(hn::Rebind<hwy::float16_t, DF>(), reinterpret_cast<const hwy::float16_t*>(at)));
    else
        return hn::PromoteTo(
            df, hn::LoadU(hn::Rebind<hwy::bfloat16_t, DF>(), reinterpret_cast<const hwy::bfloat16_t*>(at)));
}

struct MinOf {
    template <class V> HWY_INLINE V operator()(V a, V b) const { return hn::Min(a, b); }
};
struct MaxOf {
    template <class V> HWY_INLINE V operator()(V a, V b) const { return hn::Max(a, b); }
};
struct SumOf {
    template <class V> HWY_INLINE V operator()(V a, V b) const { return hn::Add(a, b); }
};

#if HWY_TARGET != HWY_SCALAR
/// Folds the 128-bit blocks of v onto each other and joins the four lanes left to target[0..3].
template <class DF, class V, class Op> HWY_INLINE void foldInto(DF df, V v, Op op, float* target) {
    if constexpr (hn::MaxLanes(DF()) == 4) {
        hn::StoreU(op(hn::LoadU(df, target), v), df, target);
    } else {
        const hn::Half<DF> half;
        foldInto(half, op(hn::LowerHalf(half, v), hn::UpperHalf(half, v)), op, target);
    }
}

/// Reduces the lanes of a, b, c, d to one value each and joins them to target[0..3].
template <class DF, class V, class Op> HWY_INLINE void reduceFour(DF df, V a, V b, V c, V d, Op op, float* target) {
    const hn::Repartition<std::uint64_t, DF> pairs;
    const auto ab = hn::BitCast(pairs, op(hn::InterleaveLower(df, a, b), hn::InterleaveUpper(df, a, b)));
    const auto cd = hn::BitCast(pairs, op(hn::InterleaveLower(df, c, d), hn::InterleaveUpper(df, c, d)));
    foldInto(
        df,
        op(hn::BitCast(df, hn::InterleaveLower(pairs, ab, cd)), hn::BitCast(df, hn::InterleaveUpper(pairs, ab, cd))),
        op, target);
}

/// Statistics of one lane each.
template <class V> struct LaneSums {
    V min;
    V max;
    V sum;
    V squares;
};

/// Four rows of the same channels, lane by lane.
template <DType Type, class DF>
HWY_INLINE LaneSums<hn::Vec<DF>> fourRows(DF df, const std::byte* at, std::size_t rowBytes) {
    const auto x0 = loadValues<Type>(df, at);
    const auto x1 = loadValues<Type>(df, at + rowBytes);
    const auto x2 = loadValues<Type>(df, at + 2 * rowBytes);
    const auto x3 = loadValues<Type>(df, at + 3 * rowBytes);
    return {hn::Min(hn::Min(x0, x1), hn::Min(x2, x3)), hn::Max(hn::Max(x0, x1), hn::Max(x2, x3)),
            hn::Add(hn::Add(x0, x1), hn::Add(x2, x3)),
            hn::MulAdd(x3, x3, hn::MulAdd(x2, x2, hn::MulAdd(x1, x1, hn::Mul(x0, x0))))};
}

template <class V> HWY_INLINE void join(LaneSums<V>& to, const LaneSums<V>& from) {
    to.min = hn::Min(to.min, from.min);
    to.max = hn::Max(to.max, from.max);
    to.sum = hn::Add(to.sum, from.sum);
    to.squares = hn::Add(to.squares, from.squares);
}

/// Four rows into the channels' lanes and into the head's.
template <DType Type, class DF>
HWY_INLINE void addFour(DF df, const std::byte* at, std::size_t rowBytes, LaneSums<hn::Vec<DF>>& channels,
                        LaneSums<hn::Vec<DF>>& head) {
    const auto four = fourRows<Type>(df, at, rowBytes);
    join(head, four);
    join(channels, four);
}

/// Joins lanes to the channels they belong to, or starts them.
template <bool First, class DF> HWY_INLINE void joinChannels(DF df, LaneSums<hn::Vec<DF>>& lanes, BlockSums channels) {
    if constexpr (!First)
        join(lanes, LaneSums<hn::Vec<DF>>{hn::LoadU(df, channels.min), hn::LoadU(df, channels.max),
                                          hn::LoadU(df, channels.sum), hn::LoadU(df, channels.squares)});
    hn::StoreU(lanes.min, df, channels.min);
    hn::StoreU(lanes.max, df, channels.max);
    hn::StoreU(lanes.sum, df, channels.sum);
    hn::StoreU(lanes.squares, df, channels.squares);
}

/// Channels [begin, end) of one head in sixteen rows: into the channels' sums (which they start when `First`) and into
/// the head's next four cells.
template <DType Type, bool First, class DF>
HWY_INLINE void sixteenRows(DF df, const std::byte* rows, std::size_t rowBytes, std::size_t begin, std::size_t end,
                            BlockSums channels, BlockSums head) {
    constexpr auto kSize = static_cast<std::size_t>(sizeOf(Type));
    const std::size_t lanes = hn::Lanes(df);
    if (begin + lanes <= end) {
        const auto highest = hn::Set(df, std::numeric_limits<float>::infinity());
        const LaneSums<hn::Vec<DF>> none{highest, hn::Neg(highest), hn::Zero(df), hn::Zero(df)};
        LaneSums<hn::Vec<DF>> head0 = none;
        LaneSums<hn::Vec<DF>> head1 = none;
        LaneSums<hn::Vec<DF>> head2 = none;
        LaneSums<hn::Vec<DF>> head3 = none;
        for (; begin + lanes <= end; begin += lanes) {
            const std::byte* const at = rows + begin * kSize;
            auto all = fourRows<Type>(df, at, rowBytes);
            join(head0, all);
            addFour<Type>(df, at + 4 * rowBytes, rowBytes, all, head1);
            addFour<Type>(df, at + 8 * rowBytes, rowBytes, all, head2);
            addFour<Type>(df, at + 12 * rowBytes, rowBytes, all, head3);
            joinChannels<First>(df, all, channels.at(begin));
        }
        reduceFour(df, head0.min, head1.min, head2.min, head3.min, MinOf(), head.min);
        reduceFour(df, head0.max, head1.max, head2.max, head3.max, MaxOf(), head.max);
        reduceFour(df, head0.sum, head1.sum, head2.sum, head3.sum, SumOf(), head.sum);
        reduceFour(df, head0.squares, head1.squares, head2.squares, head3.squares, SumOf(), head.squares);
    }
    if (begin == end)
        return;
    if constexpr (hn::MaxLanes(DF()) > 4)
        sixteenRows<Type, First>(hn::Half<DF>(), rows, rowBytes, begin, end, channels, head);
    else
        plainRows<Type, First>(rows, rowBytes, 16, begin, end, channels, head);
}
#else
/// As above, without vectors.
template <DType Type, bool First, class DF>
void sixteenRows(DF /*df*/, const std::byte* rows, std::size_t rowBytes, std::size_t begin, std::size_t end,
                 BlockSums channels, BlockSums head) {
    plainRows<Type, First>(rows, rowBytes, 16, begin, end, channels, head);
}
#endif

/// Sums of a block, before widening; `perHead` holds empty cells.
template <DType Type>
static void sumBlock(const std::byte* stored, std::size_t rows, std::size_t heads, std::size_t headDim,
                     BlockSums channels, BlockSums perHead) {
    const hn::ScalableTag<float> df;
    const std::size_t rowBytes = heads * headDim * static_cast<std::size_t>(sizeOf(Type));
    std::size_t row = 0;
    for (; row + 16 <= rows; row += 16) {
        const std::byte* const first = stored + row * rowBytes;
        for (std::size_t head = 0; head < heads; ++head) {
            const BlockSums cells = perHead.at(head * kBlockHeadCells + row / kHeadTokens);
            if (row == 0)
                sixteenRows<Type, true>(df, first, rowBytes, head * headDim, (head + 1) * headDim, channels, cells);
            else
                sixteenRows<Type, false>(df, first, rowBytes, head * headDim, (head + 1) * headDim, channels, cells);
        }
    }
    for (std::size_t head = 0; head < heads && row < rows; ++head) {
        const BlockSums cells = perHead.at(head * kBlockHeadCells + row / kHeadTokens);
        if (row == 0)
            plainRows<Type, true>(stored, rowBytes, rows, head * headDim, (head + 1) * headDim, channels, cells);
        else
            plainRows<Type, false>(stored + row * rowBytes, rowBytes, rows - row, head * headDim, (head + 1) * headDim,
                                   channels, cells);
    }
}

static void sumF16(const std::byte* stored, std::size_t rows, std::size_t heads, std::size_t headDim,
                   BlockSums channels, BlockSums perHead) {
    sumBlock<DType::F16>(stored, rows, heads, headDim, channels, perHead);
}
static void sumBF16(const std::byte* stored, std::size_t rows, std::size_t heads, std::size_t headDim,
                    BlockSums channels, BlockSums perHead) {
    sumBlock<DType::BF16>(stored, rows, heads, headDim, channels, perHead);
}
static void sumF32(const std::byte* stored, std::size_t rows, std::size_t heads, std::size_t headDim,
                   BlockSums channels, BlockSums perHead) {
    sumBlock<DType::F32>(stored, rows, heads, headDim, channels, perHead);
}

/// Whether float was too narrow for some cell: squares that overflowed (or met NaN or infinity), or values so small
/// that their squares vanish.
static bool needsDouble(BlockSums sums, std::size_t cells) {
    const hn::ScalableTag<float> d;
    const std::size_t lanes = hn::Lanes(d);
    const auto largest = hn::Set(d, std::numeric_limits<float>::max());
    const auto smallest = hn::Set(d, kSmallestSquared);
    std::size_t i = 0;
    for (; i + lanes <= cells; i += lanes) {
        const auto magnitude = hn::Max(hn::Neg(hn::LoadU(d, sums.min + i)), hn::LoadU(d, sums.max + i));
        const auto tiny = hn::And(hn::Gt(magnitude, hn::Zero(d)), hn::Lt(magnitude, smallest));
        const auto fits = hn::Le(hn::LoadU(d, sums.squares + i), largest);
        if (!hn::AllTrue(d, hn::AndNot(tiny, fits)))
            return true;
    }
    for (; i < cells; ++i) {
        const float magnitude = std::max(-sums.min[i], sums.max[i]);
        if (!(sums.squares[i] <= std::numeric_limits<float>::max()) || (magnitude > 0 && magnitude < kSmallestSquared))
            return true;
    }
    return false;
}

static void widenSums(const float* from, double* to, std::size_t cells) {
    const hn::ScalableTag<double> dd;
    const hn::Rebind<float, decltype(dd)> df;
    std::size_t i = 0;
    for (; i + hn::Lanes(dd) <= cells; i += hn::Lanes(dd))
        hn::StoreU(hn::PromoteTo(dd, hn::LoadU(df, from + i)), dd, to + i);
    for (; i < cells; ++i)
        to[i] = static_cast<double>(from[i]);
}

template <class D, class T, class Op>
HWY_INLINE void joinArrays(D d, T* target, const T* source, std::size_t cells, Op op) {
    std::size_t i = 0;
    for (; i + hn::Lanes(d) <= cells; i += hn::Lanes(d))
        hn::StoreU(op(hn::LoadU(d, target + i), hn::LoadU(d, source + i)), d, target + i);
    const hn::CappedTag<T, 1> one;
    for (; i < cells; ++i)
        hn::StoreU(op(hn::LoadU(one, target + i), hn::LoadU(one, source + i)), one, target + i);
}

static void mergeAll(CellSumsView target, CellSumsView source, std::size_t cells) {
    const hn::ScalableTag<float> df;
    const hn::ScalableTag<double> dd;
    joinArrays(df, target.min, source.min, cells, MinOf());
    joinArrays(df, target.max, source.max, cells, MaxOf());
    joinArrays(dd, target.sum, source.sum, cells, SumOf());
    joinArrays(dd, target.squares, source.squares, cells, SumOf());
    joinArrays(df, target.count, source.count, cells, SumOf());
    joinArrays(df, target.nonFinite, source.nonFinite, cells, MaxOf());
}

/// target[i] gains source[2 i] and source[2 i + 1].
template <class D, class T, class Op>
HWY_INLINE void joinPairs(D d, T* target, const T* source, std::size_t cells, Op op) {
    std::size_t i = 0;
    for (; i + hn::Lanes(d) <= cells; i += hn::Lanes(d)) {
        hn::Vec<D> even;
        hn::Vec<D> odd;
        hn::LoadInterleaved2(d, source + 2 * i, even, odd);
        hn::StoreU(op(hn::LoadU(d, target + i), op(even, odd)), d, target + i);
    }
    const hn::CappedTag<T, 1> one;
    for (; i < cells; ++i)
        hn::StoreU(
            op(hn::LoadU(one, target + i), op(hn::LoadU(one, source + 2 * i), hn::LoadU(one, source + 2 * i + 1))), one,
            target + i);
}

static void mergeAllPairs(CellSumsView target, CellSumsView source, std::size_t cells) {
    const hn::CappedTag<float, 8> df;
    const hn::CappedTag<double, 8> dd;
    joinPairs(df, target.min, source.min, cells, MinOf());
    joinPairs(df, target.max, source.max, cells, MaxOf());
    joinPairs(dd, target.sum, source.sum, cells, SumOf());
    joinPairs(dd, target.squares, source.squares, cells, SumOf());
    joinPairs(df, target.count, source.count, cells, SumOf());
    joinPairs(df, target.nonFinite, source.nonFinite, cells, MaxOf());
}

} // namespace kvscope::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kvscope {

HWY_EXPORT(sumF16);
HWY_EXPORT(sumBF16);
HWY_EXPORT(sumF32);
HWY_EXPORT(needsDouble);
HWY_EXPORT(widenSums);
HWY_EXPORT(mergeAll);
HWY_EXPORT(mergeAllPairs);

namespace {

void setEmpty(CellSumsView sums, std::size_t cells) {
    std::fill_n(sums.min, cells, std::numeric_limits<float>::infinity());
    std::fill_n(sums.max, cells, -std::numeric_limits<float>::infinity());
    std::fill_n(sums.sum, cells, 0.0);
    std::fill_n(sums.squares, cells, 0.0);
    std::fill_n(sums.count, cells, 0.0F);
    std::fill_n(sums.nonFinite, cells, 0.0F);
}

void addValue(float value, CellSumsView sums, std::size_t cell) {
    if (!std::isfinite(value)) {
        sums.nonFinite[cell] = 1.0F;
        return;
    }
    const auto wide = static_cast<double>(value);
    sums.min[cell] = std::min(sums.min[cell], value);
    sums.max[cell] = std::max(sums.max[cell], value);
    sums.sum[cell] += wide;
    sums.squares[cell] += wide * wide;
    sums.count[cell] += 1.0F;
}

float loadAs(DType type, const std::byte* at) {
    if (type == DType::F32)
        return loadValue<DType::F32>(at);
    return type == DType::F16 ? loadValue<DType::F16>(at) : loadValue<DType::BF16>(at);
}

} // namespace

BlockReducer::BlockReducer(std::size_t heads, std::size_t headDim)
    : heads_(heads)
    , headDim_(headDim)
    , scratch_(2 * (heads * headDim + heads * kBlockHeadCells)) {}

void BlockReducer::reduce(DType type, std::span<const std::byte> stored, std::size_t rows, CellSumsView channels,
                          CellSumsView heads) {
    const std::size_t channelCells = heads_ * headDim_;
    const std::size_t headCells = heads_ * kBlockHeadCells;
    const auto blockSums = [](CellSumsView cells, float* sums, std::size_t count) {
        return BlockSums{cells.min, cells.max, sums, sums + count};
    };
    const BlockSums perChannel = blockSums(channels, scratch_.data(), channelCells);
    const BlockSums perHead = blockSums(heads, scratch_.data() + 2 * channelCells, headCells);
    std::fill_n(perHead.min, headCells, std::numeric_limits<float>::infinity());
    std::fill_n(perHead.max, headCells, -std::numeric_limits<float>::infinity());
    std::fill_n(perHead.sum, 2 * headCells, 0.0F);
    if (type == DType::F16)
        HWY_DYNAMIC_DISPATCH(sumF16)(stored.data(), rows, heads_, headDim_, perChannel, perHead);
    else if (type == DType::BF16)
        HWY_DYNAMIC_DISPATCH(sumBF16)(stored.data(), rows, heads_, headDim_, perChannel, perHead);
    else
        HWY_DYNAMIC_DISPATCH(sumF32)(stored.data(), rows, heads_, headDim_, perChannel, perHead);
    if (HWY_DYNAMIC_DISPATCH(needsDouble)(perChannel, channelCells) ||
        HWY_DYNAMIC_DISPATCH(needsDouble)(perHead, headCells)) {
        reduceInDouble(type, stored, rows, channels, heads);
        return;
    }
    const auto widen = [](BlockSums from, CellSumsView to, std::size_t cells) {
        HWY_DYNAMIC_DISPATCH(widenSums)(from.sum, to.sum, cells);
        HWY_DYNAMIC_DISPATCH(widenSums)(from.squares, to.squares, cells);
        std::fill_n(to.nonFinite, cells, 0.0F);
    };
    widen(perChannel, channels, channelCells);
    std::fill_n(channels.count, channelCells, static_cast<float>(rows));
    widen(perHead, heads, headCells);
    for (std::size_t cell = 0; cell < headCells; ++cell) {
        const std::size_t first = std::min(cell % kBlockHeadCells * kHeadTokens, rows);
        heads.count[cell] = static_cast<float>(std::min(rows - first, kHeadTokens) * headDim_);
    }
}

void BlockReducer::reduceInDouble(DType type, std::span<const std::byte> stored, std::size_t rows,
                                  CellSumsView channels, CellSumsView heads) const {
    const std::size_t channelCells = heads_ * headDim_;
    setEmpty(channels, channelCells);
    setEmpty(heads, heads_ * kBlockHeadCells);
    const std::byte* at = stored.data();
    for (std::size_t row = 0; row < rows; ++row) {
        for (std::size_t channel = 0; channel < channelCells; ++channel) {
            const float value = loadAs(type, at);
            at += sizeOf(type);
            addValue(value, channels, channel);
            addValue(value, heads, channel / headDim_ * kBlockHeadCells + row / kHeadTokens);
        }
    }
}

void mergeCells(CellSumsView target, CellSumsView source, std::size_t cells) {
    HWY_DYNAMIC_DISPATCH(mergeAll)(target, source, cells);
}

void mergeRuns(CellSumsView target, CellSumsView source, std::size_t cells, std::size_t run) {
    if (run == 2) {
        HWY_DYNAMIC_DISPATCH(mergeAllPairs)(target, source, cells);
        return;
    }
    for (std::size_t cell = 0; cell < cells; ++cell) {
        for (std::size_t i = cell * run; i < (cell + 1) * run; ++i) {
            target.min[cell] = std::min(target.min[cell], source.min[i]);
            target.max[cell] = std::max(target.max[cell], source.max[i]);
            target.sum[cell] += source.sum[i];
            target.squares[cell] += source.squares[i];
            target.count[cell] += source.count[i];
            target.nonFinite[cell] = std::max(target.nonFinite[cell], source.nonFinite[i]);
        }
    }
}

} // namespace kvscope
#endif
