// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/geometry.h"

#include <QColor>
#include <QPalette>

namespace kvscope::views {

/// Colours of charts and maps. The hues are Okabe and Ito's colour-blind-safe set; each kind has one hue everywhere,
/// darker on light backgrounds and lighter on dark ones.
struct Theme {
    bool dark = false;
    QColor background;
    QColor text;
    /// Axis lines and secondary text.
    QColor dim;
    QColor grid;
    QColor selection;
    /// Marks what needs a look: outliers, warnings.
    QColor accent;

    /// The theme that goes with a widget's palette.
    static Theme from(const QPalette& palette);
    /// K blue, V orange; the other kinds have hues of their own.
    [[nodiscard]] QColor kind(PlaneKind kind) const;
    /// Deltas to the previous token and to the anchor of a group, beside the values they come from.
    [[nodiscard]] QColor deltaPrevious() const;
    [[nodiscard]] QColor deltaAnchor() const;
    /// The n-th of a set of series that are not kinds (wraps around).
    [[nodiscard]] QColor series(int index) const;
};

} // namespace kvscope::views
