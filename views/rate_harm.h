// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/plan.h"
#include "views/statistics_service.h"

#include <optional>
#include <string>
#include <vector>

namespace kvscope::views {

/// What one layer's K, V or latent costs and loses at one step of its quantiser.
struct RatePoint {
    /// The pipeline of its first tokens, as plans show it.
    std::string setting;
    /// How many steps finer (negative) or coarser than the plan's own.
    int step = 0;
    double bitsPerValue = 0;
    std::int64_t bytes = 0;
    /// NMSEc of K and latent, NMSE of V.
    double error = 0;
    /// Relative error of the attention output with this plane decoded alone; nothing where the dump has no queries.
    std::optional<double> attention;

    /// The error of the attention output where that is wanted and known, else of the values.
    [[nodiscard]] double harm(bool ofAttention) const { return ofAttention ? attention.value_or(error) : error; }
};

/// The steps of one cell, the finest first.
struct RateCurve {
    LayerKind cell;
    std::vector<RatePoint> points;

    /// The plan's own.
    [[nodiscard]] const RatePoint* current() const;
    /// What the next finer step saves of the harm for each KiB that it costs; nothing at the finest.
    [[nodiscard]] std::optional<double> savedPerKiB(bool ofAttention) const;
    /// What the next coarser step adds to the harm for each KiB that it frees; nothing at the coarsest.
    [[nodiscard]] std::optional<double> addedPerKiB(bool ofAttention) const;
};

/// A plan that does to one cell what another does, and nothing more.
CodecPlan planOfCell(const CodecPlan& plan, LayerKind cell);

/// Names the curve of a cell under a plan: equal where the plan does the same to it.
std::string rateCurveKey(const CodecPlan& plan, LayerKind cell);
/// Encodes the cell at each step; gives a RateCurve.
StatisticsService::Job rateCurveJob(const Document& document, const CodecPlan& plan, LayerKind cell);

} // namespace kvscope::views
