// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QRectF>
#include <QString>

class QPainter;

namespace kvscope::views {

/// What a view offers to be written to PNG, SVG, PDF and CSV, and to be drawn without a display. Views inherit it
/// beside QWidget; callers find it by dynamic_cast.
class ExportableView {
public:
    ExportableView() = default;
    virtual ~ExportableView() = default;
    ExportableView(const ExportableView&) = delete;
    ExportableView& operator=(const ExportableView&) = delete;

    /// What to call the file, without extension, e.g. "layer-charts entropy".
    [[nodiscard]] virtual QString exportName() const = 0;
    /// Draws the view's contents (no scroll bars or buttons) into `target`, given in logical pixels of 1/96 inch; the
    /// caller scales the painter for other resolutions.
    virtual void paintTo(QPainter& painter, const QRectF& target) = 0;
    /// The numbers behind what is shown: a header line with units, comma-separated, points as decimal separators.
    [[nodiscard]] virtual QString toCsv() const = 0;
    /// Starts getting what a picture of this size needs beyond what the window shows; isReady says when it is there.
    virtual void prepare(const QSizeF& /*size*/) {}
    /// Whether everything asked for has been computed, so that a picture taken now is complete.
    [[nodiscard]] virtual bool isReady() const = 0;
};

} // namespace kvscope::views
