// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/kernels.h"

#include <algorithm>
#include <cmath>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/stats/kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kvscope::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Doubles = hn::ScalableTag<double>;
using Floats = hn::Rebind<float, Doubles>;
using DoubleVec = hn::Vec<Doubles>;

/// Adds up `count` doubles in the order of their lanes.
double sumLanes(DoubleVec v) {
    HWY_ALIGN double lanes[hn::MaxLanes(Doubles())];
    const Doubles d;
    hn::Store(v, d, lanes);
    double sum = 0;
    for (std::size_t i = 0; i < hn::Lanes(d); ++i)
        sum += lanes[i];
    return sum;
}

double maxLanes(DoubleVec v) {
    HWY_ALIGN double lanes[hn::MaxLanes(Doubles())];
    const Doubles d;
    hn::Store(v, d, lanes);
    return *std::max_element(lanes, lanes + hn::Lanes(d));
}

/// The lanes of one group of channels, spread into the output.
void storeMoments(std::size_t lanes, std::int64_t rows, const double* sums, Moments* out) {
    enum Row : std::size_t { Count, Zeros, Tiny, Min, Max, Mean, Abs, M2, M3, M4 };
    for (std::size_t i = 0; i < lanes; ++i) {
        Moments& m = out[i];
        m = Moments{};
        m.count = static_cast<std::int64_t>(sums[Count * lanes + i]);
        m.nonFinite = rows - m.count;
        if (m.count == 0)
            continue;
        m.zeros = static_cast<std::int64_t>(sums[Zeros * lanes + i]);
        m.denormals = static_cast<std::int64_t>(sums[Tiny * lanes + i]);
        m.min = sums[Min * lanes + i];
        m.max = sums[Max * lanes + i];
        m.mean = sums[Mean * lanes + i];
        m.sumAbs = sums[Abs * lanes + i];
        m.m2 = sums[M2 * lanes + i];
        m.m3 = sums[M3 * lanes + i];
        m.m4 = sums[M4 * lanes + i];
    }
}

/// One group of Lanes(d) neighbouring channels: means first, then powers of the deviations from them. `column` keeps
/// the rows * lanes values between the two, side by side: rows of a plane often lie a power of two apart and would push
/// each other out of the cache.
template <class D>
void channelGroup(D d, const float* first, std::int64_t rows, std::int64_t stride, float smallestNormal, double* column,
                  Moments* out) {
    const hn::Rebind<float, D> df;
    const std::size_t lanes = hn::Lanes(d);
    const auto zero = hn::Zero(d);
    const auto one = hn::Set(d, 1.0);
    const auto normal = hn::Set(d, static_cast<double>(smallestNormal));
    auto count = zero;
    auto zeros = zero;
    auto tiny = zero;
    auto sum = zero;
    auto sumAbs = zero;
    auto least = hn::Set(d, std::numeric_limits<double>::infinity());
    auto most = hn::Neg(least);
    const float* row = first;
    for (std::int64_t t = 0; t < rows; ++t, row += stride) {
        const auto raw = hn::PromoteTo(d, hn::LoadU(df, row));
        hn::StoreU(raw, d, column + static_cast<std::size_t>(t) * lanes);
        const auto finite = hn::IsFinite(raw);
        const auto x = hn::IfThenElseZero(finite, raw);
        const auto magnitude = hn::Abs(x);
        count = hn::Add(count, hn::IfThenElseZero(finite, one));
        zeros = hn::Add(zeros, hn::IfThenElseZero(hn::Eq(raw, zero), one));
        tiny = hn::Add(tiny, hn::IfThenElseZero(hn::And(finite, hn::Lt(magnitude, normal)), one));
        sum = hn::Add(sum, x);
        sumAbs = hn::Add(sumAbs, magnitude);
        least = hn::Min(least, hn::IfThenElse(finite, raw, least));
        most = hn::Max(most, hn::IfThenElse(finite, raw, most));
    }
    const auto mean = hn::Div(sum, hn::Max(count, one));
    auto m2 = zero;
    auto m3 = zero;
    auto m4 = zero;
    for (std::size_t t = 0; t < static_cast<std::size_t>(rows); ++t) {
        const auto raw = hn::LoadU(d, column + t * lanes);
        const auto deviation = hn::IfThenElseZero(hn::IsFinite(raw), hn::Sub(raw, mean));
        const auto square = hn::Mul(deviation, deviation);
        m2 = hn::Add(m2, square);
        m3 = hn::Add(m3, hn::Mul(square, deviation));
        m4 = hn::Add(m4, hn::Mul(square, square));
    }
    HWY_ALIGN double sums[10 * hn::MaxLanes(Doubles())];
    const decltype(zero) all[10] = {count, zeros, hn::Sub(tiny, zeros), least, most, mean, sumAbs, m2, m3, m4};
    for (std::size_t i = 0; i < 10; ++i)
        hn::StoreU(all[i], d, sums + i * lanes);
    storeMoments(lanes, rows, sums, out);
}

void channelMomentsImpl(const float* rows, std::int64_t tokens, std::int64_t channels, float smallestNormal,
                        Moments* out) {
    const Doubles d;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    std::vector<double> column(static_cast<std::size_t>(tokens * lanes));
    std::int64_t c = 0;
    for (; c + lanes <= channels; c += lanes)
        channelGroup(d, rows + c, tokens, channels, smallestNormal, column.data(), out + c);
    for (; c < channels; ++c)
        channelGroup(hn::CappedTag<double, 1>(), rows + c, tokens, channels, smallestNormal, column.data(), out + c);
}

void subtractImpl(const float* minuend, const float* subtrahend, float* out, std::size_t count) {
    const hn::ScalableTag<float> d;
    const std::size_t lanes = hn::Lanes(d);
    std::size_t i = 0;
    for (; i + lanes <= count; i += lanes)
        hn::StoreU(hn::Sub(hn::LoadU(d, minuend + i), hn::LoadU(d, subtrahend + i)), d, out + i);
    for (; i < count; ++i)
        out[i] = minuend[i] - subtrahend[i];
}

template <class D>
void addDeviations(D d, const float* values, std::size_t count, double mean, const std::array<double, 3>& limits,
                   double centre, Deviations& out) {
    const hn::Rebind<float, D> df;
    const std::size_t lanes = hn::Lanes(d);
    const auto means = hn::Set(d, mean);
    const auto centres = hn::Set(d, centre);
    const auto nearest = hn::Set(d, limits[0]);
    auto sum = hn::Zero(d);
    for (std::size_t i = 0; i < count; i += lanes) {
        const auto raw = hn::PromoteTo(d, hn::LoadU(df, values + i));
        const auto finite = hn::IsFinite(raw);
        sum = hn::Add(sum, hn::IfThenElseZero(finite, hn::Abs(hn::Sub(raw, centres))));
        const auto distance = hn::IfThenElseZero(finite, hn::Abs(hn::Sub(raw, means)));
        const auto far = hn::Gt(distance, nearest);
        if (HWY_UNLIKELY(!hn::AllFalse(d, far))) {
            for (std::size_t k = 0; k < limits.size(); ++k)
                out.beyond[k] += static_cast<std::int64_t>(hn::CountTrue(d, hn::Gt(distance, hn::Set(d, limits[k]))));
        }
    }
    HWY_ALIGN double parts[hn::MaxLanes(Doubles())];
    hn::StoreU(sum, d, parts);
    for (std::size_t i = 0; i < lanes; ++i)
        out.sumAbs += parts[i];
}

Deviations deviationsImpl(const float* values, std::size_t count, double mean, const std::array<double, 3>& limits,
                          double centre) {
    const Doubles d;
    const std::size_t whole = count / hn::Lanes(d) * hn::Lanes(d);
    Deviations out;
    addDeviations(d, values, whole, mean, limits, centre, out);
    addDeviations(hn::CappedTag<double, 1>(), values + whole, count - whole, mean, limits, centre, out);
    return out;
}

template <class D>
void binRun(D d, const float* values, std::size_t count, double low, double high, double width, std::int32_t bins,
            std::int32_t* out) {
    const hn::Rebind<float, D> df;
    const hn::Rebind<std::int32_t, D> di;
    const auto lows = hn::Set(d, low);
    const auto highs = hn::Set(d, high);
    const auto widths = hn::Set(d, width);
    const auto last = hn::Set(d, static_cast<double>(bins - 1));
    const auto below = hn::Set(d, static_cast<double>(bins));
    const auto above = hn::Set(d, static_cast<double>(bins + 1));
    const auto nonFinite = hn::Set(d, static_cast<double>(bins + 2));
    for (std::size_t i = 0; i < count; i += hn::Lanes(d)) {
        const auto x = hn::PromoteTo(d, hn::LoadU(df, values + i));
        auto bin = hn::Min(hn::Div(hn::Sub(x, lows), widths), last);
        bin = hn::IfThenElse(hn::Lt(x, lows), below, bin);
        bin = hn::IfThenElse(hn::Gt(x, highs), above, bin);
        bin = hn::IfThenElse(hn::IsFinite(x), bin, nonFinite);
        hn::StoreU(hn::DemoteTo(di, bin), di, out + i);
    }
}

void binIndicesImpl(const float* values, std::size_t count, double low, double high, double width, std::int32_t bins,
                    std::int32_t* out) {
    const Doubles d;
    const std::size_t whole = count / hn::Lanes(d) * hn::Lanes(d);
    binRun(d, values, whole, low, high, width, bins, out);
    binRun(hn::CappedTag<double, 1>(), values + whole, count - whole, low, high, width, bins, out + whole);
}

float maxAbsImpl(const float* row, std::size_t count) {
    const hn::ScalableTag<float> d;
    const std::size_t lanes = hn::Lanes(d);
    auto most = hn::Zero(d);
    std::size_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        const auto raw = hn::LoadU(d, row + i);
        most = hn::Max(most, hn::IfThenElseZero(hn::IsFinite(raw), hn::Abs(raw)));
    }
    float result = hn::GetLane(hn::MaxOfLanes(d, most));
    for (; i < count; ++i) {
        if (std::isfinite(row[i]))
            result = std::max(result, std::fabs(row[i]));
    }
    return result;
}

template <class D>
void quantiseRun(D d, const float* row, std::size_t count, double scale, int half, std::uint8_t* symbols) {
    const hn::Rebind<float, D> df;
    const hn::Rebind<std::int32_t, D> di;
    const hn::Rebind<std::uint8_t, D> du8;
    const std::size_t lanes = hn::Lanes(d);
    const auto halves = hn::Set(d, static_cast<double>(half));
    const auto scales = hn::Set(d, scale);
    for (std::size_t i = 0; i < count; i += lanes) {
        const auto raw = hn::PromoteTo(d, hn::LoadU(df, row + i));
        const auto x = hn::IfThenElseZero(hn::IsFinite(raw), raw);
        const auto symbol = hn::Round(hn::Add(hn::Div(hn::Mul(x, halves), scales), halves));
        hn::StoreU(hn::DemoteTo(du8, hn::DemoteTo(di, symbol)), du8, symbols + i);
    }
}

void quantiseImpl(const float* row, std::size_t count, double scale, int half, std::uint8_t* symbols) {
    const Doubles d;
    const std::size_t whole = count / hn::Lanes(d) * hn::Lanes(d);
    quantiseRun(d, row, whole, scale, half, symbols);
    quantiseRun(hn::CappedTag<double, 1>(), row + whole, count - whole, scale, half, symbols + whole);
}

RowSums rowSumsImpl(const float* row, const float* direction, std::size_t count) {
    const Doubles d;
    const Floats df;
    const std::size_t lanes = hn::Lanes(d);
    const auto zero = hn::Zero(d);
    const auto one = hn::Set(d, 1.0);
    auto squares = zero;
    auto dot = zero;
    auto most = zero;
    auto finiteCount = zero;
    std::size_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        const auto raw = hn::PromoteTo(d, hn::LoadU(df, row + i));
        const auto finite = hn::IsFinite(raw);
        const auto x = hn::IfThenElseZero(finite, raw);
        finiteCount = hn::Add(finiteCount, hn::IfThenElseZero(finite, one));
        squares = hn::Add(squares, hn::Mul(x, x));
        dot = hn::Add(dot, hn::Mul(x, hn::PromoteTo(d, hn::LoadU(df, direction + i))));
        most = hn::Max(most, hn::Abs(x));
    }
    RowSums out;
    out.squares = sumLanes(squares);
    out.dot = sumLanes(dot);
    double largest = maxLanes(most);
    out.nonFinite = static_cast<std::int64_t>(i) - static_cast<std::int64_t>(sumLanes(finiteCount));
    for (; i < count; ++i) {
        const double x = row[i];
        if (!std::isfinite(x)) {
            ++out.nonFinite;
            continue;
        }
        out.squares += x * x;
        out.dot += x * direction[i];
        largest = std::max(largest, std::fabs(x));
    }
    out.maxAbs = static_cast<float>(largest);
    return out;
}

/// Adds x[t] * x[t + lag] for t in [begin, end) of one group of channels, x being [token][lanes].
template <class D>
void addLag(D d, const double* x, std::int64_t begin, std::int64_t end, std::int64_t lag, double* sum) {
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    const double* near = x + begin * lanes;
    const double* far = near + lag * lanes;
    auto total = hn::LoadU(d, sum);
    for (std::int64_t t = begin; t < end; ++t, near += lanes, far += lanes)
        total = hn::Add(total, hn::Mul(hn::LoadU(d, near), hn::LoadU(d, far)));
    hn::StoreU(total, d, sum);
}

/// All lags of one group of channels, four at a time so that the additions do not wait for each other. `column` takes
/// the values of the group side by side, for the sake of the cache.
template <class D>
void addLags(D d, const double* x, std::int64_t channels, std::int64_t tokens, std::int64_t available,
             std::int64_t lags, double* column, double* sums) {
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    for (std::int64_t t = 0; t < available; ++t)
        hn::StoreU(hn::LoadU(d, x + t * channels), d, column + t * lanes);
    std::int64_t lag = 1;
    for (; lag + 3 <= lags; lag += 4) {
        const std::int64_t common = std::max<std::int64_t>(0, std::min(tokens, available - lag - 3));
        const double* near = column;
        const double* far = column + lag * lanes;
        double* into = sums + (lag - 1) * channels;
        auto sum0 = hn::LoadU(d, into);
        auto sum1 = hn::LoadU(d, into + channels);
        auto sum2 = hn::LoadU(d, into + 2 * channels);
        auto sum3 = hn::LoadU(d, into + 3 * channels);
        for (std::int64_t t = 0; t < common; ++t, near += lanes, far += lanes) {
            const auto here = hn::LoadU(d, near);
            sum0 = hn::Add(sum0, hn::Mul(here, hn::LoadU(d, far)));
            sum1 = hn::Add(sum1, hn::Mul(here, hn::LoadU(d, far + lanes)));
            sum2 = hn::Add(sum2, hn::Mul(here, hn::LoadU(d, far + 2 * lanes)));
            sum3 = hn::Add(sum3, hn::Mul(here, hn::LoadU(d, far + 3 * lanes)));
        }
        hn::StoreU(sum0, d, into);
        hn::StoreU(sum1, d, into + channels);
        hn::StoreU(sum2, d, into + 2 * channels);
        hn::StoreU(sum3, d, into + 3 * channels);
        for (std::int64_t k = lag; k < lag + 4; ++k)
            addLag(d, column, common, std::min(tokens, available - k), k, sums + (k - 1) * channels);
    }
    for (; lag <= lags; ++lag)
        addLag(d, column, 0, std::min(tokens, available - lag), lag, sums + (lag - 1) * channels);
}

void lagProductsImpl(const double* x, std::int64_t channels, std::int64_t tokens, std::int64_t available,
                     std::int64_t lags, double* sums) {
    const Doubles d;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    std::vector<double> column(static_cast<std::size_t>(available * lanes));
    std::int64_t c = 0;
    for (; c + lanes <= channels; c += lanes)
        addLags(d, x + c, channels, tokens, available, lags, column.data(), sums + c);
    for (; c < channels; ++c)
        addLags(hn::CappedTag<double, 1>(), x + c, channels, tokens, available, lags, column.data(), sums + c);
}

template <class D> void addErrors(D d, const float* original, const float* changed, std::size_t count, ErrorSums& out) {
    const hn::Rebind<float, D> df;
    const std::size_t lanes = hn::Lanes(d);
    const auto zero = hn::Zero(d);
    const auto one = hn::Set(d, 1.0);
    auto finite = zero;
    auto sumAbs = zero;
    auto sumSquared = zero;
    auto most = zero;
    auto dot = zero;
    auto energyX = zero;
    auto energyY = zero;
    for (std::size_t i = 0; i < count; i += lanes) {
        const auto rawX = hn::PromoteTo(d, hn::LoadU(df, original + i));
        const auto rawY = hn::PromoteTo(d, hn::LoadU(df, changed + i));
        const auto both = hn::And(hn::IsFinite(rawX), hn::IsFinite(rawY));
        const auto x = hn::IfThenElseZero(both, rawX);
        const auto y = hn::IfThenElseZero(both, rawY);
        const auto error = hn::Abs(hn::Sub(y, x));
        finite = hn::Add(finite, hn::IfThenElseZero(both, one));
        sumAbs = hn::Add(sumAbs, error);
        sumSquared = hn::Add(sumSquared, hn::Mul(error, error));
        most = hn::Max(most, error);
        dot = hn::Add(dot, hn::Mul(x, y));
        energyX = hn::Add(energyX, hn::Mul(x, x));
        energyY = hn::Add(energyY, hn::Mul(y, y));
    }
    HWY_ALIGN double sums[7 * hn::MaxLanes(Doubles())];
    const decltype(zero) all[7] = {finite, sumAbs, sumSquared, most, dot, energyX, energyY};
    for (std::size_t k = 0; k < 7; ++k)
        hn::StoreU(all[k], d, sums + k * lanes);
    for (std::size_t i = 0; i < lanes; ++i) {
        out.count += static_cast<std::int64_t>(sums[i]);
        out.sumAbs += sums[lanes + i];
        out.sumSquared += sums[2 * lanes + i];
        out.max = std::max(out.max, sums[3 * lanes + i]);
        out.dot += sums[4 * lanes + i];
        out.originalEnergy += sums[5 * lanes + i];
        out.changedEnergy += sums[6 * lanes + i];
    }
}

ErrorSums errorSumsImpl(const float* original, const float* changed, std::size_t count) {
    const Doubles d;
    const std::size_t whole = count / hn::Lanes(d) * hn::Lanes(d);
    ErrorSums out;
    addErrors(d, original, changed, whole, out);
    addErrors(hn::CappedTag<double, 1>(), original + whole, changed + whole, count - whole, out);
    return out;
}

} // namespace kvscope::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace kvscope::kernels {

HWY_EXPORT(channelMomentsImpl);
HWY_EXPORT(subtractImpl);
HWY_EXPORT(deviationsImpl);
HWY_EXPORT(binIndicesImpl);
HWY_EXPORT(maxAbsImpl);
HWY_EXPORT(quantiseImpl);
HWY_EXPORT(rowSumsImpl);
HWY_EXPORT(lagProductsImpl);
HWY_EXPORT(errorSumsImpl);

void channelMoments(std::span<const float> rows, std::int64_t channels, float smallestNormal, std::span<Moments> out) {
    HWY_DYNAMIC_DISPATCH(channelMomentsImpl)
    (rows.data(), static_cast<std::int64_t>(rows.size()) / channels, channels, smallestNormal, out.data());
}

void subtract(const float* minuend, const float* subtrahend, float* out, std::size_t count) {
    HWY_DYNAMIC_DISPATCH(subtractImpl)(minuend, subtrahend, out, count);
}

Deviations deviations(std::span<const float> values, double mean, const std::array<double, 3>& limits, double centre) {
    return HWY_DYNAMIC_DISPATCH(deviationsImpl)(values.data(), values.size(), mean, limits, centre);
}

void binIndices(std::span<const float> values, double low, double high, double width, std::int32_t bins,
                std::int32_t* out) {
    HWY_DYNAMIC_DISPATCH(binIndicesImpl)(values.data(), values.size(), low, high, width, bins, out);
}

float maxAbs(std::span<const float> row) {
    return HWY_DYNAMIC_DISPATCH(maxAbsImpl)(row.data(), row.size());
}

void quantise(std::span<const float> row, double scale, int half, std::uint8_t* symbols) {
    HWY_DYNAMIC_DISPATCH(quantiseImpl)(row.data(), row.size(), scale, half, symbols);
}

RowSums rowSums(std::span<const float> row, const float* direction) {
    return HWY_DYNAMIC_DISPATCH(rowSumsImpl)(row.data(), direction, row.size());
}

void lagProducts(const double* x, std::int64_t channels, std::int64_t tokens, std::int64_t available, std::int64_t lags,
                 double* sums) {
    HWY_DYNAMIC_DISPATCH(lagProductsImpl)(x, channels, tokens, available, lags, sums);
}

ErrorSums errorSums(std::span<const float> original, std::span<const float> changed) {
    return HWY_DYNAMIC_DISPATCH(errorSumsImpl)(original.data(), changed.data(), original.size());
}

} // namespace kvscope::kernels

#endif
