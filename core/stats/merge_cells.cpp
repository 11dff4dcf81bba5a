// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/merge_cells.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/stats/merge_cells.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kvscope::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

struct MinOf {
    template <class V> HWY_INLINE V operator()(V a, V b) const { return hn::Min(a, b); }
};
struct MaxOf {
    template <class V> HWY_INLINE V operator()(V a, V b) const { return hn::Max(a, b); }
};
struct SumOf {
    template <class V> HWY_INLINE V operator()(V a, V b) const { return hn::Add(a, b); }
};

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

/// As mergeAll, for cells that saw `count` values each.
static void mergeAllOfBlock(CellSumsView target, BlockSums source, std::size_t cells, float count) {
    const hn::ScalableTag<double> dd;
    const hn::Rebind<float, decltype(dd)> dh;
    const hn::ScalableTag<float> df;
    joinArrays(df, target.min, source.min, cells, MinOf());
    joinArrays(df, target.max, source.max, cells, MaxOf());
    const auto addWidened = [&](double* to, const float* from) {
        std::size_t i = 0;
        for (; i + hn::Lanes(dd) <= cells; i += hn::Lanes(dd))
            hn::StoreU(hn::Add(hn::LoadU(dd, to + i), hn::PromoteTo(dd, hn::LoadU(dh, from + i))), dd, to + i);
        for (; i < cells; ++i)
            to[i] += static_cast<double>(from[i]);
    };
    addWidened(target.sum, source.sum);
    addWidened(target.squares, source.squares);
    std::size_t i = 0;
    for (; i + hn::Lanes(df) <= cells; i += hn::Lanes(df))
        hn::StoreU(hn::Add(hn::LoadU(df, target.count + i), hn::Set(df, count)), df, target.count + i);
    for (; i < cells; ++i)
        target.count[i] += count;
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

HWY_EXPORT(mergeAll);
HWY_EXPORT(mergeAllOfBlock);
HWY_EXPORT(mergeAllPairs);

void mergeCells(CellSumsView target, CellSumsView source, std::size_t cells) {
    HWY_DYNAMIC_DISPATCH(mergeAll)(target, source, cells);
}

void mergeBlock(CellSumsView target, BlockSums source, std::size_t cells, std::size_t count) {
    HWY_DYNAMIC_DISPATCH(mergeAllOfBlock)(target, source, cells, static_cast<float>(count));
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
