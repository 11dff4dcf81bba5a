// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/histogram_grid.h"

#include "views/chart_parts.h"
#include "views/number_format.h"
#include "views/theme.h"

#include <QHelpEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPaintEvent>
#include <QPainter>
#include <QPainterPath>
#include <QToolTip>

#include <algorithm>

namespace kvscope::views {

namespace {

constexpr int kLeastCellWidth = 110;
constexpr int kCellHeight = 92;
/// In a picture that is too low for all rows, they go on beside each other while cells stay so wide.
constexpr int kLowCellHeight = 60;
constexpr int kNarrowCellWidth = 72;
/// Bars below this share of the highest do not widen the range: heavy tails would squeeze the rest into a needle.
constexpr double kVisibleShare = 0.004;

QColor colourOf(const Theme& theme, const HistogramGrid::Curve& curve, PlaneKind kind) {
    switch (curve.tone) {
    case ChartSeries::Tone::DeltaPrevious:
        return theme.deltaPrevious();
    case ChartSeries::Tone::DeltaAnchor:
        return theme.deltaAnchor();
    case ChartSeries::Tone::Text:
        return theme.text;
    case ChartSeries::Tone::Kind:
    case ChartSeries::Tone::Series:
        break;
    }
    return theme.kind(kind);
}

double highestOf(const std::vector<double>& heights) {
    return heights.empty() ? 0 : *std::max_element(heights.begin(), heights.end());
}

} // namespace

HistogramGrid::HistogramGrid(QWidget* parent)
    : QWidget(parent) {
    setFocusPolicy(Qt::StrongFocus);
    setAccessibleName(tr("Histograms of the layers"));
}

void HistogramGrid::setCells(const QStringList& columns, std::vector<Cell> cells) {
    columns_ = columns;
    cells_ = std::move(cells);
    current_ = std::clamp(current_, 0, std::max(0, static_cast<int>(cells_.size()) - 1));
    updateGeometry();
    update();
}

void HistogramGrid::setSelectedRow(int row) {
    selectedRow_ = row;
    update();
}

int HistogramGrid::rowCount() const {
    return columns_.isEmpty() ? 0 : static_cast<int>(cells_.size()) / columnCount();
}

double HistogramGrid::headerHeight() const {
    return QFontMetricsF(chartFont(*this)).height() + 6;
}

QSize HistogramGrid::sizeHint() const {
    return {columnCount() * 160, minimumSizeHint().height()};
}

QSize HistogramGrid::minimumSizeHint() const {
    return {columnCount() * kLeastCellWidth, static_cast<int>(headerHeight()) + rowCount() * kCellHeight};
}

BinRange HistogramGrid::rangeOf(int column) const {
    BinRange range{0, 0, 1};
    for (std::size_t i = static_cast<std::size_t>(column); i < cells_.size();
         i += static_cast<std::size_t>(columnCount())) {
        for (const Curve& curve : cells_[i].curves) {
            const double least = highestOf(curve.heights) * kVisibleShare;
            for (std::size_t bin = 0; bin < curve.heights.size(); ++bin) {
                if (curve.heights[bin] <= 0 || curve.heights[bin] < least)
                    continue;
                const double centre = curve.range.centre(static_cast<std::int64_t>(bin));
                range.low = std::min(range.low, centre - curve.range.width());
                range.high = std::max(range.high, centre + curve.range.width());
            }
        }
    }
    return range.high > range.low ? range : BinRange{-1, 1, 1};
}

int HistogramGrid::blockCount(const QRectF& area) const {
    int blocks = 1;
    const auto rows = [&] { return (rowCount() + blocks - 1) / blocks; };
    while (rows() > 1 && (area.height() - headerHeight()) / rows() < kLowCellHeight &&
           area.width() / (columnCount() * (blocks + 1)) >= kNarrowCellWidth)
        ++blocks;
    return blocks;
}

QRectF HistogramGrid::cellRect(int row, int column, const QRectF& area) const {
    const int blocks = blockCount(area);
    const int rows = std::max(1, (rowCount() + blocks - 1) / blocks);
    const double width = area.width() / std::max(1, columnCount() * blocks);
    const double height = (area.height() - headerHeight()) / rows;
    const int place = row / rows * columnCount() + column;
    return {area.left() + place * width, area.top() + headerHeight() + row % rows * height, width, height};
}

QRectF HistogramGrid::cellRect(int row, int column) const {
    return cellRect(row, column, QRectF(rect()));
}

int HistogramGrid::cellAt(const QPointF& position) const {
    for (int i = 0; i < static_cast<int>(cells_.size()); ++i) {
        if (cellRect(i / columnCount(), i % columnCount()).contains(position))
            return i;
    }
    return -1;
}

void HistogramGrid::paintCell(QPainter& painter, const Cell& cell, const BinRange& range, const QRectF& area,
                              bool selected) const {
    const Theme theme = Theme::from(palette());
    const QFontMetricsF metrics(painter.font());
    const double line = metrics.height();
    const QRectF inside = area.adjusted(8, 2, -8, -2);
    if (selected) {
        QColor band = theme.selection;
        band.setAlpha(theme.dark ? 90 : 50);
        painter.fillRect(area, band);
    }
    painter.setPen(theme.text);
    painter.drawText(QRectF(inside.left(), inside.top(), inside.width(), line), Qt::AlignLeft, cell.title);
    painter.setPen(theme.dim);
    if (metrics.horizontalAdvance(cell.title) + metrics.horizontalAdvance(cell.note) + line < inside.width())
        painter.drawText(QRectF(inside.left(), inside.top(), inside.width(), line), Qt::AlignRight, cell.note);
    if (cell.curves.empty()) {
        painter.drawText(inside, Qt::AlignCenter | Qt::TextWordWrap, cell.emptyText);
        return;
    }
    const bool showsRange = area.height() >= kLowCellHeight;
    const QRectF plot = inside.adjusted(0, line + 2, 0, showsRange ? -line : -2);
    const auto at = [&](double x) { return plot.left() + (x - range.low) / (range.high - range.low) * plot.width(); };
    const QRectF labels(inside.left(), plot.bottom(), inside.width(), line);
    if (showsRange) {
        painter.drawText(labels, Qt::AlignLeft, formatNumber(range.low, 2));
        painter.drawText(labels, Qt::AlignRight, formatNumber(range.high, 2));
    }
    painter.setPen(QPen(theme.grid, 1));
    painter.drawLine(QPointF(at(0), plot.top()), QPointF(at(0), plot.bottom()));
    painter.setPen(QPen(theme.dim, 1));
    painter.drawLine(plot.bottomLeft(), plot.bottomRight());
    painter.save();
    painter.setClipRect(plot.adjusted(0, -1, 0, 1), Qt::IntersectClip);
    painter.setRenderHint(QPainter::Antialiasing);
    double highest = 0;
    for (const Curve& curve : cell.curves)
        highest = std::max(highest, highestOf(curve.heights));
    for (const Curve& curve : cell.curves) {
        if (!(highest > 0))
            continue;
        QPainterPath outline(QPointF(at(curve.range.low), plot.bottom()));
        for (std::size_t bin = 0; bin < curve.heights.size(); ++bin) {
            const double left = curve.range.low + static_cast<double>(bin) * curve.range.width();
            const double y = plot.bottom() - curve.heights[bin] / highest * plot.height();
            outline.lineTo(at(left), y);
            outline.lineTo(at(left + curve.range.width()), y);
        }
        outline.lineTo(at(curve.range.high), plot.bottom());
        const QColor colour = colourOf(theme, curve, cell.kind);
        QColor fill = colour;
        fill.setAlpha(70);
        painter.setPen(QPen(colour, 1.2));
        painter.setBrush(curve.filled ? QBrush(fill) : QBrush(Qt::NoBrush));
        painter.drawPath(outline);
    }
    painter.restore();
}

void HistogramGrid::paintHeaders(QPainter& painter, int column, const BinRange& range, const QRectF& target) const {
    const QFontMetricsF metrics(painter.font());
    const QRectF first = cellRect(0, column, target);
    // Cells that are too low to name their range have it above them.
    const QString withRange =
        tr("%1: %2 to %3").arg(columns_[column], formatNumber(range.low, 2), formatNumber(range.high, 2));
    const bool named = first.height() >= kLowCellHeight || metrics.horizontalAdvance(withRange) > first.width() - 4;
    painter.setPen(Theme::from(palette()).text);
    for (int block = 0; block < blockCount(target); ++block)
        painter.drawText(QRectF(first.left() + block * columnCount() * first.width() + 2, target.top(),
                                first.width() - 4, headerHeight()),
                         Qt::AlignHCenter | Qt::AlignVCenter,
                         metrics.elidedText(named ? columns_[column] : withRange, Qt::ElideRight, first.width() - 4));
}

void HistogramGrid::paintTo(QPainter& painter, const QRectF& target) const {
    const Theme theme = Theme::from(palette());
    painter.save();
    painter.fillRect(target, theme.background);
    painter.setFont(chartFont(*this));
    for (int column = 0; column < columnCount(); ++column) {
        const BinRange range = rangeOf(column);
        paintHeaders(painter, column, range, target);
        const auto columns = static_cast<std::size_t>(columnCount());
        for (int row = 0; row < rowCount(); ++row)
            paintCell(painter, cells_[static_cast<std::size_t>(row) * columns + static_cast<std::size_t>(column)],
                      range, cellRect(row, column, target), row == selectedRow_);
    }
    painter.restore();
}

void HistogramGrid::paintEvent(QPaintEvent* /*event*/) {
    QPainter painter(this);
    paintTo(painter, QRectF(rect()));
    if (hasFocus() && !cells_.empty()) {
        painter.setPen(QPen(Theme::from(palette()).selection, 1));
        painter.drawRect(cellRect(current_ / columnCount(), current_ % columnCount()).adjusted(1, 1, -1, -1));
    }
}

void HistogramGrid::mousePressEvent(QMouseEvent* event) {
    const int cell = cellAt(event->position());
    if (event->button() != Qt::LeftButton || cell < 0)
        return;
    current_ = cell;
    update();
    emit picked(cell / columnCount(), cell % columnCount());
}

void HistogramGrid::keyPressEvent(QKeyEvent* event) {
    const auto move = [this](int by) {
        if (current_ + by >= 0 && current_ + by < static_cast<int>(cells_.size()))
            current_ += by;
        update();
    };
    switch (event->key()) {
    case Qt::Key_Left:
        move(-1);
        return;
    case Qt::Key_Right:
        move(1);
        return;
    case Qt::Key_Up:
        move(-columnCount());
        return;
    case Qt::Key_Down:
        move(columnCount());
        return;
    case Qt::Key_Return:
    case Qt::Key_Enter:
    case Qt::Key_Space:
        if (!cells_.empty())
            emit picked(current_ / columnCount(), current_ % columnCount());
        return;
    default:
        QWidget::keyPressEvent(event);
    }
}

bool HistogramGrid::event(QEvent* event) {
    if (event->type() == QEvent::ToolTip) {
        const auto* help = static_cast<QHelpEvent*>(event);
        const int cell = cellAt(help->pos());
        if (cell >= 0)
            QToolTip::showText(help->globalPos(), cells_[static_cast<std::size_t>(cell)].toolTip, this);
        return true;
    }
    return QWidget::event(event);
}

} // namespace kvscope::views
