// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QColor>

#include <array>
#include <cstdint>

namespace kvscope::views {

/// Colour maps with even steps of lightness that stay readable for colour-blind eyes.
enum class ColourMapId : std::uint8_t { Viridis, Magma, Cividis, BlueWhiteRed };

inline constexpr int kColourSteps = 256;
using ColourTable = std::array<QRgb, kColourSteps>;

/// The colours of a map from its low to its high end.
ColourTable colourTable(ColourMapId map);

/// Colours that a map itself does not contain, for cells that have no place on it.
struct SpecialColours {
    QRgb above = 0;
    QRgb below = 0;
    QRgb nonFinite = 0;
};
SpecialColours specialColours(ColourMapId map);

/// Whether the map has a neutral middle, and so wants a range that is symmetric about zero.
constexpr bool isDiverging(ColourMapId map) {
    return map == ColourMapId::BlueWhiteRed;
}

} // namespace kvscope::views
