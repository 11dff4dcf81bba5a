// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap_ground.h"

namespace kvscope::views {

HeatmapGround::HeatmapGround(QCustomPlot* plot, const HeatmapPlottable& map)
    : QCPLayerable(plot, QStringLiteral("background"))
    , map_(map) {}

void HeatmapGround::setColours(const QColor& background, const QColor& ground) {
    background_ = background;
    ground_ = ground;
}

void HeatmapGround::applyDefaultAntialiasingHint(QCPPainter* painter) const {
    painter->setAntialiasing(false);
}

void HeatmapGround::draw(QCPPainter* painter) {
    const QRect area = mParentPlot->axisRect()->rect();
    // Layers are clipped a pixel above their place.
    painter->setClipping(false);
    if (isForFile(*painter)) {
        painter->fillRect(area, ground_);
        return;
    }
    for (const QRect& rect : QRegion(mParentPlot->viewport()) - area)
        painter->fillRect(rect, background_);
    for (const QRect& rect : QRegion(area) - map_.coveredArea(painter->device()->devicePixelRatioF()))
        painter->fillRect(rect, ground_);
}

MapBuffer::MapBuffer(const QSize& size, double devicePixelRatio)
    : QCPAbstractPaintBuffer(size, devicePixelRatio) {
    MapBuffer::reallocateBuffer();
}

QCPPainter* MapBuffer::startPainting() {
    return new QCPPainter(&image_);
}

void MapBuffer::draw(QCPPainter* painter) const {
    painter->drawImage(0, 0, image_);
}

void MapBuffer::clear(const QColor& /*colour*/) {}

void MapBuffer::reallocateBuffer() {
    setInvalidated();
    image_ = QImage(mSize * mDevicePixelRatio, QImage::Format_RGB32);
    image_.setDevicePixelRatio(mDevicePixelRatio);
    image_.fill(Qt::black);
}

} // namespace kvscope::views
