// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QRectF>
#include <qcustomplot.h>

#include <optional>

namespace kvscope::views {

/// What moves with the mouse: crosshair, selection frame, rubber band and the mark of a shown cell, on a buffered layer
/// of its own so that moving it redraws no cell. Coordinates are full-resolution columns and rows; cell i is centred on
/// i.
class HeatmapOverlay : public QCPLayerable {
    Q_OBJECT

public:
    HeatmapOverlay(QCustomPlot* plot, const QString& layer);

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
    void redraw();

protected:
    [[nodiscard]] QRect clipRect() const override;
    void applyDefaultAntialiasingHint(QCPPainter* painter) const override;
    void draw(QCPPainter* painter) override;

private:
    [[nodiscard]] QRectF toPixels(const QRectF& cells) const;

    std::optional<QRectF> crosshair_;
    std::optional<double> guide_;
    std::optional<QRectF> selection_;
    std::optional<QRectF> mark_;
    std::optional<QRectF> rubberBand_;
};

} // namespace kvscope::views
