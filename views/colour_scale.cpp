// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/colour_scale.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>

namespace kvscope::views {

namespace {

constexpr int kLinearSteps = 1024;
// The symmetric log scale is linear below a thousandth of the larger end: three decades of colour.
constexpr double kLinearShare = 1e-3;
constexpr QRgb kOutside = 0;

} // namespace

ColourScale::ColourScale()
    : ColourScale(ColourMapId::Viridis, Scaling::Linear, ValueRange{}) {}

ColourScale::ColourScale(ColourMapId map, Scaling scaling, ValueRange range)
    : map_(map)
    , scaling_(scaling)
    , range_(range)
    , lower_(static_cast<float>(range.lower))
    , upper_(static_cast<float>(range.upper))
    , special_(specialColours(map)) {
    const double larger = std::max(std::abs(range_.lower), std::abs(range_.upper));
    linearWidth_ = larger > 0 ? larger * kLinearShare : 1;
    const ColourTable colours = colourTable(map);
    const auto at = [&colours](double place) {
        const double step = std::floor(std::clamp(place, 0.0, 1.0) * kColourSteps);
        return colours[static_cast<std::size_t>(std::min(step, kColourSteps - 1.0))];
    };
    if (scaling_ == Scaling::Linear) {
        table_.resize(kLinearSteps + 2);
        table_.front() = special_.below;
        table_.back() = special_.above;
        for (int i = 0; i < kLinearSteps; ++i)
            table_[static_cast<std::size_t>(i + 1)] = at((i + 0.5) / kLinearSteps);
        return;
    }
    table_.resize(std::size_t{1} << 16U);
    for (std::uint32_t code = 0; code < table_.size(); ++code) {
        // The smallest magnitude of the code decides whether it is clipped, so that the ends themselves are not.
        const auto value = std::bit_cast<float>(code << 16U);
        QRgb& colour = table_[code];
        if (std::isnan(value))
            colour = kOutside;
        else if (std::isinf(value))
            colour = special_.nonFinite;
        else if (value > upper_)
            colour = special_.above;
        else if (value < lower_)
            colour = special_.below;
        else
            colour = at(place(value));
    }
}

void ColourScale::colourise(std::span<const float> values, float factor, QRgb* out) const {
    if (scaling_ == Scaling::SymmetricLog) {
        for (std::size_t i = 0; i < values.size(); ++i)
            out[i] = table_[std::bit_cast<std::uint32_t>(values[i] * factor) >> 16U];
        return;
    }
    const float width = upper_ - lower_;
    // A little less than the whole, so that the upper end itself falls into the last step.
    const float steps = width > 0 ? kLinearSteps * (1 - 1e-6F) / width : 0.0F;
    for (std::size_t i = 0; i < values.size(); ++i) {
        const float value = values[i] * factor;
        if (!std::isfinite(value)) {
            out[i] = std::isnan(value) ? kOutside : special_.nonFinite;
            continue;
        }
        // Places 0 and kLinearSteps + 1 of the table are the colours below and above.
        const float step = std::min(std::max((value - lower_) * steps, -1.0F), static_cast<float>(kLinearSteps));
        out[i] = table_[static_cast<std::size_t>(static_cast<int>(step + 1))];
    }
}

QRgb ColourScale::colour(float value) const {
    QRgb result = 0;
    colourise({&value, 1}, 1.0F, &result);
    return result;
}

double ColourScale::curve(double value) const {
    return scaling_ == Scaling::Linear ? value : std::asinh(value / linearWidth_);
}

double ColourScale::place(double value) const {
    const double low = curve(range_.lower);
    const double high = curve(range_.upper);
    return high > low ? (curve(value) - low) / (high - low) : 0.5;
}

double ColourScale::value(double place) const {
    const double along = std::lerp(curve(range_.lower), curve(range_.upper), place);
    return scaling_ == Scaling::Linear ? along : linearWidth_ * std::sinh(along);
}

} // namespace kvscope::views
