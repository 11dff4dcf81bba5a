// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/theme.h"

#include <array>

namespace kvscope::views {

namespace {

QColor mix(const QColor& a, const QColor& b, double share) {
    const auto blend = [share](int x, int y) { return static_cast<int>(x + (y - x) * share); };
    return {blend(a.red(), b.red()), blend(a.green(), b.green()), blend(a.blue(), b.blue())};
}

} // namespace

Theme Theme::from(const QPalette& palette) {
    Theme theme;
    theme.background = palette.color(QPalette::Active, QPalette::Base);
    theme.text = palette.color(QPalette::Active, QPalette::Text);
    theme.dark = theme.background.lightness() < 128;
    theme.dim = mix(theme.text, theme.background, 0.35);
    theme.grid = mix(theme.background, theme.text, 0.14);
    theme.selection = palette.color(QPalette::Active, QPalette::Highlight);
    theme.accent = theme.dark ? QColor(0xFF, 0x8F, 0xC7) : QColor(0xB0, 0x3A, 0x86);
    return theme;
}

QColor Theme::kind(PlaneKind kind) const {
    switch (kind) {
    case PlaneKind::Key:
        return dark ? QColor(0x56, 0xB4, 0xE9) : QColor(0x00, 0x72, 0xB2);
    case PlaneKind::Value:
        return dark ? QColor(0xE6, 0x9F, 0x00) : QColor(0xD5, 0x5E, 0x00);
    case PlaneKind::Latent:
        return dark ? QColor(0x3F, 0xD0, 0xA4) : QColor(0x00, 0x8F, 0x68);
    case PlaneKind::Query:
        return dark ? QColor(0xE3, 0x9A, 0xC8) : QColor(0xB5, 0x5B, 0x93);
    case PlaneKind::KeyBeforeRope:
        return dark ? QColor(0xA9, 0xD9, 0xF5) : QColor(0x4F, 0xA3, 0xD6);
    }
    return text;
}

QColor Theme::deltaPrevious() const {
    return dark ? QColor(0x3F, 0xD0, 0xA4) : QColor(0x00, 0x80, 0x5C);
}

QColor Theme::deltaAnchor() const {
    return dark ? QColor(0xE3, 0x9A, 0xC8) : QColor(0xA8, 0x4A, 0x86);
}

QColor Theme::series(int index) const {
    static constexpr std::array kOrder{PlaneKind::Key, PlaneKind::Value, PlaneKind::Latent, PlaneKind::Query,
                                       PlaneKind::KeyBeforeRope};
    return kind(kOrder[static_cast<std::size_t>(index) % kOrder.size()]);
}

} // namespace kvscope::views
