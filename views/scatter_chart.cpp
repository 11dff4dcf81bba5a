// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/scatter_chart.h"

#include "views/chart_parts.h"

#include <QEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QToolTip>
#include <qcustomplot.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

namespace kvscope::views {

namespace {

const QString kName = QStringLiteral("point-name");
constexpr double kReach = 14;
constexpr double kPointSize = 8;
constexpr std::array kShapes{
    QCPScatterStyle::ssDisc,    QCPScatterStyle::ssSquare,           QCPScatterStyle::ssTriangle,
    QCPScatterStyle::ssDiamond, QCPScatterStyle::ssTriangleInverted, QCPScatterStyle::ssStar};

} // namespace

ScatterChart::ScatterChart(QWidget* parent)
    : QWidget(parent)
    , theme_(Theme::from(palette()))
    , plot_(makePlot(*this)) {
    connect(plot_, &QCustomPlot::afterLayout, this, &ScatterChart::layOutNames);
    rebuild(false);
}

void ScatterChart::setData(ScatterData data, bool keepZoom) {
    const bool same = data.xTitle == data_.xTitle && data.yTitle == data_.yTitle && !data_.points.empty();
    // The keys go on from the point where they were, if it is still there.
    const std::optional<QString> name = cursor_ ? std::optional(data_.points[*cursor_].name) : std::nullopt;
    data_ = std::move(data);
    rebuild(keepZoom && same);
    const auto found = name ? std::ranges::find(data_.points, *name, &ScatterPoint::name) : data_.points.end();
    if (found == data_.points.end())
        return;
    cursor_ = static_cast<std::size_t>(found - data_.points.begin());
    markCursor();
}

QPointF ScatterChart::pixelOf(const ScatterPoint& point) const {
    return {plot_->xAxis->coordToPixel(point.x), plot_->yAxis->coordToPixel(point.y)};
}

QPointF ScatterChart::pointAt(std::size_t index) const {
    return pixelOf(data_.points[index]) + QPointF(plot_->pos());
}

void ScatterChart::rebuild(bool keepZoom) {
    const QCPRange x = plot_->xAxis->range();
    const QCPRange y = plot_->yAxis->range();
    const bool wasHome =
        x.lower == homeLow_.x() && x.upper == homeHigh_.x() && y.lower == homeLow_.y() && y.upper == homeHigh_.y();
    plot_->clearItems();
    plot_->clearPlottables();
    cursor_.reset();
    order_.resize(data_.points.size());
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::ranges::stable_sort(order_, {}, [this](std::size_t i) { return data_.points[i].x; });
    styleAxes();
    computeHome();
    if (keepZoom && !wasHome) {
        plot_->xAxis->setRange(x);
        plot_->yAxis->setRange(y);
    } else {
        goHome();
    }
    addPoints();
    addNames();
    fitTicks(plot_->size());
    plot_->replot(QCustomPlot::rpQueuedReplot);
}

void ScatterChart::addPoints() {
    if (!data_.line.empty()) {
        QCPGraph* line = plot_->addGraph();
        line->setName(data_.lineName);
        line->setPen(QPen(theme_.accent, 1.4, Qt::DashLine));
        line->setLineStyle(QCPGraph::lsStepRight);
        for (const QPointF& corner : data_.line)
            line->addData(corner.x(), corner.y());
    }
    for (std::size_t group = 0; group < data_.groups.size(); ++group) {
        QCPGraph* graph = plot_->addGraph();
        const QColor colour = theme_.series(data_.groups[group].tone);
        graph->setName(data_.groups[group].name);
        graph->setLineStyle(QCPGraph::lsNone);
        graph->setPen(QPen(colour, 1.3));
        graph->setScatterStyle(
            QCPScatterStyle(kShapes[group % kShapes.size()], QPen(colour, 1.3), QBrush(colour), kPointSize));
        for (const ScatterPoint& point : data_.points) {
            if (point.group == group)
                graph->addData(point.x, point.y);
        }
        if (graph->dataCount() == 0)
            graph->removeFromLegend();
    }
    plot_->legend->setVisible(plot_->legend->itemCount() > 1);
    if (data_.marked) {
        const ScatterPoint& point = data_.points[*data_.marked];
        QCPGraph* ring = plot_->addGraph();
        ring->setLineStyle(QCPGraph::lsNone);
        ring->setScatterStyle(
            QCPScatterStyle(QCPScatterStyle::ssCircle, QPen(theme_.text, 1.6), Qt::NoBrush, kPointSize + 8));
        ring->addData(point.x, point.y);
        ring->removeFromLegend();
    }
    QCPGraph* cursor = plot_->addGraph();
    cursor->setObjectName(QStringLiteral("cursor"));
    cursor->setLineStyle(QCPGraph::lsNone);
    cursor->setScatterStyle(
        QCPScatterStyle(QCPScatterStyle::ssCircle, QPen(theme_.selection, 2.2), Qt::NoBrush, kPointSize + 5));
    cursor->removeFromLegend();
}

void ScatterChart::addNames() {
    const bool empty = data_.points.empty();
    plot_->axisRect()->setVisible(!empty);
    for (QCPAxis* axis : {plot_->xAxis, plot_->yAxis})
        axis->setVisible(!empty);
    if (empty) {
        auto* text = new QCPItemText(plot_);
        text->position->setType(QCPItemPosition::ptViewportRatio);
        text->position->setCoords(0.5, 0.5);
        text->setClipToAxisRect(false);
        text->setText(data_.emptyText);
        text->setColor(theme_.dim);
        text->setFont(chartFont(*this));
        return;
    }
    for (const ScatterPoint& point : data_.points) {
        auto* text = new QCPItemText(plot_);
        text->setObjectName(kName);
        text->setText(point.name);
        text->setColor(point.important ? theme_.text : theme_.dim);
        QFont font = chartFont(*this);
        font.setPixelSize(std::max(9, font.pixelSize() - 1));
        text->setFont(font);
        text->setPositionAlignment(Qt::AlignLeft | Qt::AlignTop);
        text->position->setType(QCPItemPosition::ptAbsolute);
        text->setClipToAxisRect(false);
    }
    if (!data_.level)
        return;
    auto* line = new QCPItemStraightLine(plot_);
    line->point1->setCoords(0, *data_.level);
    line->point2->setCoords(1, *data_.level);
    line->setPen(QPen(theme_.dim, 1, Qt::DotLine));
    auto* text = new QCPItemText(plot_);
    text->position->setTypeX(QCPItemPosition::ptAxisRectRatio);
    // Left of the legend, right of the points: what is lossless is never far to the right.
    text->position->setCoords(0.66, *data_.level);
    text->setPositionAlignment(Qt::AlignHCenter | Qt::AlignBottom);
    text->setPadding(QMargins(3, 0, 3, 1));
    text->setText(data_.levelName);
    text->setColor(theme_.dim);
    text->setFont(chartFont(*this));
}

void ScatterChart::layOutNames() {
    const QRectF area = plot_->axisRect()->rect();
    std::vector<QRectF> taken;
    for (const ScatterPoint& point : data_.points) {
        const QPointF at = pixelOf(point);
        taken.emplace_back(at - QPointF(4, 4), QSizeF(8, 8));
    }
    if (data_.marked) {
        const QPointF at = pixelOf(data_.points[*data_.marked]);
        taken.emplace_back(at - QPointF(9, 9), QSizeF(18, 18));
    }
    std::vector<QRectF> line;
    for (std::size_t i = 1; i < data_.line.size(); ++i) {
        // From each corner up, then on to the next one's left: lsStepRight.
        const auto pixel = [this](const QPointF& at) {
            return QPointF(plot_->xAxis->coordToPixel(at.x()), plot_->yAxis->coordToPixel(at.y()));
        };
        const QPointF from = pixel(data_.line[i - 1]);
        const QPointF to = pixel(data_.line[i]);
        const QPointF corner(from.x(), to.y());
        for (const auto& [a, b] : {std::pair(from, corner), std::pair(corner, to)})
            line.push_back(QRectF(a, b).normalized().adjusted(-1, -1, 1, 1));
    }
    if (data_.level)
        line.emplace_back(area.left(), plot_->yAxis->coordToPixel(*data_.level) - 1, area.width(), 2);
    std::vector<QCPItemText*> names;
    for (int i = 0; i < plot_->itemCount(); ++i) {
        if (auto* text = qobject_cast<QCPItemText*>(plot_->item(i)); text != nullptr && text->objectName() == kName)
            names.push_back(text);
    }
    if (names.size() != data_.points.size())
        return;
    std::vector<std::size_t> byWorth(names.size());
    std::iota(byWorth.begin(), byWorth.end(), std::size_t{0});
    std::ranges::stable_sort(byWorth, std::greater{}, [this](std::size_t i) {
        return 2 * static_cast<int>(data_.marked == i) + static_cast<int>(data_.points[i].important);
    });
    for (const std::size_t i : byWorth) {
        const QPointF at = pixelOf(data_.points[i]);
        const QFontMetricsF metrics(names[i]->font());
        const QSizeF size(metrics.horizontalAdvance(names[i]->text()) + 2, metrics.height());
        const double w = size.width();
        const double h = size.height();
        // Outside the ring of the one that is marked.
        const double r = data_.marked == i ? 11 : 6;
        const std::array places{QPointF(r + 1, -h / 2),          QPointF(-w - r - 1, -h / 2),
                                QPointF(-w / 2, -h - r),         QPointF(-w / 2, r),
                                QPointF(r - 1, -h - r + 3),      QPointF(r - 1, r - 3),
                                QPointF(-w - r + 1, -h - r + 3), QPointF(-w - r + 1, r - 3)};
        const auto isFree = [&](const QRectF& box, const std::vector<QRectF>& others) {
            return std::ranges::none_of(others, [&](const QRectF& other) { return other.intersects(box); });
        };
        std::optional<QRectF> best;
        // Beside the line where there is room, else across it.
        for (const bool across : {false, true}) {
            for (const QPointF& place : places) {
                const QRectF box(at + place, size);
                if (!best && area.contains(box) && area.contains(at) && isFree(box, taken) &&
                    (across || isFree(box, line)))
                    best = box;
            }
        }
        if (best) {
            names[i]->position->setCoords(best->topLeft());
            taken.push_back(*best);
        }
        names[i]->setVisible(best.has_value());
    }
}

std::vector<QRectF> ScatterChart::shownNames() const {
    std::vector<QRectF> boxes;
    for (int i = 0; i < plot_->itemCount(); ++i) {
        const auto* text = qobject_cast<QCPItemText*>(plot_->item(i));
        if (text == nullptr || text->objectName() != kName || !text->visible())
            continue;
        const QFontMetricsF metrics(text->font());
        boxes.emplace_back(text->position->pixelPosition() + QPointF(plot_->pos()),
                           QSizeF(metrics.horizontalAdvance(text->text()), metrics.height()));
    }
    return boxes;
}

void ScatterChart::styleAxes() {
    const QFont small = chartFont(*this);
    views::styleAxes(*plot_, theme_, small);
    plot_->xAxis->setLabel(data_.xTitle);
    plot_->yAxis->setLabel(data_.yTitle);
    plot_->xAxis->setTicker(makeTicker(false, false));
    plot_->yAxis->setTicker(makeTicker(data_.yLog, false));
    plot_->yAxis->setScaleType(data_.yLog ? QCPAxis::stLogarithmic : QCPAxis::stLinear);
    plot_->legend->setFont(small);
    plot_->legend->setTextColor(theme_.text);
    plot_->legend->setBorderPen(QPen(theme_.grid));
    QColor veil = theme_.background;
    veil.setAlpha(200);
    plot_->legend->setBrush(veil);
    plot_->legend->setIconSize(14, 10);
    plot_->legend->setRowSpacing(0);
    plot_->axisRect()->insetLayout()->setInsetAlignment(0, Qt::AlignRight | Qt::AlignBottom);
}

void ScatterChart::computeHome() {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    QPointF low(kInfinity, kInfinity);
    QPointF high(-kInfinity, -kInfinity);
    const auto add = [&](double x, double y) {
        low = {std::min(low.x(), x), std::min(low.y(), y)};
        high = {std::max(high.x(), x), std::max(high.y(), y)};
    };
    for (const ScatterPoint& point : data_.points)
        add(point.x, point.y);
    if (data_.points.empty())
        return;
    if (data_.level)
        add(data_.points.front().x, *data_.level);
    const double width = std::max(high.x() - low.x(), 0.2);
    homeLow_.setX(low.x() - 0.06 * width);
    homeHigh_.setX(high.x() + 0.12 * width);
    if (data_.yLog) {
        const double decades = std::max(0.5, std::log10(high.y() / low.y()));
        homeLow_.setY(low.y() * std::pow(10, -0.08 * decades));
        homeHigh_.setY(high.y() * std::pow(10, 0.08 * decades));
    } else {
        const double height = std::max(high.y() - low.y(), 1e-9);
        homeLow_.setY(low.y() - 0.08 * height);
        homeHigh_.setY(high.y() + 0.08 * height);
    }
}

void ScatterChart::goHome() {
    plot_->xAxis->setRange(homeLow_.x(), homeHigh_.x());
    plot_->yAxis->setRange(homeLow_.y(), homeHigh_.y());
    plot_->replot(QCustomPlot::rpQueuedReplot);
}

void ScatterChart::fitTicks(const QSize& size) {
    const int letter = QFontMetrics(chartFont(*this)).averageCharWidth();
    plot_->xAxis->ticker()->setTickCount(std::clamp(size.width() / (letter * 10), 2, 12));
    plot_->yAxis->ticker()->setTickCount(std::clamp(size.height() / 45, 2, 8));
}

std::optional<std::size_t> ScatterChart::nearest(const QPointF& inPlot) const {
    std::optional<std::size_t> best;
    double bestDistance = kReach;
    for (std::size_t i = 0; i < data_.points.size(); ++i) {
        const QPointF way = pixelOf(data_.points[i]) - inPlot;
        const double distance = std::hypot(way.x(), way.y());
        if (distance < bestDistance) {
            bestDistance = distance;
            best = i;
        }
    }
    return best;
}

void ScatterChart::markCursor() {
    for (int i = 0; i < plot_->graphCount(); ++i) {
        QCPGraph* graph = plot_->graph(i);
        if (graph->objectName() != QLatin1String("cursor"))
            continue;
        graph->data()->clear();
        if (cursor_)
            graph->addData(data_.points[*cursor_].x, data_.points[*cursor_].y);
    }
    plot_->replot(QCustomPlot::rpQueuedReplot);
}

void ScatterChart::setCursorTo(std::optional<std::size_t> index, bool speak) {
    if (cursor_ == index && !speak)
        return;
    cursor_ = index;
    markCursor();
    if (!index) {
        QToolTip::hideText();
        return;
    }
    const ScatterPoint& point = data_.points[*index];
    showChartToolTip(mapToGlobal(pointAt(*index).toPoint() + QPoint(12, 12)), point.explanation, this);
}

void ScatterChart::changeEvent(QEvent* event) {
    if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange ||
        event->type() == QEvent::StyleChange) {
        theme_ = Theme::from(palette());
        rebuild(true);
    }
    QWidget::changeEvent(event);
}

void ScatterChart::keyPressEvent(QKeyEvent* event) {
    const bool back = event->key() == Qt::Key_Left;
    if ((back || event->key() == Qt::Key_Right) && !order_.empty()) {
        auto at = static_cast<std::ptrdiff_t>(back ? order_.size() : 0) - (back ? 0 : 1);
        if (cursor_)
            at = std::ranges::find(order_, *cursor_) - order_.begin();
        at = std::clamp<std::ptrdiff_t>(at + (back ? -1 : 1), 0, static_cast<std::ptrdiff_t>(order_.size()) - 1);
        setCursorTo(order_[static_cast<std::size_t>(at)], true);
        return;
    }
    switch (event->key()) {
    case Qt::Key_Return:
    case Qt::Key_Enter:
    case Qt::Key_Space:
        if (cursor_)
            emit picked(*cursor_);
        return;
    case Qt::Key_Plus:
    case Qt::Key_Equal:
    case Qt::Key_Minus: {
        const double factor = event->key() == Qt::Key_Minus ? 1.25 : 0.8;
        plot_->xAxis->scaleRange(factor);
        plot_->yAxis->scaleRange(factor);
        plot_->replot(QCustomPlot::rpQueuedReplot);
        return;
    }
    case Qt::Key_Home:
        goHome();
        return;
    case Qt::Key_Escape:
        setCursorTo({}, false);
        return;
    default:
        QWidget::keyPressEvent(event);
    }
}

bool ScatterChart::eventFilter(QObject* watched, QEvent* event) {
    if (watched != plot_)
        return QWidget::eventFilter(watched, event);
    switch (event->type()) {
    case QEvent::MouseButtonPress: {
        const auto* mouse = static_cast<QMouseEvent*>(event);
        setFocus(Qt::MouseFocusReason);
        click_.press(*mouse);
        break;
    }
    case QEvent::MouseButtonRelease: {
        const auto* mouse = static_cast<QMouseEvent*>(event);
        const bool still = click_.release(*mouse);
        if (const auto point = nearest(mouse->position()); still && point)
            emit picked(*point);
        break;
    }
    case QEvent::MouseButtonDblClick:
        click_.forget();
        goHome();
        break;
    case QEvent::MouseMove: {
        const auto* mouse = static_cast<QMouseEvent*>(event);
        if (mouse->buttons() == Qt::NoButton)
            setCursorTo(nearest(mouse->position()), false);
        break;
    }
    case QEvent::Leave:
        setCursorTo({}, false);
        break;
    case QEvent::Resize:
        fitTicks(plot_->size());
        break;
    default:
        break;
    }
    return QWidget::eventFilter(watched, event);
}

void ScatterChart::paintTo(QPainter& painter, const QRectF& target) {
    const QSize size = target.size().toSize().expandedTo(QSize(120, 90));
    fitTicks(size);
    paintPlot(*plot_, painter, target, size);
    fitTicks(plot_->size());
    plot_->replot(QCustomPlot::rpQueuedReplot);
}

} // namespace kvscope::views
