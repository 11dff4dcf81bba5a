// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/colour_map.h"
#include "views/heatmap_settings.h"

#include <QColor>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace kvscope::views {

/// Values coded for colouring: NaN is a cell outside the plane, infinity a cell over a NaN or an infinity.
///
/// Turns values into colours: linear by a table of steps, symmetric log by a table over the upper 16 bits of the float
/// (0.4% steps, finer than the eye), so that recolouring a screen costs about a nanosecond a cell whatever the scale.
class ColourScale {
public:
    ColourScale();
    ColourScale(ColourMapId map, Scaling scaling, ValueRange range);

    [[nodiscard]] ColourMapId map() const { return map_; }
    [[nodiscard]] Scaling scaling() const { return scaling_; }
    [[nodiscard]] const ValueRange& range() const { return range_; }

    /// Colours values[i] * factor; cells outside the plane become transparent.
    void colourise(std::span<const float> values, float factor, QRgb* out) const;
    [[nodiscard]] QRgb colour(float value) const;
    /// Whether a value is finite and beyond an end of the range.
    [[nodiscard]] bool isClipped(float value) const { return value > upper_ ? value < kInfinity_ : value < lower_; }

    /// Place of a value along the bar, 0 at the lower end and 1 at the upper; beyond them outside [0, 1].
    [[nodiscard]] double place(double value) const;
    /// The value at a place along the bar.
    [[nodiscard]] double value(double place) const;

private:
    static constexpr float kInfinity_ = std::numeric_limits<float>::infinity();
    static constexpr std::size_t kBlock = 256;
    using Places = std::array<std::uint32_t, kBlock>;

    /// Where in the table the colours of kBlock values stand.
    void linearPlaces(const float* values, float factor, Places& places) const;
    void logPlaces(const float* values, float factor, Places& places) const;

    [[nodiscard]] double curve(double value) const;

    ColourMapId map_ = ColourMapId::Viridis;
    Scaling scaling_ = Scaling::Linear;
    ValueRange range_;
    float lower_ = 0;
    float upper_ = 1;
    /// Width of the linear part around zero on the symmetric log scale.
    double linearWidth_ = 1;
    /// Linear: below, steps, above, not finite, outside. Symmetric log: one entry for each upper half of a float.
    std::vector<QRgb> table_;
    SpecialColours special_;
};

} // namespace kvscope::views
