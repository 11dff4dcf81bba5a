// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/colour_scale.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>

namespace kvscope::views {

namespace {

constexpr int kLinearSteps = 1024;
// Of the linear table: places 0 and kLinearSteps + 1 are the colours below and above, then come these.
constexpr std::uint32_t kNonFinitePlace = kLinearSteps + 2;
constexpr std::uint32_t kOutsidePlace = kLinearSteps + 3;
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
        table_.resize(kOutsidePlace + 1);
        table_.front() = special_.below;
        table_[kLinearSteps + 1] = special_.above;
        table_[kNonFinitePlace] = special_.nonFinite;
        table_[kOutsidePlace] = kOutside;
        for (std::size_t i = 0; i < std::size_t{kLinearSteps}; ++i)
            table_[i + 1] = at((static_cast<double>(i) + 0.5) / kLinearSteps);
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
    // Places first, in blocks of a fixed size without a branch, which compilers turn into vector code; then colours.
    std::array<std::uint32_t, kBlock> places;
    std::array<float, kBlock> padded{};
    for (std::size_t begin = 0; begin < values.size(); begin += kBlock) {
        const auto block = values.subspan(begin, std::min(kBlock, values.size() - begin));
        const float* from = block.data();
        if (block.size() < kBlock) {
            std::copy(block.begin(), block.end(), padded.begin());
            from = padded.data();
        }
        if (scaling_ == Scaling::SymmetricLog)
            logPlaces(from, factor, places);
        else
            linearPlaces(from, factor, places);
        for (std::size_t i = 0; i < block.size(); ++i)
            out[begin + i] = table_[places[i]];
    }
}

void ColourScale::logPlaces(const float* values, float factor, Places& places) const {
    for (std::size_t i = 0; i < kBlock; ++i)
        places[i] = std::bit_cast<std::uint32_t>(values[i] * factor) >> 16U;
}

void ColourScale::linearPlaces(const float* values, float factor, Places& places) const {
    constexpr std::uint32_t kSignless = 0x7FFFFFFF;
    constexpr std::uint32_t kInfinityBits = 0x7F800000;
    constexpr auto kAbove = static_cast<float>(kLinearSteps + 1);
    const float width = upper_ - lower_;
    // A little less than the whole, so that the upper end itself falls into the last step.
    const float steps = width > 0 ? kLinearSteps * (1 - 1e-6F) / width : 0.0F;
    for (std::size_t i = 0; i < kBlock; ++i) {
        const float value = values[i] * factor;
        float step = (value - lower_) * steps + 1;
        step = step > 0 ? step : 0;
        step = step < kAbove ? step : kAbove;
        const std::uint32_t bits = std::bit_cast<std::uint32_t>(value) & kSignless;
        const auto finite = static_cast<std::uint32_t>(static_cast<std::int32_t>(step));
        const std::uint32_t other = bits > kInfinityBits ? kOutsidePlace : kNonFinitePlace;
        places[i] = bits < kInfinityBits ? finite : other;
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
