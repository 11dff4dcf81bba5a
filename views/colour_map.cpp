// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/colour_map.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace kvscope::views {

namespace {

// Every eighth colour of viridis and magma (S. van der Walt and N. Smith, public domain under CC0).
constexpr std::array<QRgb, 33> kViridis{
    0x440154, 0x470d60, 0x48186a, 0x482374, 0x472d7b, 0x453781, 0x424086, 0x3e4989, 0x3b528b, 0x375b8d, 0x33638d,
    0x2f6b8e, 0x2c728e, 0x297a8e, 0x26828e, 0x23898e, 0x21908c, 0x1f978b, 0x1f9f88, 0x21a685, 0x27ad81, 0x31b57b,
    0x3ebc74, 0x4dc26c, 0x5cc863, 0x6ece58, 0x82d34d, 0x95d840, 0xaadc32, 0xc0df25, 0xd5e21a, 0xeae51a, 0xfde725};
constexpr std::array<QRgb, 33> kMagma{
    0x000004, 0x030312, 0x0a0822, 0x130d34, 0x1d1147, 0x29115a, 0x36106b, 0x440f76, 0x50127c, 0x5d177f, 0x691c81,
    0x762181, 0x822681, 0x8f2a81, 0x9c2e7f, 0xa9337d, 0xb6367a, 0xc33b75, 0xcf4070, 0xdb476a, 0xe65164, 0xee5c5e,
    0xf46a5c, 0xf9785d, 0xfb8861, 0xfd9668, 0xfea571, 0xfeb47b, 0xfec287, 0xfed194, 0xfde0a1, 0xfceeb0, 0xfcfdbf};

struct Lab {
    double lightness;
    double a;
    double b;
};

// CIELAB of the D65 white, in which equal steps look equal.
QRgb toRgb(const Lab& lab) {
    const auto inverse = [](double t) {
        return t > 6.0 / 29 ? t * t * t : 3 * (6.0 / 29) * (6.0 / 29) * (t - 4.0 / 29);
    };
    const double fy = (lab.lightness + 16) / 116;
    const double x = 0.95047 * inverse(fy + lab.a / 500);
    const double y = inverse(fy);
    const double z = 1.08883 * inverse(fy - lab.b / 200);
    const auto byte = [](double linear) {
        const double clipped = std::clamp(linear, 0.0, 1.0);
        const double encoded = clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * std::pow(clipped, 1 / 2.4) - 0.055;
        return static_cast<int>(std::lround(255 * encoded));
    };
    return qRgb(byte(3.2406 * x - 1.5372 * y - 0.4986 * z), byte(-0.9689 * x + 1.8758 * y + 0.0415 * z),
                byte(0.0557 * x - 0.2040 * y + 1.0570 * z));
}

ColourTable fromLab(std::span<const Lab> stops) {
    ColourTable table{};
    for (std::size_t i = 0; i < table.size(); ++i) {
        const double place = static_cast<double>(i) / (kColourSteps - 1) * static_cast<double>(stops.size() - 1);
        const auto left = std::min(static_cast<std::size_t>(place), stops.size() - 2);
        const double t = place - static_cast<double>(left);
        const Lab& p = stops[left];
        const Lab& q = stops[left + 1];
        table[i] = toRgb({std::lerp(p.lightness, q.lightness, t), std::lerp(p.a, q.a, t), std::lerp(p.b, q.b, t)});
    }
    return table;
}

ColourTable fromAnchors(const std::array<QRgb, 33>& anchors) {
    ColourTable table{};
    for (std::size_t i = 0; i < table.size(); ++i) {
        const double place = static_cast<double>(i) / (kColourSteps - 1) * static_cast<double>(anchors.size() - 1);
        const auto left = std::min(static_cast<std::size_t>(place), anchors.size() - 2);
        const double t = place - static_cast<double>(left);
        const auto mix = [t](int p, int q) { return static_cast<int>(std::lround(std::lerp(p, q, t))); };
        const QRgb p = anchors[left];
        const QRgb q = anchors[left + 1];
        table[i] = qRgb(mix(qRed(p), qRed(q)), mix(qGreen(p), qGreen(q)), mix(qBlue(p), qBlue(q)));
    }
    return table;
}

// Blue through grey to yellow: the axis that red-green blindness leaves untouched, lightness rising evenly.
constexpr std::array kCividis{Lab{13, 6, -32}, Lab{52, 0, 1}, Lab{92, -3, 76}};
// Both arms fall evenly in lightness from the neutral middle.
constexpr std::array kBlueWhiteRed{Lab{28, 12, -46}, Lab{62, -6, -30}, Lab{97, 0, 0}, Lab{62, 42, 30}, Lab{28, 48, 28}};

} // namespace

ColourTable colourTable(ColourMapId map) {
    switch (map) {
    case ColourMapId::Viridis:
        return fromAnchors(kViridis);
    case ColourMapId::Magma:
        return fromAnchors(kMagma);
    case ColourMapId::Cividis:
        return fromLab(kCividis);
    case ColourMapId::BlueWhiteRed:
        return fromLab(kBlueWhiteRed);
    }
    return {};
}

SpecialColours specialColours(ColourMapId map) {
    switch (map) {
    case ColourMapId::Viridis:
        return {qRgb(255, 64, 168), qRgb(150, 220, 255), qRgb(255, 60, 0)};
    case ColourMapId::Magma:
        return {qRgb(60, 240, 205), qRgb(70, 130, 255), qRgb(140, 255, 60)};
    case ColourMapId::Cividis:
        return {qRgb(255, 64, 168), qRgb(60, 235, 215), qRgb(255, 60, 0)};
    case ColourMapId::BlueWhiteRed:
        return {qRgb(255, 170, 0), qRgb(0, 190, 160), qRgb(0, 0, 0)};
    }
    return {};
}

} // namespace kvscope::views
