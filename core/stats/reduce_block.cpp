// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/reduce_block.h"

#include "core/base/float_formats.h"
#include "core/stats/merge_cells.h"

#include <cmath>
#include <cstring>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/stats/reduce_block.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#ifndef KVSCOPE_REDUCE_BLOCK_SHARED
#define KVSCOPE_REDUCE_BLOCK_SHARED
namespace kvscope {

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

/// One register of values as stored, and how its extremes are kept: 16-bit values as whole numbers of the same order,
/// which fill a register twice as densely as floats and leave the units that add floats free.
template <DType Type, class DF> struct Extremes {
    using D = hn::Repartition<std::int16_t, DF>;
    using Values = hn::Vec<D>;
    using Halved = hn::Rebind<std::conditional_t<Type == DType::F16, hwy::float16_t, hwy::bfloat16_t>, DF>;

    /// Stored bits to ordered whole numbers; its own inverse.
    template <class DW> static HWY_INLINE hn::Vec<DW> order(DW dw, hn::Vec<DW> bits) {
        return hn::Xor(bits, hn::And(hn::ShiftRight<15>(bits), hn::Set(dw, std::int16_t{0x7FFF})));
    }
    static HWY_INLINE Values load(const std::byte* at) {
        return order(D(), hn::LoadU(D(), reinterpret_cast<const std::int16_t*>(at)));
    }
    static HWY_INLINE void store(Values values, float* target) {
        const DF df;
        const hn::Half<D> half;
        const auto bits = order(D(), values);
        hn::StoreU(hn::PromoteTo(df, hn::BitCast(Halved(), hn::LowerHalf(half, bits))), df, target);
        hn::StoreU(hn::PromoteTo(df, hn::BitCast(Halved(), hn::UpperHalf(half, bits))), df, target + hn::Lanes(df));
    }
    /// Half as many lanes as floats.
    template <class Op> static HWY_INLINE hn::Vec<DF> folded(Values values, Op op) {
        const hn::Half<D> half;
        return hn::PromoteTo(
            DF(), hn::BitCast(Halved(), order(half, op(hn::LowerHalf(half, values), hn::UpperHalf(half, values)))));
    }
};

template <class DF> struct Extremes<DType::F32, DF> {
    using D = DF;
    using Values = hn::Vec<DF>;

    static HWY_INLINE Values load(const std::byte* at) { return hn::LoadU(DF(), reinterpret_cast<const float*>(at)); }
    static HWY_INLINE void store(Values values, float* target) { hn::StoreU(values, DF(), target); }
    template <class Op> static HWY_INLINE Values folded(Values values, Op /*op*/) { return values; }
};

/// Four rows of one vector of channels, lane by lane. Sums are multiplied by one and added: units that multiply are
/// free.
template <DType Type, class DF, class V>
HWY_INLINE void sumFourRows(DF df, const std::byte* at, std::size_t rowBytes, V& sum, V& squares) {
    const auto one = hn::Set(df, 1.0F);
    const auto x0 = loadValues<Type>(df, at);
    const auto x1 = loadValues<Type>(df, at + rowBytes);
    const auto x2 = loadValues<Type>(df, at + 2 * rowBytes);
    const auto x3 = loadValues<Type>(df, at + 3 * rowBytes);
    sum = hn::Add(hn::MulAdd(x0, one, x1), hn::MulAdd(x2, one, x3));
    squares = hn::MulAdd(x3, x3, hn::MulAdd(x2, x2, hn::MulAdd(x1, x1, hn::Mul(x0, x0))));
}

/// Statistics of one head cell while a block's columns pass, each as a vector of float.
constexpr std::size_t kStatistics = 4;

/// One register of neighbouring channels through `cells` times four rows: starts the sums of its channels, and joins
/// what each four rows give to `lanes`, or starts them when `First`.
template <DType Type, bool First, class DF>
HWY_INLINE void sumColumns(DF df, const std::byte* at, std::size_t rowBytes, std::size_t cells, float* lanes,
                           BlockSums channels) {
    using Ends = Extremes<Type, DF>;
    const typename Ends::D de;
    const std::size_t width = hn::Lanes(df);
    const std::size_t next = width * static_cast<std::size_t>(sizeOf(Type));
    auto lowest = Ends::load(at);
    auto highest = lowest;
    auto sum0 = hn::Zero(df);
    auto sum1 = sum0;
    auto squares0 = sum0;
    auto squares1 = sum0;
    for (std::size_t cell = 0; cell < cells; ++cell, at += kHeadTokens * rowBytes, lanes += kStatistics * width) {
        const auto e0 = Ends::load(at);
        const auto e1 = Ends::load(at + rowBytes);
        const auto e2 = Ends::load(at + 2 * rowBytes);
        const auto e3 = Ends::load(at + 3 * rowBytes);
        auto low = hn::Min(hn::Min(e0, e1), hn::Min(e2, e3));
        auto high = hn::Max(hn::Max(e0, e1), hn::Max(e2, e3));
        lowest = hn::Min(lowest, low);
        highest = hn::Max(highest, high);
        auto sum = sum0;
        auto squares = sum0;
        sumFourRows<Type>(df, at, rowBytes, sum, squares);
        sum0 = hn::Add(sum0, sum);
        squares0 = hn::Add(squares0, squares);
        if constexpr (sizeOf(Type) == 2) {
            auto more = sum;
            auto moreSquares = sum;
            sumFourRows<Type>(df, at + next, rowBytes, more, moreSquares);
            sum1 = hn::Add(sum1, more);
            squares1 = hn::Add(squares1, moreSquares);
            sum = hn::Add(sum, more);
            squares = hn::Add(squares, moreSquares);
        }
        if constexpr (!First) {
            low = hn::Min(low, hn::BitCast(de, hn::Load(df, lanes)));
            high = hn::Max(high, hn::BitCast(de, hn::Load(df, lanes + width)));
            sum = hn::Add(sum, hn::Load(df, lanes + 2 * width));
            squares = hn::Add(squares, hn::Load(df, lanes + 3 * width));
        }
        hn::Store(hn::BitCast(df, low), df, lanes);
        hn::Store(hn::BitCast(df, high), df, lanes + width);
        hn::Store(sum, df, lanes + 2 * width);
        hn::Store(squares, df, lanes + 3 * width);
    }
    Ends::store(lowest, channels.min);
    Ends::store(highest, channels.max);
    hn::StoreU(sum0, df, channels.sum);
    hn::StoreU(squares0, df, channels.squares);
    if constexpr (sizeOf(Type) == 2) {
        hn::StoreU(sum1, df, channels.sum + width);
        hn::StoreU(squares1, df, channels.squares + width);
    }
}

/// Joins the lanes of four head cells, made by sumColumns, to the cells.
template <DType Type, class DF> HWY_INLINE void foldCells(DF df, const float* lanes, BlockSums cells) {
    using Ends = Extremes<Type, DF>;
    const typename Ends::D de;
    const std::size_t width = hn::Lanes(df);
    const std::size_t step = kStatistics * width;
    const auto foldEnds = [&](const float* at, auto op, float* target) {
        const auto fold = [&](std::size_t cell) {
            return Ends::folded(hn::BitCast(de, hn::Load(df, at + cell * step)), op);
        };
        reduceFour(df, fold(0), fold(1), fold(2), fold(3), op, target);
    };
    const auto foldSums = [&](const float* at, float* target) {
        reduceFour(df, hn::Load(df, at), hn::Load(df, at + step), hn::Load(df, at + 2 * step),
                   hn::Load(df, at + 3 * step), SumOf(), target);
    };
    foldEnds(lanes, MinOf(), cells.min);
    foldEnds(lanes + width, MaxOf(), cells.max);
    foldSums(lanes + 2 * width, cells.sum);
    foldSums(lanes + 3 * width, cells.squares);
}

/// Channels [begin, end) of one head in `cells` (a multiple of four) times four rows: starts the channels' sums and
/// joins the head's cells.
template <DType Type, class DF>
HWY_INLINE void sumHead(DF df, const std::byte* rows, std::size_t rowBytes, std::size_t cells, std::size_t begin,
                        std::size_t end, BlockSums channels, BlockSums head) {
    constexpr auto kSize = static_cast<std::size_t>(sizeOf(Type));
    const std::size_t columns = hn::Lanes(df) * sizeof(float) / kSize;
    if (begin + columns <= end) {
        HWY_ALIGN float lanes[kBlockHeadCells * kStatistics * hn::MaxLanes(DF())];
        sumColumns<Type, true>(df, rows + begin * kSize, rowBytes, cells, lanes, channels.at(begin));
        for (begin += columns; begin + columns <= end; begin += columns)
            sumColumns<Type, false>(df, rows + begin * kSize, rowBytes, cells, lanes, channels.at(begin));
        for (std::size_t cell = 0; cell < cells; cell += 4)
            foldCells<Type>(df, lanes + cell * kStatistics * hn::Lanes(df), head.at(cell));
    }
    if (begin == end)
        return;
    if constexpr (hn::MaxLanes(DF()) > 4)
        sumHead<Type>(hn::Half<DF>(), rows, rowBytes, cells, begin, end, channels, head);
    else
        plainRows<Type, true>(rows, rowBytes, cells * kHeadTokens, begin, end, channels, head);
}
#else
/// As above, without vectors.
template <DType Type, class DF>
void sumHead(DF /*df*/, const std::byte* rows, std::size_t rowBytes, std::size_t cells, std::size_t begin,
             std::size_t end, BlockSums channels, BlockSums head) {
    plainRows<Type, true>(rows, rowBytes, cells * kHeadTokens, begin, end, channels, head);
}
#endif

/// Sums of a block, before widening; `perHead` holds empty cells.
template <DType Type>
HWY_INLINE void sumBlock(const StoredRows& stored, std::size_t heads, std::size_t headDim, BlockSums channels,
                         BlockSums perHead) {
    const hn::ScalableTag<float> df;
    const std::size_t whole = stored.rows / 16 * 16;
    for (std::size_t head = 0; head < heads; ++head) {
        const std::byte* const first = stored.first + head * stored.headBytes;
        const BlockSums own = channels.at(head * headDim);
        const BlockSums cells = perHead.at(head * kBlockHeadCells);
        if (whole > 0)
            sumHead<Type>(df, first, stored.rowBytes, whole / kHeadTokens, 0, headDim, own, cells);
        if (whole == 0)
            plainRows<Type, true>(first, stored.rowBytes, stored.rows, 0, headDim, own, cells);
        else if (whole < stored.rows)
            plainRows<Type, false>(first + whole * stored.rowBytes, stored.rowBytes, stored.rows - whole, 0, headDim,
                                   own, cells.at(whole / kHeadTokens));
    }
}

static void sumStored(const StoredRows& stored, std::size_t heads, std::size_t headDim, BlockSums channels,
                      BlockSums perHead) {
    if (stored.type == DType::F16)
        sumBlock<DType::F16>(stored, heads, headDim, channels, perHead);
    else if (stored.type == DType::BF16)
        sumBlock<DType::BF16>(stored, heads, headDim, channels, perHead);
    else
        sumBlock<DType::F32>(stored, heads, headDim, channels, perHead);
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

} // namespace kvscope::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kvscope {

HWY_EXPORT(sumStored);
HWY_EXPORT(needsDouble);
HWY_EXPORT(widenSums);

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
    , scratch_(4 * heads * headDim + 2 * heads * kBlockHeadCells) {}

std::optional<BlockSums> BlockReducer::reduceInFloat(const StoredRows& stored, CellSumsView heads) {
    const std::size_t channelCells = heads_ * headDim_;
    const std::size_t headCells = heads_ * kBlockHeadCells;
    float* const scratch = scratch_.data();
    const BlockSums perChannel{scratch, scratch + channelCells, scratch + 2 * channelCells, scratch + 3 * channelCells};
    float* const headSums = scratch + 4 * channelCells;
    const BlockSums perHead{heads.min, heads.max, headSums, headSums + headCells};
    std::fill_n(perHead.min, headCells, std::numeric_limits<float>::infinity());
    std::fill_n(perHead.max, headCells, -std::numeric_limits<float>::infinity());
    std::fill_n(perHead.sum, 2 * headCells, 0.0F);
    HWY_DYNAMIC_DISPATCH(sumStored)(stored, heads_, headDim_, perChannel, perHead);
    if (HWY_DYNAMIC_DISPATCH(needsDouble)(perChannel, channelCells) ||
        HWY_DYNAMIC_DISPATCH(needsDouble)(perHead, headCells))
        return std::nullopt;
    HWY_DYNAMIC_DISPATCH(widenSums)(perHead.sum, heads.sum, headCells);
    HWY_DYNAMIC_DISPATCH(widenSums)(perHead.squares, heads.squares, headCells);
    std::fill_n(heads.nonFinite, headCells, 0.0F);
    for (std::size_t cell = 0; cell < headCells; ++cell) {
        const std::size_t first = std::min(cell % kBlockHeadCells * kHeadTokens, stored.rows);
        heads.count[cell] = static_cast<float>(std::min(stored.rows - first, kHeadTokens) * headDim_);
    }
    return perChannel;
}

void BlockReducer::reduce(const StoredRows& stored, CellSumsView channels, CellSumsView heads) {
    const std::size_t channelCells = heads_ * headDim_;
    const auto sums = reduceInFloat(stored, heads);
    if (!sums) {
        reduceInDouble(stored, channels, heads);
        return;
    }
    setEmpty(channels, channelCells);
    mergeBlock(channels, *sums, channelCells, stored.rows);
}

void BlockReducer::reduceInDouble(const StoredRows& stored, CellSumsView channels, CellSumsView heads) const {
    setEmpty(channels, heads_ * headDim_);
    setEmpty(heads, heads_ * kBlockHeadCells);
    for (std::size_t row = 0; row < stored.rows; ++row) {
        for (std::size_t head = 0; head < heads_; ++head) {
            const std::byte* at = stored.first + row * stored.rowBytes + head * stored.headBytes;
            for (std::size_t dim = 0; dim < headDim_; ++dim, at += sizeOf(stored.type)) {
                const float value = loadAs(stored.type, at);
                addValue(value, channels, head * headDim_ + dim);
                addValue(value, heads, head * kBlockHeadCells + row / kHeadTokens);
            }
        }
    }
}

} // namespace kvscope
#endif
