// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/plan.h"
#include "views/statistics_service.h"

#include <map>
#include <optional>
#include <span>
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
    /// Sum of e^2.
    double errorEnergy = 0;
    /// Relative error of the attention output with this plane decoded alone; nothing where the dump has no queries.
    std::optional<double> attention;
};

/// The steps of one cell, the finest first.
struct RateCurve {
    LayerKind cell;
    std::vector<RatePoint> points;

    std::int64_t values = 0;
    /// What `error` is relative to: energy of the values, of K and latent about their channels' means.
    double energy = 0;
    /// Notches of coarser() that make a bit a value.
    int notchesPerBit = 1;

    /// The plan's own.
    [[nodiscard]] const RatePoint* current() const;
};

/// What counts as harm: the error of the attention output, or a cell's share of the error of all values together, as
/// the Pareto chart has it.
class HarmMeasure {
public:
    /// `curves` are all that are known; those of a kind are weighed against each other.
    HarmMeasure(std::span<const RateCurve* const> curves, bool ofAttention);

    [[nodiscard]] bool ofAttention() const { return ofAttention_; }
    [[nodiscard]] double of(const RateCurve& curve, const RatePoint& point) const;
    /// What the next finer step saves for each KiB that it costs; nothing at the finest.
    [[nodiscard]] std::optional<double> savedPerKiB(const RateCurve& curve) const;
    /// What the next coarser step adds for each KiB that it frees; nothing at the coarsest.
    [[nodiscard]] std::optional<double> addedPerKiB(const RateCurve& curve) const;

private:
    bool ofAttention_;
    /// By kind: what a unit of error energy counts.
    std::map<PlaneKind, double> weights_;
};

/// How far a cell is from where a KiB saves as much as anywhere else.
struct Evening {
    LayerKind cell;
    /// Notches of coarser(): negative is finer.
    int notches = 0;
};
/// The notches of each cell that even out what a KiB saves while the whole harm stays about the same; cells without a
/// strength or without neighbours on their curve are left out.
std::vector<Evening> eveningOut(std::span<const RateCurve* const> curves, const HarmMeasure& harm);

/// A plan that does to one cell what another does, and nothing more.
CodecPlan planOfCell(const CodecPlan& plan, LayerKind cell);

/// Names the curve of a cell under a plan: equal where the plan does the same to it.
std::string rateCurveKey(const CodecPlan& plan, LayerKind cell);
/// Encodes the cell at each step; gives a RateCurve.
StatisticsService::Job rateCurveJob(const Document& document, const CodecPlan& plan, LayerKind cell);

} // namespace kvscope::views
