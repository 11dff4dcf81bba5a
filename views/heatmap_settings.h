// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/cache_map.h"
#include "views/colour_map.h"

#include <QJsonObject>
#include <QString>

#include <array>
#include <cstdint>
#include <optional>

namespace kvscope::views {

/// How the values under one cell become one number.
enum class Reduction : std::uint8_t { Rms, MaxAbs, Mean, Min, Max, Std, SignedRms };
inline constexpr std::array kAllReductions{Reduction::Rms, Reduction::MaxAbs, Reduction::Mean,     Reduction::Min,
                                           Reduction::Max, Reduction::Std,    Reduction::SignedRms};

/// What of the codec's current plan is shown in place of the stored values: what comes back, what that differs by
/// (decoded minus original), what it costs; or the original, the decoded values and the error side by side, with
/// handles to move the borders between them.
enum class PlanView : std::uint8_t { None, Decoded, Error, Bits, Wipe };
inline constexpr std::array kAllPlanViews{PlanView::Decoded, PlanView::Error, PlanView::Bits, PlanView::Wipe};

/// The colour map asked for; Automatic is viridis for magnitudes and blue-white-red for signed values.
enum class ColourChoice : std::uint8_t { Automatic, Viridis, Magma, Cividis, BlueWhiteRed };
inline constexpr std::array kAllColourChoices{ColourChoice::Automatic, ColourChoice::Viridis, ColourChoice::Magma,
                                              ColourChoice::Cividis, ColourChoice::BlueWhiteRed};

/// From value to place along the colour map.
enum class Scaling : std::uint8_t { Linear, SymmetricLog };

/// The values at the two ends of the colour bar.
struct ValueRange {
    double lower = 0;
    double upper = 1;

    bool operator==(const ValueRange&) const = default;
};

/// What a heatmap pane shows and how; which layer, head and sequence comes from the shared selection. One value: a
/// change of it is an undo step, and layouts save it.
struct HeatmapSettings {
    MapKind map = MapKind::LayerToken;
    /// Planes shown; nothing follows the kind of the selection.
    std::optional<PlaneKind> kind;
    Quantity quantity = Quantity::Value;
    /// Goes with Quantity::Value alone.
    PlanView plan = PlanView::None;
    Reduction reduction = Reduction::Rms;
    ColourChoice colours = ColourChoice::Automatic;
    Scaling scaling = Scaling::Linear;
    /// Share of the cells (in percent) that an automatic range covers.
    double clipPercentile = 99.5;
    using Ranges = std::array<std::optional<ValueRange>, kAllPlaneKinds.size()>;
    /// Ranges held fixed, by plane kind; the others are automatic. Stored and decoded values share theirs.
    Ranges lockedRanges;
    Ranges lockedErrorRanges;
    Ranges lockedBitsRanges;
    /// Divides by the rms of the cell's layer.
    bool relative = true;
    /// Marks cells in which one value stands far above what the reduction shows.
    bool markOutliers = true;

    bool operator==(const HeatmapSettings&) const = default;

    /// Of what is shown now.
    [[nodiscard]] const std::optional<ValueRange>& lockedRange(PlaneKind plane) const {
        return const_cast<HeatmapSettings*>(this)->lockedRange(plane);
    }
    std::optional<ValueRange>& lockedRange(PlaneKind plane) {
        Ranges& ranges = plan == PlanView::Error  ? lockedErrorRanges
                         : plan == PlanView::Bits ? lockedBitsRanges
                                                  : lockedRanges;
        return ranges[static_cast<std::size_t>(plane)];
    }

    /// The same map with another thing of the plan shown, reduced as suits that.
    [[nodiscard]] HeatmapSettings withPlan(PlanView view) const;
    /// Whether shown numbers can be negative.
    [[nodiscard]] bool isSignedView() const;
    /// The colour map in use.
    [[nodiscard]] ColourMapId colourMap() const;
    /// What the colour bar measures, e.g. "rms of value / layer rms".
    [[nodiscard]] QString valueLabel() const;

    /// Settings of a map as people meet it first: relative to the layer's rms where rows are layers.
    static HeatmapSettings defaults(MapKind map, std::optional<PlaneKind> kind = std::nullopt);

    [[nodiscard]] QJsonObject toJson() const;
    /// Reads what toJson wrote; a missing member keeps its default, an unknown or wrong one is an error.
    static Result<HeatmapSettings> fromJson(const QJsonObject& json);
};

/// Names as shown: "layer × token", "rms", "blue-white-red", ...
QString nameOf(MapKind map);
QString nameOf(PlanView view);
QString nameOf(Reduction reduction);
QString nameOf(ColourChoice colours);
QString nameOf(Scaling scaling);

} // namespace kvscope::views
