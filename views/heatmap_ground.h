// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/heatmap_plottable.h"

#include <QImage>
#include <qcustomplot.h>

namespace kvscope::views {

/// What lies below a map: the plot's background around it, and a ground where no tile covers it. It paints every pixel
/// that the map leaves, so that a MapBuffer need not be cleared before a frame.
class HeatmapGround : public QCPLayerable {
public:
    HeatmapGround(QCustomPlot* plot, const HeatmapPlottable& map);

    /// Around the map, and within it.
    void setColours(const QColor& background, const QColor& ground);

protected:
    void applyDefaultAntialiasingHint(QCPPainter* painter) const override;
    void draw(QCPPainter* painter) override;

private:
    const HeatmapPlottable& map_;
    QColor background_;
    QColor ground_;
};

/// An opaque buffer, which is copied into a window where one with transparency would be blended. Keeps its pixels from
/// frame to frame: whoever draws paints all of them.
class MapBuffer : public QCPAbstractPaintBuffer {
public:
    MapBuffer(const QSize& size, double devicePixelRatio);

    QCPPainter* startPainting() override;
    void draw(QCPPainter* painter) const override;
    void clear(const QColor& colour) override;

protected:
    void reallocateBuffer() override;

private:
    QImage image_;
};

} // namespace kvscope::views
