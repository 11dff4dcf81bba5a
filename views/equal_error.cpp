// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/equal_error.h"

#include "views/codec_view.h"
#include "views/number_format.h"
#include "views/preset_survey.h"

#include <algorithm>
#include <cmath>

namespace kvscope::views {

namespace {

/// Errors that differ by less than this share count as the same one's.
constexpr double kSameError = 0.03;
/// A lone plan is compared with up to this factor in error.
constexpr double kMostApart = 2;

/// Those that no other beats in both, by rising error.
std::vector<PlanPoint> frontOf(std::vector<PlanPoint> points) {
    std::erase_if(points, [](const PlanPoint& point) { return point.error <= 0 || point.bitsPerValue <= 0; });
    std::ranges::sort(points, {}, [](const PlanPoint& point) { return std::pair(point.error, point.bitsPerValue); });
    std::vector<PlanPoint> front;
    for (PlanPoint& point : points) {
        if (front.empty() || point.bitsPerValue < front.back().bitsPerValue)
            front.push_back(std::move(point));
    }
    return front;
}

double distance(const PlanPoint& a, const PlanPoint& b) {
    return std::abs(std::log(a.error / b.error));
}

} // namespace

double weightedError(const EncodeTotals& keys, const EncodeTotals& values, const EncodeTotals& latents) {
    double sum = 0;
    double weight = 0;
    for (const auto& [kind, totals] : {std::pair{PlaneKind::Key, &keys}, std::pair{PlaneKind::Value, &values},
                                       std::pair{PlaneKind::Latent, &latents}}) {
        sum += headlineError(kind, totals->error) * static_cast<double>(totals->values);
        weight += static_cast<double>(totals->values);
    }
    return weight > 0 ? sum / weight : 0;
}

PlanPoint pointOf(const MeasuredPlan& plan) {
    return {plan.plan.name, plan.all.bitsPerValue(), weightedError(plan.keys, plan.values, plan.latents)};
}

std::optional<EqualErrorGain> gainAtEqualError(const PlanPoint& plan, std::vector<PlanPoint> others) {
    const std::vector<PlanPoint> front = frontOf(std::move(others));
    if (plan.error <= 0 || plan.bitsPerValue <= 0 || front.empty())
        return std::nullopt;
    const auto above = std::ranges::lower_bound(front, plan.error, {}, &PlanPoint::error);
    const auto nearest = std::ranges::min_element(front, {}, [&](const PlanPoint& one) { return distance(one, plan); });
    double needed = 0;
    std::string against = nearest->name;
    if (above != front.begin() && above != front.end()) {
        const PlanPoint& finer = *std::prev(above);
        const double share = std::log(plan.error / finer.error) / std::log(above->error / finer.error);
        needed = finer.bitsPerValue + share * (above->bitsPerValue - finer.bitsPerValue);
        if (distance(*nearest, plan) > kSameError)
            against = finer.name + " \u2013 " + above->name;
    } else {
        if (distance(*nearest, plan) > std::log(kMostApart))
            return std::nullopt;
        needed = nearest->bitsPerValue - std::log2(plan.error / nearest->error) / 2;
    }
    if (needed <= 0)
        return std::nullopt;
    return EqualErrorGain{against, 1 - plan.bitsPerValue / needed};
}

std::optional<EqualErrorGain> gainOverPresets(const CodecSession& session) {
    if (session.planCount() == 0 || !session.isComplete())
        return std::nullopt;
    std::vector<PlanPoint> presets;
    if (session.survey().isWhole()) {
        for (const PresetSurvey::Point& point : session.survey().points()) {
            presets.push_back(pointOf(point.measured));
            presets.back().name = point.info.name;
        }
    }
    const std::uint64_t current = hashOf(session.plan());
    for (const MeasuredPlan& plan : session.tried()) {
        const auto preset = session.presetWith(plan.hash);
        if (preset && plan.hash == current)
            return std::nullopt;
        if (!preset)
            continue;
        presets.push_back(pointOf(plan));
        presets.back().name = preset->toStdString();
    }
    const EncodeReport& report = session.report();
    return gainAtEqualError({session.plan().name, report.totals().bitsPerValue(),
                             weightedError(report.totals(PlaneKind::Key), report.totals(PlaneKind::Value),
                                           report.totals(PlaneKind::Latent))},
                            std::move(presets));
}

QString toText(const EqualErrorGain& gain) {
    const QString share = formatNumber(std::abs(gain.share) * 100, 2);
    const QString against = QString::fromStdString(gain.against);
    return gain.share >= 0 ? CodecView::tr("%1 % smaller than %2 at the same error").arg(share, against)
                           : CodecView::tr("%1 % larger than %2 at the same error").arg(share, against);
}

} // namespace kvscope::views
