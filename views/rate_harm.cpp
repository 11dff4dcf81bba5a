// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/rate_harm.h"

#include "core/codec/encode_job.h"
#include "core/codec/plan_edit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <span>

namespace kvscope::views {

namespace {

/// About a bit a value each.
constexpr std::array kSteps{-2, -1, 0, 1, 2};
/// Notches of coarser() that make about a bit for quantisers with a step.
constexpr int kNotchesPerBit = 10;
/// Bits at which cells are tried whose quantiser has no strength of its own (lossless ones, fp8).
constexpr std::array kTriedBits{6.0, 4.0, 3.0, 2.0};

Pipeline stepped(const Pipeline& pipeline, int step) {
    const auto strength = strengthOf(pipeline);
    const bool fine = strength && strength->unit == Strength::Unit::Step;
    return coarser(pipeline, fine ? step * kNotchesPerBit : step);
}

/// The plans to try for a cell by their step.
std::vector<std::pair<int, CodecPlan>> plansFor(const CodecPlan& own, LayerKind cell) {
    std::vector<std::pair<int, CodecPlan>> plans;
    const auto segments = segmentsOf(own, cell);
    const bool strong = std::ranges::any_of(
        segments, [](const PlaneSegment& segment) { return strengthOf(segment.pipeline).has_value(); });
    const auto add = [&](int step, const std::function<Pipeline(const Pipeline&)>& change) {
        CodecPlan plan = own;
        adjust(plan, std::span(&cell, 1), change);
        const auto same = [&](const auto& known) { return segmentsOf(known.second, cell) == segmentsOf(plan, cell); };
        if (validate(plan) && std::ranges::none_of(plans, same))
            plans.emplace_back(step, std::move(plan));
    };
    plans.emplace_back(0, own);
    if (strong) {
        for (const int step : kSteps)
            add(step, [step](const Pipeline& pipeline) { return stepped(pipeline, step); });
    } else {
        int step = 0;
        for (const double bits : kTriedBits)
            add(++step, [bits](const Pipeline& pipeline) { return withBits(pipeline, bits); });
    }
    return plans;
}

Result<RateCurve> measureCurve(const KvCache& cache, const CodecPlan& own, LayerKind cell, ThreadPool& pool,
                               const JobControl& job) {
    RateCurve curve;
    curve.cell = cell;
    const auto strength = strengthOf(segmentsOf(own, cell).front().pipeline);
    curve.notchesPerBit = !strength ? 0 : strength->unit == Strength::Unit::Step ? kNotchesPerBit : 1;
    const auto plans = plansFor(own, cell);
    if (job.progress != nullptr)
        job.progress->start(static_cast<std::int64_t>(plans.size()));
    EncodeOptions options;
    options.only = std::vector<LayerKind>{cell};
    for (const auto& [step, plan] : plans) {
        KVSCOPE_ASSIGN(const Encoding encoding, encodeCache(cache, plan, pool, options, JobControl{job.stop, nullptr}));
        const EncodeTotals totals = encoding.report.totals(cell.layer, cell.kind);
        RatePoint point;
        point.setting = shortForm(segmentsOf(plan, cell).front().pipeline);
        point.step = step;
        point.bitsPerValue = totals.bitsPerValue();
        point.bytes = totals.bytes();
        point.error = headlineError(cell.kind, totals.error);
        point.errorEnergy = totals.error.sumSquared;
        curve.values = totals.values;
        curve.energy = cell.kind == PlaneKind::Value ? totals.error.originalEnergy : totals.error.centredEnergy;
        // The mean over the sequences of a batch.
        double sum = 0;
        int count = 0;
        for (const AttentionError& attention : encoding.report.attention) {
            if (attention.layer != cell.layer)
                continue;
            sum += attention.relative;
            ++count;
        }
        if (count > 0)
            point.attention = sum / count;
        curve.points.push_back(std::move(point));
        job.advance(1);
    }
    std::ranges::stable_sort(curve.points, std::greater<>(), &RatePoint::bitsPerValue);
    return curve;
}

} // namespace

CodecPlan planOfCell(const CodecPlan& plan, LayerKind cell) {
    CodecPlan alone;
    alone.chunkTokens = plan.chunkTokens;
    setSegments(alone, cell, segmentsOf(plan, cell));
    return alone;
}

const RatePoint* RateCurve::current() const {
    const auto found = std::ranges::find(points, 0, &RatePoint::step);
    return found != points.end() ? &*found : nullptr;
}

HarmMeasure::HarmMeasure(std::span<const RateCurve* const> curves, bool ofAttention)
    : ofAttention_(ofAttention) {
    std::map<PlaneKind, double> energies;
    std::map<PlaneKind, double> values;
    double all = 0;
    for (const RateCurve* curve : curves) {
        energies[curve->cell.kind] += curve->energy;
        values[curve->cell.kind] += static_cast<double>(curve->values);
        all += static_cast<double>(curve->values);
    }
    for (const auto& [kind, energy] : energies)
        weights_[kind] = energy > 0 ? values[kind] / all / energy : 0;
}

double HarmMeasure::of(const RateCurve& curve, const RatePoint& point) const {
    if (ofAttention_ && point.attention)
        return *point.attention;
    const auto weight = weights_.find(curve.cell.kind);
    return weight != weights_.end() ? point.errorEnergy * weight->second : 0;
}

namespace {

double kibOf(const RatePoint& point) {
    return static_cast<double>(point.bytes) / 1024.0;
}

} // namespace

std::optional<double> HarmMeasure::savedPerKiB(const RateCurve& curve) const {
    const auto found = std::ranges::find(curve.points, 0, &RatePoint::step);
    if (found == curve.points.end() || found == curve.points.begin())
        return std::nullopt;
    const RatePoint& finer = *std::prev(found);
    return finer.bytes > found->bytes
               ? std::optional((of(curve, *found) - of(curve, finer)) / (kibOf(finer) - kibOf(*found)))
               : std::nullopt;
}

std::optional<double> HarmMeasure::addedPerKiB(const RateCurve& curve) const {
    const auto found = std::ranges::find(curve.points, 0, &RatePoint::step);
    if (found == curve.points.end() || std::next(found) == curve.points.end())
        return std::nullopt;
    const RatePoint& coarser = *std::next(found);
    return found->bytes > coarser.bytes
               ? std::optional((of(curve, coarser) - of(curve, *found)) / (kibOf(*found) - kibOf(coarser)))
               : std::nullopt;
}

std::vector<Evening> eveningOut(std::span<const RateCurve* const> curves, const HarmMeasure& harm) {
    // Errors of the attention output add up as energies do: by their squares.
    const auto energyOf = [&](const RateCurve& curve, const RatePoint& point) {
        const double one = harm.of(curve, point);
        return harm.ofAttention() && point.attention ? one * one : one;
    };
    struct Cell {
        const RateCurve* curve;
        double harm;
        double slope;
    };
    std::vector<Cell> cells;
    double sum = 0;
    double freed = 0;
    for (const RateCurve* curve : curves) {
        const auto own = std::ranges::find(curve->points, 0, &RatePoint::step);
        if (curve->notchesPerBit == 0 || own == curve->points.end() || own == curve->points.begin() ||
            std::next(own) == curve->points.end())
            continue;
        const double finer = energyOf(*curve, *std::prev(own));
        const double here = energyOf(*curve, *own);
        const double coarser = energyOf(*curve, *std::next(own));
        const double above = kibOf(*std::prev(own)) - kibOf(*own);
        const double below = kibOf(*own) - kibOf(*std::next(own));
        if (above <= 0 || below <= 0 || here <= finer || coarser <= here)
            continue;
        // Harm falls about as a power of four a bit: the geometric mean of the slopes is that at the point itself.
        const double slope = std::sqrt((here - finer) / above * ((coarser - here) / below));
        cells.push_back({curve, here, slope});
        sum += here;
        freed += here / slope;
    }
    std::vector<Evening> out;
    if (freed <= 0)
        return out;
    // A cell's harm follows its slope; this one leaves their sum as it is.
    const double wanted = sum / freed;
    for (const Cell& cell : cells) {
        const double bits = std::log2(wanted / cell.slope) / 2;
        const double notches = std::clamp(bits, -2.0, 2.0) * cell.curve->notchesPerBit;
        out.push_back({cell.curve->cell, static_cast<int>(std::lround(notches))});
    }
    return out;
}

std::string rateCurveKey(const CodecPlan& plan, LayerKind cell) {
    return "rate and harm/" + std::to_string(cell.layer.value) + "/" + std::to_string(static_cast<int>(cell.kind)) +
           "/" + std::to_string(hashOf(planOfCell(plan, cell)));
}

StatisticsService::Job rateCurveJob(const Document& document, const CodecPlan& plan, LayerKind cell) {
    return StatisticsService::job<RateCurve>(
        rateCurveKey(plan, cell),
        [cache = document.cache(), own = planOfCell(plan, cell), cell, &pool = document.pool()](const JobControl& job) {
            return measureCurve(cache, own, cell, pool, job);
        });
}

} // namespace kvscope::views
