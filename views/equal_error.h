// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/codec_session.h"

#include <QString>

#include <optional>
#include <string>
#include <vector>

namespace kvscope::views {

/// What a plan costs and loses.
struct PlanPoint {
    std::string name;
    double bitsPerValue = 0;
    /// As weightedError().
    double error = 0;
};

/// How much smaller a plan is than others at the same error.
struct EqualErrorGain {
    /// The one nearest in error, or the two between which it lies.
    std::string against;
    /// Share of the bits that are saved; negative where it is larger.
    double share = 0;
};

/// NMSEc of K and latent and NMSE of V, weighted by their numbers of values: the error of the Pareto chart.
double weightedError(const EncodeTotals& keys, const EncodeTotals& values, const EncodeTotals& latents);
PlanPoint pointOf(const MeasuredPlan& plan);

/// Compares with what the best of the others would need at the plan's error: between two of them bits go with the
/// logarithm of the error; beside one alone, up to twice or half its error, a bit a value is worth a factor of four.
/// Nothing where no other is near.
std::optional<EqualErrorGain> gainAtEqualError(const PlanPoint& plan, std::vector<PlanPoint> others);

/// The current plan, when it is measured whole, against the presets that were measured on the whole dump; nothing while
/// it is itself a preset.
std::optional<EqualErrorGain> gainOverPresets(const CodecSession& session);
/// "4.1 % smaller than kvz-medium at the same error".
QString toText(const EqualErrorGain& gain);

} // namespace kvscope::views
