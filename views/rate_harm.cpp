// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/rate_harm.h"

#include "core/codec/encode_job.h"
#include "core/codec/plan_edit.h"

#include <algorithm>
#include <array>
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
    RateCurve curve{cell, {}};
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

namespace {

/// Less harm for each KiB more, from one step to a finer one.
std::optional<double> slope(const RatePoint& coarse, const RatePoint& fine, bool ofAttention) {
    const std::int64_t more = fine.bytes - coarse.bytes;
    if (more <= 0)
        return std::nullopt;
    return (coarse.harm(ofAttention) - fine.harm(ofAttention)) / (static_cast<double>(more) / 1024.0);
}

} // namespace

std::optional<double> RateCurve::savedPerKiB(bool ofAttention) const {
    const auto found = std::ranges::find(points, 0, &RatePoint::step);
    if (found == points.end() || found == points.begin())
        return std::nullopt;
    return slope(*found, *std::prev(found), ofAttention);
}

std::optional<double> RateCurve::addedPerKiB(bool ofAttention) const {
    const auto found = std::ranges::find(points, 0, &RatePoint::step);
    if (found == points.end() || std::next(found) == points.end())
        return std::nullopt;
    return slope(*std::next(found), *found, ofAttention);
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
