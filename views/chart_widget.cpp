// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/chart_widget.h"

#include "views/chart_parts.h"
#include "views/number_format.h"

#include <QEvent>
#include <qcustomplot.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace kvscope::views {

namespace {

const QString kCursorLayer = QStringLiteral("cursor");
const QString kSelectedItem = QStringLiteral("selected");
/// Property of a plottable: its name before eliding.
constexpr auto kFullName = "fullName";
const QString kCursorItem = QStringLiteral("cursor");

bool hasBars(const ChartData& data) {
    return std::any_of(data.series.begin(), data.series.end(),
                       [](const ChartSeries& s) { return s.shape == ChartSeries::Shape::Bars; });
}

template <class Item> Item* findItem(const QCustomPlot& plot, const QString& name) {
    for (int i = 0; i < plot.itemCount(); ++i) {
        if (plot.item(i)->objectName() == name)
            return qobject_cast<Item*>(plot.item(i));
    }
    return nullptr;
}

} // namespace

ChartWidget::ChartWidget(QWidget* parent)
    : QWidget(parent)
    , theme_(Theme::from(palette()))
    , plot_(makePlot(*this))
    , legend_(plot_->legend) {
    // Above the plot instead of on it, so that it never covers data.
    plot_->axisRect()->insetLayout()->take(legend_);
    plot_->plotLayout()->insertRow(0);
    auto* strip = new QCPLayoutGrid;
    plot_->plotLayout()->addElement(0, 0, strip);
    strip->addElement(0, 0, legend_);
    strip->addElement(0, 1, new QCPLayoutElement(plot_));
    strip->setColumnStretchFactor(0, 0.001);
    plot_->plotLayout()->setRowStretchFactor(0, 0.001);
    plot_->plotLayout()->setRowSpacing(0);
    legend_->setFillOrder(QCPLegend::foColumnsFirst);
    legend_->setMargins(QMargins(6, 4, 2, 0));
    legend_->setRowSpacing(0);
    legend_->setColumnSpacing(10);
    legend_->setIconSize(16, 10);
    legend_->setVisible(true);

    plot_->addLayer(kCursorLayer, plot_->layer(QStringLiteral("overlay")), QCustomPlot::limAbove);
    plot_->layer(kCursorLayer)->setMode(QCPLayer::lmBuffered);
    connect(plot_->xAxis, qOverload<const QCPRange&>(&QCPAxis::rangeChanged), this, &ChartWidget::limitRanges);
    connect(plot_->yAxis, qOverload<const QCPRange&>(&QCPAxis::rangeChanged), this, &ChartWidget::limitRanges);
    // Pictures of another size are laid out as well, and are no replot.
    connect(plot_, &QCustomPlot::afterLayout, this, [this] { layOutMarkNames(*plot_); });
    rebuild(false);
}

ChartWidget::~ChartWidget() = default;

void ChartWidget::setData(ChartData data, bool keepZoom) {
    const bool sameAxes = data.xTitle == data_.xTitle && data.yTitle == data_.yTitle && data.xLog == data_.xLog &&
                          data.yLog == data_.yLog && !data_.series.empty();
    data_ = std::move(data);
    rebuild(keepZoom && sameAxes);
}

void ChartWidget::setSelected(std::optional<double> x) {
    if (data_.selected == x)
        return;
    data_.selected = x;
    placeSelected();
    plot_->replot(QCustomPlot::rpQueuedReplot);
}

QColor ChartWidget::colourOf(const ChartSeries& series) const {
    switch (series.tone) {
    case ChartSeries::Tone::Kind:
        return theme_.kind(series.kind);
    case ChartSeries::Tone::DeltaPrevious:
        return theme_.deltaPrevious();
    case ChartSeries::Tone::DeltaAnchor:
        return theme_.deltaAnchor();
    case ChartSeries::Tone::Series:
        return theme_.series(series.toneIndex);
    case ChartSeries::Tone::Text:
        break;
    }
    return theme_.text;
}

void ChartWidget::rebuild(bool keepZoom) {
    const QRectF before = visibleRange();
    const bool wasHome = before == home_;
    legend_->clear();
    plot_->clearItems();
    plot_->clearPlottables();
    xs_.clear();
    logFloor_ = floorY();

    BarColumns columns = barColumns(data_);
    for (const ChartSeries& series : data_.series) {
        addSeries(series, columns);
        xs_.insert(xs_.end(), series.x.begin(), series.x.end());
    }
    std::sort(xs_.begin(), xs_.end());
    xs_.erase(std::unique(xs_.begin(), xs_.end()), xs_.end());
    // Beside the data instead of on it: what a level means stands in the legend.
    for (const ChartLevel& level : data_.levels) {
        if (level.name.isEmpty() || xs_.empty())
            continue;
        QCPGraph* line = plot_->addGraph();
        line->setName(level.name);
        line->setPen(QPen(theme_.dim, 1.2, Qt::DashLine));
    }
    if (legend_->itemCount() < 2)
        legend_->clear();
    for (int i = 0; i < plot_->plottableCount(); ++i)
        plot_->plottable(i)->setProperty(kFullName, plot_->plottable(i)->name());

    setTickers();
    applyTheme();
    addMarks();
    placeSelected();
    computeHome();
    if (keepZoom && !wasHome) {
        plot_->xAxis->setRange(before.left(), before.right());
        plot_->yAxis->setRange(before.top(), before.bottom());
    } else {
        goHome();
    }
    setCursorX({});
    fitLegend(plot_->width());
    fitTicks(plot_->size());
    plot_->replot(QCustomPlot::rpQueuedReplot);
}

double ChartWidget::floorY() const {
    double smallest = std::numeric_limits<double>::infinity();
    for (const ChartSeries& series : data_.series) {
        if (series.shape == ChartSeries::Shape::Line && data_.series.size() > 1)
            continue;
        for (const double y : series.y) {
            if (y > 0 && y < smallest)
                smallest = y;
        }
    }
    return std::isfinite(smallest) ? smallest / 2 : 0.5;
}

void ChartWidget::applyTheme() {
    const QFont small = chartFont(*this);
    styleAxes(*plot_, theme_, small);
    plot_->yAxis->grid()->setZeroLinePen(QPen(theme_.dim, 1));
    plot_->xAxis->setLabel(data_.xTitle);
    plot_->yAxis->setLabel(data_.yTitle);
    plot_->xAxis->grid()->setVisible(!hasBars(data_));
    plot_->xAxis->grid()->setZeroLinePen(hasBars(data_) ? QPen(Qt::NoPen) : QPen(theme_.grid, 1));
    legend_->setFont(small);
    legend_->setTextColor(theme_.text);
    legend_->setBorderPen(Qt::NoPen);
    legend_->setBrush(Qt::NoBrush);
}

void ChartWidget::setTickers() {
    if (!data_.categories.isEmpty()) {
        const auto ticker = QSharedPointer<QCPAxisTickerText>::create();
        for (int i = 0; i < data_.categories.size(); ++i)
            ticker->addTick(i, data_.categories[i]);
        plot_->xAxis->setTicker(ticker);
    } else {
        plot_->xAxis->setTicker(makeTicker(data_.xLog, data_.xIndex));
    }
    plot_->xAxis->setScaleType(data_.xLog ? QCPAxis::stLogarithmic : QCPAxis::stLinear);
    plot_->yAxis->setTicker(makeTicker(data_.yLog, false, data_.yMost));
    plot_->yAxis->setScaleType(data_.yLog ? QCPAxis::stLogarithmic : QCPAxis::stLinear);
}

void ChartWidget::computeHome() {
    limits_ = homeRange(data_, logFloor_);
    home_ = limits_;
    if (data_.xFocus) {
        home_.setLeft(std::max(home_.left(), data_.xFocus->first));
        home_.setRight(std::min(home_.right(), data_.xFocus->second));
    }
}

void ChartWidget::goHome() {
    plot_->xAxis->setRange(home_.left(), home_.right());
    plot_->yAxis->setRange(home_.top(), home_.bottom());
    plot_->replot(QCustomPlot::rpQueuedReplot);
}

QRectF ChartWidget::visibleRange() const {
    const QCPRange x = plot_->xAxis->range();
    const QCPRange y = plot_->yAxis->range();
    return {QPointF(x.lower, y.lower), QPointF(x.upper, y.upper)};
}

void ChartWidget::limitRanges() {
    const auto limit = [](QCPAxis* axis, double low, double high) {
        const QCPRange range = axis->range();
        const QCPRange inside = range.bounded(low, high);
        if (inside != range)
            axis->setRange(inside);
    };
    if (limits_.isNull())
        return;
    limit(plot_->xAxis, limits_.left(), limits_.right());
    limit(plot_->yAxis, limits_.top(), limits_.bottom());
}

void ChartWidget::placeSelected() {
    auto* band = findItem<QCPItemRect>(*plot_, kSelectedItem);
    if (!data_.selected || xs_.empty()) {
        if (band != nullptr)
            plot_->removeItem(band);
        return;
    }
    if (band == nullptr) {
        band = new QCPItemRect(plot_);
        band->setObjectName(kSelectedItem);
        band->setLayer(QStringLiteral("background"));
        band->setPen(Qt::NoPen);
        for (QCPItemPosition* corner : {band->topLeft, band->bottomRight})
            corner->setTypeY(QCPItemPosition::ptAxisRectRatio);
    }
    QColor colour = theme_.selection;
    colour.setAlpha(theme_.dark ? 110 : 70);
    band->setBrush(colour);
    // Of whole things one; of a continuous axis about a line.
    constexpr double kLine = 1.015;
    const bool line = data_.xLog && !data_.xIndex;
    band->topLeft->setCoords(line ? *data_.selected / kLine : *data_.selected - 0.5, 0);
    band->bottomRight->setCoords(line ? *data_.selected * kLine : *data_.selected + 0.5, 1);
}

std::optional<double> ChartWidget::nearestX(double x) const {
    if (xs_.empty())
        return {};
    const auto right = std::lower_bound(xs_.begin(), xs_.end(), x);
    if (right == xs_.begin())
        return *right;
    if (right == xs_.end())
        return xs_.back();
    const auto pixels = [this](double value) { return plot_->xAxis->coordToPixel(value); };
    const double left = *(right - 1);
    return std::abs(pixels(x) - pixels(left)) <= std::abs(pixels(*right) - pixels(x)) ? left : *right;
}

QString ChartWidget::describe(double x) const {
    QStringList lines;
    const bool named = !data_.categories.isEmpty() && x >= 0 && x < static_cast<double>(data_.categories.size());
    QString name = data_.xName ? data_.xName(x) : data_.xTitle + u' ' + formatNumber(x, 6);
    if (named && !data_.xName)
        name = data_.categories[static_cast<int>(x)];
    lines << name.replace(u'\n', u' ');
    for (const ChartSeries& series : data_.series) {
        const auto found = std::lower_bound(series.x.begin(), series.x.end(), x);
        if (found == series.x.end() || *found != x)
            continue;
        const auto i = static_cast<std::size_t>(found - series.x.begin());
        if (i >= series.y.size())
            continue;
        QString value = formatNumber(series.y[i], 7);
        if (series.shape == ChartSeries::Shape::Band && i < series.low.size())
            value = formatNumber(series.low[i], 7) + QStringLiteral(" \u2026 ") + value;
        lines << (series.name.isEmpty() ? data_.yTitle : series.name) + QStringLiteral(": ") + value;
    }
    return lines.join(u'\n');
}

QPointF ChartWidget::pointAt(double x, double y) const {
    return QPointF(plot_->xAxis->coordToPixel(x), plot_->yAxis->coordToPixel(y)) + QPointF(plot_->pos());
}

QString ChartWidget::toolTipAt(const QPointF& position) const {
    const QPointF inPlot = position - QPointF(plot_->pos());
    if (!plot_->axisRect()->rect().contains(inPlot.toPoint()))
        return {};
    const auto x = nearestX(plot_->xAxis->pixelToCoord(inPlot.x()));
    return x ? describe(*x) : QString();
}

void ChartWidget::setCursorX(std::optional<double> x) {
    cursor_ = x;
    auto* line = findItem<QCPItemStraightLine>(*plot_, kCursorItem);
    if (line == nullptr && !x)
        return;
    if (line == nullptr) {
        line = new QCPItemStraightLine(plot_);
        line->setObjectName(kCursorItem);
        line->setLayer(kCursorLayer);
        line->setPen(QPen(theme_.dim, 1, Qt::DotLine));
        for (QCPItemPosition* end : {line->point1, line->point2})
            end->setTypeY(QCPItemPosition::ptAxisRectRatio);
    }
    line->setVisible(x.has_value());
    if (x) {
        line->point1->setCoords(*x, 0);
        line->point2->setCoords(*x, 1);
    }
    plot_->layer(kCursorLayer)->replot();
}

void ChartWidget::changeEvent(QEvent* event) {
    if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange ||
        event->type() == QEvent::StyleChange) {
        theme_ = Theme::from(palette());
        rebuild(true);
    }
    QWidget::changeEvent(event);
}

void ChartWidget::focusInEvent(QFocusEvent* event) {
    QWidget::focusInEvent(event);
    plot_->axisRect()->setBackground(Qt::NoBrush);
    plot_->xAxis->setBasePen(QPen(theme_.selection, 2));
    plot_->replot(QCustomPlot::rpQueuedReplot);
}

void ChartWidget::focusOutEvent(QFocusEvent* event) {
    QWidget::focusOutEvent(event);
    plot_->xAxis->setBasePen(QPen(theme_.dim, 1));
    plot_->replot(QCustomPlot::rpQueuedReplot);
}

void ChartWidget::fitLegend(int width) {
    int widest = 1;
    const QFontMetrics metrics(legend_->font());
    for (int i = 0; i < legend_->itemCount(); ++i) {
        // The last row of the grid may have empty cells.
        auto* item = qobject_cast<QCPPlottableLegendItem*>(legend_->item(i));
        if (item == nullptr)
            continue;
        item->plottable()->setName(metrics.elidedText(item->plottable()->property(kFullName).toString(), Qt::ElideRight,
                                                      width - legend_->iconSize().width() - 24));
        widest = std::max(widest, static_cast<QCPLayoutElement*>(item)->minimumOuterSizeHint().width());
    }
    const int columns = std::max(1, (width - 10) / (widest + legend_->columnSpacing()));
    if (columns != legend_->wrap() && legend_->itemCount() > 0)
        legend_->setWrap(columns);
    legend_->setFillOrder(QCPLegend::foColumnsFirst, true);
}

void ChartWidget::fitTicks(const QSize& size) {
    const QFontMetrics metrics(chartFont(*this));
    const int letter = metrics.averageCharWidth();
    // Three labels, so that more than a zero can be read, wherever they have room.
    const QCPRange range = plot_->xAxis->range();
    const int label = std::max(metrics.horizontalAdvance(formatNumber(range.lower, 2)),
                               metrics.horizontalAdvance(formatNumber(range.upper, 2))) +
                      2 * letter;
    const int least = size.width() - 8 * letter >= 3 * label ? 3 : 2;
    plot_->xAxis->ticker()->setTickCount(std::clamp(size.width() / (letter * 10), least, 12));
    plot_->yAxis->ticker()->setTickCount(std::clamp(size.height() / 45, 2, 8));
    // The title stands beside the axis, which ends above the numbers and the title of the other axis.
    const QFontMetrics title(plot_->yAxis->labelFont());
    plot_->yAxis->setLabel(title.elidedText(data_.yTitle, Qt::ElideRight, size.height() - title.height() * 5 / 2));
}

void ChartWidget::paintTo(QPainter& painter, const QRectF& target) {
    const QSize size = target.size().toSize().expandedTo(QSize(60, 40));
    fitLegend(size.width());
    fitTicks(size);
    paintPlot(*plot_, painter, target, size);
    fitLegend(plot_->width());
    fitTicks(plot_->size());
    plot_->replot(QCustomPlot::rpQueuedReplot);
}

} // namespace kvscope::views
