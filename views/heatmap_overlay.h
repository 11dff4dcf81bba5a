// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QRectF>
#include <qcustomplot.h>

#include <optional>

namespace kvscope::views {

/// What moves with the mouse: crosshair, selection frame, rubber band and the mark of a shown cell. The plot paints it
/// over its layers into the window, so that moving it redraws no cell and takes no buffer. Coordinates are
/// full-resolution columns and rows; cell i is centred on i.
class HeatmapOverlay {
public:
    explicit HeatmapOverlay(QCustomPlot& plot)
        : plot_(plot) {}

    /// Cells under the crosshair.
    void setCrosshair(std::optional<QRectF> cell) { crosshair_ = cell; }
    /// A column alone.
    void setGuide(std::optional<double> column) { guide_ = column; }
    void setSelection(std::optional<QRectF> cells) { selection_ = cells; }
    void setMark(std::optional<QRectF> cell) { mark_ = cell; }
    /// In pixels.
    void setRubberBand(std::optional<QRectF> band) { rubberBand_ = band; }
    [[nodiscard]] const std::optional<QRectF>& crosshair() const { return crosshair_; }
    [[nodiscard]] const std::optional<double>& guide() const { return guide_; }
    [[nodiscard]] const std::optional<QRectF>& selection() const { return selection_; }
    [[nodiscard]] const std::optional<QRectF>& mark() const { return mark_; }
    /// Paints the plot again, with its cells as they are.
    void redraw() { plot_.update(); }
    void paint(QCPPainter* painter) const;

private:
    [[nodiscard]] QRectF toPixels(const QRectF& cells) const;

    QCustomPlot& plot_;
    std::optional<QRectF> crosshair_;
    std::optional<double> guide_;
    std::optional<QRectF> selection_;
    std::optional<QRectF> mark_;
    std::optional<QRectF> rubberBand_;
};

} // namespace kvscope::views
