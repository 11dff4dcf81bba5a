// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap_plottable.h"

#include <QPaintDevice>

#include <algorithm>
#include <cmath>

namespace kvscope::views {

namespace {

// Snapping tile edges to pixels may squeeze a tile by almost a pixel; this keeps each of its cells at least one wide.
constexpr double kLeastCellPixels = 1.0 + 1.0 / kTileCells;
constexpr double kMarkRadius = 2.5;
// Coarser tiles are looked for up to this many halvings of the resolution away.
constexpr int kFallbackLevels = 6;
// The plot shifts every layer's clip by this many pixels.
constexpr int kLayerShift = -1;
// Vector pictures smooth small images when shown; cells are enlarged to this many pixels a point instead.
constexpr double kVectorPixelRatio = 2.0;

std::int64_t ceilDivide(std::int64_t a, std::int64_t b) {
    return (a + b - 1) / b;
}

/// Smallest power of two of cells that takes at least one device pixel.
std::int64_t stepFor(const QCPRange& range, int pixels, double devicePixelRatio, std::int64_t extent) {
    const double cellPixels = pixels * devicePixelRatio / std::max(range.size(), 1e-9);
    std::int64_t step = 1;
    while (static_cast<double>(step) * cellPixels < kLeastCellPixels && step < extent)
        step *= 2;
    return step;
}

struct Span {
    std::int64_t first;
    std::int64_t count;
};

/// Cells of a step that an axis range touches.
Span visibleSpan(const QCPRange& range, std::int64_t extent, std::int64_t step) {
    const std::int64_t cells = ceilDivide(extent, step);
    const auto cellAt = [&](double coordinate) {
        const double place =
            std::clamp(std::floor((coordinate + 0.5) / static_cast<double>(step)), 0.0, static_cast<double>(cells - 1));
        return static_cast<std::int64_t>(place);
    };
    const std::int64_t first = cellAt(range.lower);
    return {first, cellAt(range.upper) - first + 1};
}

CellRect sharedCells(const CellRect& a, const CellRect& b) {
    const std::int64_t left = std::max(a.column, b.column);
    const std::int64_t top = std::max(a.row, b.row);
    const std::int64_t right = std::min(a.column + a.columns, b.column + b.columns);
    const std::int64_t bottom = std::min(a.row + a.rows, b.row + b.rows);
    return {left, top, std::max<std::int64_t>(right - left, 0), std::max<std::int64_t>(bottom - top, 0)};
}

} // namespace

bool isForFile(const QCPPainter& painter) {
    return painter.modes().testFlag(QCPPainter::pmVectorized) || painter.modes().testFlag(QCPPainter::pmNoCaching);
}

HeatmapPlottable::HeatmapPlottable(QCPAxis* columnAxis, QCPAxis* rowAxis)
    : QCPAbstractPlottable(columnAxis, rowAxis) {
    setAntialiased(false);
    setSelectable(QCP::stNone);
}

void HeatmapPlottable::setOverview(std::shared_ptr<const HeatmapOverview> overview) {
    overview_ = std::move(overview);
}

void HeatmapPlottable::setCache(TileCache* cache) {
    cache_ = cache;
    if (cache_ != nullptr && versions_ > 0)
        cache_->setColouring(colouring_);
}

void HeatmapPlottable::setColouring(HeatmapColouring colouring) {
    colouring.version = ++versions_;
    colouring.marksVersion =
        colouring.markLimits == colouring_->markLimits ? colouring_->marksVersion : colouring.version;
    colouring_ = std::make_shared<const HeatmapColouring>(std::move(colouring));
    if (cache_ != nullptr)
        cache_->setColouring(colouring_);
}

MapShape HeatmapPlottable::shape() const {
    return overview_ ? overview_->shape : MapShape{};
}

void HeatmapPlottable::setSection(double from, double to) {
    from_ = from;
    to_ = to;
}

QRect HeatmapPlottable::clipRect() const {
    const QRect area = QCPAbstractPlottable::clipRect();
    const auto edge = [&area](double share) {
        return area.left() + static_cast<int>(std::lround(share * area.width()));
    };
    return {QPoint(edge(from_), area.top()), QPoint(edge(to_) - 1, area.bottom())};
}

VisibleCells HeatmapPlottable::visibleCells(double devicePixelRatio) const {
    const MapShape extent = shape();
    if (extent.columns <= 0 || extent.rows <= 0)
        return {};
    const QRect area = keyAxis()->axisRect()->rect();
    VisibleCells visible;
    visible.step.columns = stepFor(keyAxis()->range(), area.width(), devicePixelRatio, extent.columns);
    visible.step.rows = stepFor(valueAxis()->range(), area.height(), devicePixelRatio, extent.rows);
    const Span columns = visibleSpan(keyAxis()->range(), extent.columns, visible.step.columns);
    const Span rows = visibleSpan(valueAxis()->range(), extent.rows, visible.step.rows);
    visible.rect = {columns.first, rows.first, columns.count, rows.count};
    return visible;
}

std::vector<TileKey> HeatmapPlottable::visibleTiles(const VisibleCells& visible) const {
    std::vector<TileKey> keys;
    const CellRect& rect = visible.rect;
    if (cache_ == nullptr || rect.columns <= 0 || rect.rows <= 0)
        return keys;
    const int map = cache_->mapId(overview_->spec);
    const std::int64_t lastColumn = (rect.column + rect.columns - 1) / kTileCells;
    const std::int64_t lastRow = (rect.row + rect.rows - 1) / kTileCells;
    for (std::int64_t row = rect.row / kTileCells; row <= lastRow; ++row) {
        for (std::int64_t column = rect.column / kTileCells; column <= lastColumn; ++column)
            keys.push_back({map, visible.step, column, row});
    }
    const double middleColumn = static_cast<double>(rect.column) + static_cast<double>(rect.columns) / 2;
    const double middleRow = static_cast<double>(rect.row) + static_cast<double>(rect.rows) / 2;
    const auto distance = [&](const TileKey& key) {
        return std::abs((static_cast<double>(key.column) + 0.5) * kTileCells - middleColumn) +
               std::abs((static_cast<double>(key.row) + 0.5) * kTileCells - middleRow);
    };
    std::stable_sort(keys.begin(), keys.end(),
                     [&](const TileKey& a, const TileKey& b) { return distance(a) < distance(b); });
    return keys;
}

HeatmapPlottable::ClipCount HeatmapPlottable::countClipped(const VisibleCells& visible) const {
    ClipCount count;
    std::vector<float> scratch;
    for (const TileKey& key : visibleTiles(visible)) {
        const HeatmapTile* tile = cache_->find(key);
        if (tile == nullptr)
            continue;
        const auto values = tile->values(colouring_->reduction, scratch);
        const CellRect& rect = tile->rect();
        const std::int64_t lastRow = std::min(rect.row + rect.rows, visible.rect.row + visible.rect.rows);
        const std::int64_t lastColumn =
            std::min(rect.column + rect.columns, visible.rect.column + visible.rect.columns);
        const std::int64_t firstColumn = std::max(rect.column, visible.rect.column);
        for (std::int64_t row = std::max(rect.row, visible.rect.row); row < lastRow; ++row) {
            const float factor = colouring_->factor(row * tile->step().rows);
            const auto line = static_cast<std::size_t>((row - rect.row) * rect.columns);
            for (std::int64_t column = firstColumn; column < lastColumn; ++column) {
                const float value = values[line + static_cast<std::size_t>(column - rect.column)] * factor;
                count.cells += value == value ? 1 : 0;
                count.clipped += colouring_->scale.isClipped(value) ? 1 : 0;
            }
        }
    }
    return count;
}

double HeatmapPlottable::selectTest(const QPointF& /*pos*/, bool /*onlySelectable*/, QVariant* /*details*/) const {
    return -1;
}

QCPRange HeatmapPlottable::getKeyRange(bool& foundRange, QCP::SignDomain /*inSignDomain*/) const {
    foundRange = shape().columns > 0;
    return {-0.5, static_cast<double>(shape().columns) - 0.5};
}

QCPRange HeatmapPlottable::getValueRange(bool& foundRange, QCP::SignDomain /*inSignDomain*/,
                                         const QCPRange& /*inKeyRange*/) const {
    foundRange = shape().rows > 0;
    return {-0.5, static_cast<double>(shape().rows) - 0.5};
}

QRectF HeatmapPlottable::pixelRect(double column, double row, double columnEnd, double rowEnd,
                                   double devicePixelRatio) const {
    const auto snap = [devicePixelRatio](double pixel) {
        return std::round(pixel * devicePixelRatio) / devicePixelRatio;
    };
    const double left = snap(keyAxis()->coordToPixel(column - 0.5));
    const double right = snap(keyAxis()->coordToPixel(columnEnd - 0.5));
    const double top = snap(valueAxis()->coordToPixel(row - 0.5));
    const double bottom = snap(valueAxis()->coordToPixel(rowEnd - 0.5));
    return QRectF(QPointF(left, top), QPointF(right, bottom)).normalized();
}

QRectF HeatmapPlottable::targetOf(const HeatmapTile& tile, const CellRect& part, double devicePixelRatio) const {
    const CellStep& step = tile.step();
    // The last cell of an axis may stand for fewer columns or rows than the others, and is as much narrower.
    const auto columnEdge = [&](std::int64_t cell) {
        return static_cast<double>(std::min(cell * step.columns, shape().columns));
    };
    const auto rowEdge = [&](std::int64_t cell) {
        return static_cast<double>(std::min(cell * step.rows, shape().rows));
    };
    return pixelRect(columnEdge(part.column), rowEdge(part.row), columnEdge(part.column + part.columns),
                     rowEdge(part.row + part.rows), devicePixelRatio);
}

QRegion HeatmapPlottable::coveredArea(double devicePixelRatio) const {
    QRegion covered;
    if (cache_ == nullptr || overview_ == nullptr || overview_->whole == nullptr || !realVisibility())
        return covered;
    const VisibleCells visible = visibleCells(devicePixelRatio);
    for (const TileKey& key : visibleTiles(visible)) {
        const HeatmapTile* tile = cache_->find(key);
        if (tile == nullptr || !tile->isOpaque())
            continue;
        const CellRect part = sharedCells(tile->rect(), visible.rect);
        const QRectF target = targetOf(*tile, part, devicePixelRatio);
        // Whole pixels only.
        covered += QRect(QPoint(static_cast<int>(std::ceil(target.left())), static_cast<int>(std::ceil(target.top()))),
                         QPoint(static_cast<int>(std::floor(target.right())) - 1,
                                static_cast<int>(std::floor(target.bottom())) - 1));
    }
    return covered & clipRect().translated(0, kLayerShift);
}

void HeatmapPlottable::drawTile(QCPPainter* painter, HeatmapTile& tile, const CellRect& cells,
                                double devicePixelRatio) const {
    const CellRect part = sharedCells(tile.rect(), cells);
    if (part.columns == 0 || part.rows == 0)
        return;
    const QRectF target = targetOf(tile, part, devicePixelRatio);
    const QRectF source(static_cast<double>(part.column - tile.rect().column),
                        static_cast<double>(part.row - tile.rect().row), static_cast<double>(part.columns),
                        static_cast<double>(part.rows));
    const QImage& image = tile.image(colouring(), source.toRect());
    if (isForFile(*painter)) {
        const QSize size(std::max(1, static_cast<int>(std::lround(target.width() * kVectorPixelRatio))),
                         std::max(1, static_cast<int>(std::lround(target.height() * kVectorPixelRatio))));
        painter->drawImage(target,
                           image.copy(source.toRect()).scaled(size, Qt::IgnoreAspectRatio, Qt::FastTransformation));
        return;
    }
    painter->drawImage(target, image, source);
}

void HeatmapPlottable::drawFallback(QCPPainter* painter, const TileKey& key, double devicePixelRatio) const {
    // Full-resolution columns and rows of the missing tile.
    const std::int64_t column = key.column * kTileCells * key.step.columns;
    const std::int64_t row = key.row * kTileCells * key.step.rows;
    const std::int64_t columnEnd = column + kTileCells * key.step.columns;
    const std::int64_t rowEnd = row + kTileCells * key.step.rows;
    const auto coveredCells = [&](const CellStep& step) {
        const std::int64_t left = column / step.columns;
        const std::int64_t top = row / step.rows;
        return CellRect{left, top, ceilDivide(columnEnd, step.columns) - left, ceilDivide(rowEnd, step.rows) - top};
    };
    for (int level = 1; level <= kFallbackLevels; ++level) {
        for (int columnLevel = level; columnLevel >= 0; --columnLevel) {
            TileKey coarser = key;
            coarser.step.columns <<= columnLevel;
            coarser.step.rows <<= level - columnLevel;
            coarser.column = column / (kTileCells * coarser.step.columns);
            coarser.row = row / (kTileCells * coarser.step.rows);
            if (HeatmapTile* tile = cache_->find(coarser)) {
                drawTile(painter, *tile, coveredCells(coarser.step), devicePixelRatio);
                return;
            }
        }
    }
    if (overview_->whole)
        drawTile(painter, *overview_->whole, coveredCells(overview_->whole->step()), devicePixelRatio);
}

void HeatmapPlottable::drawMarks(QCPPainter* painter, HeatmapTile& tile) const {
    for (const QPoint& mark : tile.marks(colouring())) {
        const auto& step = tile.step();
        const double column = static_cast<double>((tile.rect().column + mark.x()) * step.columns) - 0.5 +
                              static_cast<double>(step.columns) / 2;
        const double row =
            static_cast<double>((tile.rect().row + mark.y()) * step.rows) - 0.5 + static_cast<double>(step.rows) / 2;
        painter->drawEllipse(QPointF(keyAxis()->coordToPixel(column), valueAxis()->coordToPixel(row)), kMarkRadius,
                             kMarkRadius);
    }
}

void HeatmapPlottable::draw(QCPPainter* painter) {
    if (cache_ == nullptr || overview_ == nullptr || overview_->whole == nullptr)
        return;
    // A picture for a file is drawn from the tiles of the window, which are there.
    const bool vector = isForFile(*painter);
    const double ratio = vector ? mParentPlot->devicePixelRatioF() : painter->device()->devicePixelRatioF();
    const VisibleCells visible = visibleCells(ratio);
    const std::vector<TileKey> keys = visibleTiles(visible);
    painter->setRenderHint(QPainter::SmoothPixmapTransform, false);
    std::vector<HeatmapTile*> drawn;
    for (const TileKey& key : keys) {
        if (HeatmapTile* tile = cache_->find(key)) {
            drawTile(painter, *tile, visible.rect, ratio);
            drawn.push_back(tile);
        } else {
            drawFallback(painter, key, ratio);
        }
    }
    painter->setAntialiasing(true);
    painter->setPen(QPen(Qt::black, 1));
    painter->setBrush(Qt::white);
    for (HeatmapTile* tile : drawn)
        drawMarks(painter, *tile);
    vector ? emit pictureDrawn(keys) : emit tilesWanted(keys);
}

void HeatmapPlottable::drawLegendIcon(QCPPainter* /*painter*/, const QRectF& /*rect*/) const {}

} // namespace kvscope::views
