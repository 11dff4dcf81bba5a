// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap_overlay.h"

#include <QPalette>

#include <algorithm>

namespace kvscope::views {

namespace {

constexpr double kMarkRadius = 11;

/// A line that shows on any colour: white over a wider dark one.
template <class Draw> void drawContrasting(QCPPainter* painter, const QColor& colour, Qt::PenStyle style, Draw draw) {
    QPen under(QColor(0, 0, 0, 170), 3);
    under.setCosmetic(true);
    painter->setPen(under);
    draw();
    QPen over(colour, 1, style);
    over.setCosmetic(true);
    painter->setPen(over);
    draw();
}

} // namespace

QRectF HeatmapOverlay::toPixels(const QRectF& cells) const {
    const QCPAxis* columns = plot_.xAxis;
    const QCPAxis* rows = plot_.yAxis;
    return QRectF(QPointF(columns->coordToPixel(cells.left() - 0.5), rows->coordToPixel(cells.top() - 0.5)),
                  QPointF(columns->coordToPixel(cells.right() - 0.5), rows->coordToPixel(cells.bottom() - 0.5)))
        .normalized();
}

void HeatmapOverlay::paint(QCPPainter* painter) const {
    const QRectF area = plot_.axisRect()->rect();
    painter->save();
    painter->setClipRect(area, Qt::IntersectClip);
    painter->setAntialiasing(false);
    painter->setBrush(Qt::NoBrush);
    if (selection_) {
        const QRectF frame = toPixels(*selection_).intersected(area.adjusted(-4, -4, 4, 4));
        if (!frame.isEmpty())
            drawContrasting(painter, Qt::white, Qt::SolidLine, [&] { painter->drawRect(frame); });
    }
    if (guide_) {
        const double x = plot_.xAxis->coordToPixel(*guide_);
        drawContrasting(painter, Qt::white, Qt::DotLine,
                        [&] { painter->drawLine(QPointF(x, area.top()), QPointF(x, area.bottom())); });
    }
    if (crosshair_) {
        const QPointF centre = toPixels(*crosshair_).center();
        QPen pen(QColor(255, 255, 255, 190), 1);
        pen.setCosmetic(true);
        QPen shadow(QColor(0, 0, 0, 110), 1);
        shadow.setCosmetic(true);
        for (const auto& [usedPen, shift] : {std::pair(shadow, 1.0), std::pair(pen, 0.0)}) {
            painter->setPen(usedPen);
            painter->drawLine(QPointF(area.left(), centre.y() + shift), QPointF(area.right(), centre.y() + shift));
            painter->drawLine(QPointF(centre.x() + shift, area.top()), QPointF(centre.x() + shift, area.bottom()));
        }
    }
    if (mark_) {
        const QPointF centre = toPixels(*mark_).center();
        painter->setAntialiasing(true);
        for (const auto& [colour, width] :
             {std::pair(QColor(0, 0, 0, 200), 5.0), std::pair(QColor(255, 255, 255), 2.0)}) {
            painter->setPen(QPen(colour, width));
            painter->drawEllipse(centre, kMarkRadius, kMarkRadius);
        }
        painter->setAntialiasing(false);
    }
    if (rubberBand_) {
        const QColor colour = plot_.palette().color(QPalette::Highlight);
        QColor fill = colour;
        fill.setAlpha(50);
        painter->fillRect(*rubberBand_, fill);
        drawContrasting(painter, Qt::white, Qt::DashLine, [&] { painter->drawRect(*rubberBand_); });
    }
    painter->restore();
}

} // namespace kvscope::views
