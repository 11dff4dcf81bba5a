// SPDX-License-Identifier: GPL-3.0-or-later
// How a chart's series, marks and levels become what is drawn.
#include "views/chart_parts.h"
#include "views/chart_widget.h"

#include <qcustomplot.h>

#include <algorithm>
#include <cmath>

namespace kvscope::views {

namespace {
constexpr double kBarsShare = 0.8;
}

ChartWidget::BarColumns ChartWidget::barColumns(const ChartData& data) {
    BarColumns columns;
    for (const ChartSeries& series : data.series) {
        if (series.shape != ChartSeries::Shape::Bars)
            continue;
        // Those of a stack share a column.
        const bool own = !series.stack || columns.ofStack.emplace(*series.stack, columns.count).second;
        columns.count += own ? 1 : 0;
    }
    return columns;
}

void ChartWidget::addSeries(const ChartSeries& series, BarColumns& columns) {
    if (series.shape == ChartSeries::Shape::Bars) {
        addBars(series, columns);
        return;
    }
    QCPGraph* graph = plot_->addGraph();
    const auto points = static_cast<qsizetype>(std::min(series.x.size(), series.y.size()));
    QVector<double> x(series.x.begin(), series.x.begin() + points);
    QVector<double> y(series.y.begin(), series.y.begin() + points);
    if (data_.yLog) {
        for (double& value : y)
            value = std::max(value, series.shape == ChartSeries::Shape::Steps ? logFloor_ : logFloor_ * 1e-6);
    }
    graph->setData(x, y, true);
    graph->setName(series.name);
    QColor colour = colourOf(series);
    // Among many lines the pale ones stand back.
    if (series.look == ChartSeries::Look::Pale && series.shape == ChartSeries::Shape::Line)
        colour.setAlpha(120);
    QPen pen(colour, series.look == ChartSeries::Look::Solid ? 1.6 : 1.3);
    if (series.look == ChartSeries::Look::Dashed || series.look == ChartSeries::Look::Hatched)
        pen.setStyle(Qt::DashLine);
    else if (series.look == ChartSeries::Look::Dotted)
        pen.setStyle(Qt::DotLine);
    QColor fill = colour;
    fill.setAlpha(series.look == ChartSeries::Look::Pale ? 35 : 70);
    const auto fillStyle = series.look == ChartSeries::Look::Hatched ? Qt::BDiagPattern : Qt::SolidPattern;
    switch (series.shape) {
    case ChartSeries::Shape::Points:
        graph->setLineStyle(QCPGraph::lsNone);
        graph->setScatterStyle(QCPScatterStyle(
            series.look == ChartSeries::Look::Solid ? QCPScatterStyle::ssDisc : QCPScatterStyle::ssCircle, 5));
        break;
    case ChartSeries::Shape::Steps:
        graph->setLineStyle(QCPGraph::lsStepCenter);
        break;
    case ChartSeries::Shape::Band: {
        QCPGraph* lower = plot_->addGraph();
        const auto lows = static_cast<qsizetype>(std::min(series.x.size(), series.low.size()));
        lower->setData(QVector<double>(series.x.begin(), series.x.begin() + lows),
                       QVector<double>(series.low.begin(), series.low.begin() + lows), true);
        lower->setPen(Qt::NoPen);
        lower->removeFromLegend();
        for (QCPGraph* edge : {graph, lower})
            edge->setLineStyle(QCPGraph::lsStepCenter);
        pen = Qt::NoPen;
        graph->setBrush(QBrush(fill, fillStyle));
        graph->setChannelFillGraph(lower);
        break;
    }
    case ChartSeries::Shape::Line:
        if (series.markers)
            graph->setScatterStyle(QCPScatterStyle(QCPScatterStyle::ssDisc, 4.5));
        break;
    case ChartSeries::Shape::Bars:
        break;
    }
    graph->setPen(pen);
    if (series.filled)
        graph->setBrush(QBrush(fill, fillStyle));
    if (!series.inLegend)
        graph->removeFromLegend();
}

void ChartWidget::addBars(const ChartSeries& series, BarColumns& columns) {
    auto* bars = new QCPBars(plot_->xAxis, plot_->yAxis);
    bars->setAntialiased(false);
    const double width = kBarsShare / columns.count;
    const int column = series.stack ? columns.ofStack[*series.stack] : columns.next++;
    const double offset = (column - (columns.count - 1) / 2.0) * width;
    QVector<double> x;
    QVector<double> y;
    for (std::size_t i = 0; i < std::min(series.x.size(), series.y.size()); ++i) {
        if (std::isfinite(series.y[i])) {
            x << series.x[i] + offset;
            y << series.y[i];
        }
    }
    bars->setData(x, y, true);
    bars->setWidthType(QCPBars::wtPlotCoords);
    bars->setWidth(width);
    if (series.stack) {
        if (QCPBars*& top = columns.topOfStack[*series.stack]; top != nullptr)
            bars->moveAbove(top);
        columns.topOfStack[*series.stack] = bars;
    }
    bars->setName(series.name);
    const QColor colour = colourOf(series);
    QColor pale = colour;
    pale.setAlpha(90);
    bars->setPen(QPen(colour, 1));
    if (series.look == ChartSeries::Look::Hatched)
        bars->setBrush(QBrush(colour, Qt::BDiagPattern));
    else
        bars->setBrush(series.look == ChartSeries::Look::Solid ? colour : pale);
    if (!series.inLegend)
        bars->removeFromLegend();
}

QCPItemText* ChartWidget::addName(const QString& role, const QString& name, const QPointF& at, const QColor& colour) {
    auto* text = new QCPItemText(plot_);
    text->setObjectName(role);
    text->setProperty(kNamedPoint, at);
    text->position->setType(QCPItemPosition::ptAbsolute);
    text->setText(name);
    text->setColor(colour);
    text->setFont(chartFont(*this));
    text->setPadding(QMargins(2, 0, 2, 0));
    // Read over bars and lines as well.
    QColor veil = theme_.background;
    veil.setAlpha(200);
    text->setBrush(veil);
    return text;
}

void ChartWidget::addMarks() {
    if (!data_.marks.empty()) {
        QCPGraph* above = plot_->addGraph();
        above->setLineStyle(QCPGraph::lsNone);
        above->setScatterStyle(
            QCPScatterStyle(QCPScatterStyle::ssTriangle, QPen(theme_.accent, 1.4), QBrush(theme_.accent), 8));
        above->removeFromLegend();
        QCPGraph* below = plot_->addGraph();
        below->setLineStyle(QCPGraph::lsNone);
        below->setScatterStyle(
            QCPScatterStyle(QCPScatterStyle::ssTriangleInverted, QPen(theme_.accent, 1.4), QBrush(theme_.accent), 8));
        below->removeFromLegend();
        for (const ChartMark& mark : data_.marks)
            (mark.y < 0 ? below : above)->addData(mark.x, mark.y);
        // Names in order of importance, as given; those without room are left out when drawing.
        for (const ChartMark& mark : data_.marks) {
            addName(kMarkName, mark.name, {mark.x, mark.y}, theme_.accent);
        }
    }
    for (const ChartSeries& series : data_.series) {
        if (series.endName.isEmpty() || series.x.empty() || series.y.empty())
            continue;
        const auto last = static_cast<std::size_t>(std::ranges::max_element(series.x) - series.x.begin());
        if (last < series.y.size())
            addName(kEndName, series.endName, {series.x[last], series.y[last]}, colourOf(series))
                ->setProperty(kFirstName, series.look == ChartSeries::Look::Solid);
    }
    for (const ChartLevel& level : data_.levels) {
        auto* line = new QCPItemStraightLine(plot_);
        line->point1->setCoords(0, level.y);
        line->point2->setCoords(1, level.y);
        line->setPen(QPen(theme_.dim, 1.2, Qt::DashLine));
        if (data_.xLog)
            line->point1->setCoords(0.5, level.y);
    }
    const bool hasPoints = std::any_of(data_.series.begin(), data_.series.end(),
                                       [](const ChartSeries& series) { return !series.x.empty(); });
    // The axis rect itself stays: items are its children and would be hidden with it.
    for (QCPAxis* axis : plot_->axisRect()->axes())
        axis->setVisible(hasPoints && (axis == plot_->xAxis || axis == plot_->yAxis));
    if (!hasPoints && !data_.emptyText.isEmpty()) {
        auto* text = new QCPItemText(plot_);
        text->position->setType(QCPItemPosition::ptViewportRatio);
        text->position->setCoords(0.5, 0.5);
        text->setClipToAxisRect(false);
        text->setText(data_.emptyText);
        text->setColor(theme_.dim);
        text->setFont(chartFont(*this));
    }
}

} // namespace kvscope::views
