// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/chart_parts.h"

#include "views/number_format.h"

#include <QCoreApplication>
#include <QFontInfo>
#include <QGuiApplication>
#include <QMouseEvent>
#include <QPainter>
#include <QPicture>
#include <QStyleHints>
#include <QToolTip>
#include <QVBoxLayout>
#include <QWidget>
#include <qcustomplot.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

namespace kvscope::views {

namespace {

template <class Base> class ReadableTicker : public Base {
protected:
    QString getTickLabel(double tick, const QLocale&, QChar, int) override { return formatNumber(tick, 6); }
};

/// Ticks on whole numbers alone.
class IndexTicker : public ReadableTicker<QCPAxisTicker> {
protected:
    double getTickStep(const QCPRange& range) override {
        return std::max(1.0, std::floor(ReadableTicker::getTickStep(range)));
    }
};

/// The smallest and largest finite value seen.
struct Extent {
    double low = std::numeric_limits<double>::infinity();
    double high = -std::numeric_limits<double>::infinity();

    void add(double value) {
        if (!std::isfinite(value))
            return;
        low = std::min(low, value);
        high = std::max(high, value);
    }
    [[nodiscard]] bool empty() const { return low > high; }
};

Extent padded(Extent extent, bool logarithmic, double below, double above) {
    if (extent.empty())
        return {.low = logarithmic ? 1.0 : 0.0, .high = logarithmic ? 10.0 : 1.0};
    if (logarithmic) {
        const double decades = std::max(0.3, std::log10(extent.high / extent.low));
        return {.low = extent.low * std::pow(10.0, -decades * below),
                .high = extent.high * std::pow(10.0, decades * above)};
    }
    if (extent.low == extent.high) {
        const double half = extent.low == 0 ? 1 : std::abs(extent.low) * 0.5;
        return {.low = extent.low - half, .high = extent.high + half};
    }
    const double span = extent.high - extent.low;
    return {.low = extent.low - span * below, .high = extent.high + span * above};
}

} // namespace

QSharedPointer<QCPAxisTicker> makeTicker(bool logarithmic, bool index) {
    if (logarithmic)
        return QSharedPointer<ReadableTicker<QCPAxisTickerLog>>::create();
    if (index)
        return QSharedPointer<IndexTicker>::create();
    return QSharedPointer<ReadableTicker<QCPAxisTicker>>::create();
}

QFont chartFont(const QWidget& widget) {
    QFont font = widget.font();
    font.setPixelSize(std::max(10, QFontInfo(font).pixelSize() - 1));
    return font;
}

QRectF homeRange(const ChartData& data, double logFloor) {
    Extent x;
    Extent y;
    const bool hasSteps = std::any_of(data.series.begin(), data.series.end(), [](const ChartSeries& series) {
        return series.shape == ChartSeries::Shape::Steps;
    });
    // Lines hang in the air; bars and steps stand on the axis.
    const bool onlyLines = std::all_of(data.series.begin(), data.series.end(), [](const ChartSeries& series) {
        return series.shape == ChartSeries::Shape::Line || series.shape == ChartSeries::Shape::Points;
    });
    std::map<std::pair<int, double>, double> heights;
    for (const ChartSeries& series : data.series) {
        for (const double value : series.x)
            x.add(value);
        // Beside a histogram, curves are annotations: they must not set the scale.
        if (hasSteps && series.shape == ChartSeries::Shape::Line)
            continue;
        for (std::size_t i = 0; i < series.y.size(); ++i) {
            double value = series.y[i];
            if (series.stack && i < series.x.size())
                value = (heights[{*series.stack, series.x[i]}] += value);
            if (!data.yLog || value > 0)
                y.add(value);
        }
        for (const double value : series.low)
            y.add(value);
    }
    for (const ChartLevel& level : data.levels)
        y.add(level.y);
    if (data.yLog && !onlyLines && !y.empty())
        y.low = std::min(y.low, logFloor);
    if (data.fromZero && !data.yLog)
        y.add(0);
    const bool indexed = data.xIndex || !data.categories.isEmpty();
    Extent xHome = x;
    if (indexed && !x.empty() && !data.xLog)
        xHome = {.low = x.low - 0.6, .high = x.high + 0.6};
    else
        xHome = padded(x, data.xLog, 0.01, 0.01);
    const double above = data.marks.empty() ? 0.06 : 0.16;
    const bool flatBelow = (data.fromZero && y.low == 0) || (data.yLog && !onlyLines);
    const bool flatAbove = data.fromZero && y.high == 0;
    const bool markedBelow =
        std::any_of(data.marks.begin(), data.marks.end(), [](const ChartMark& mark) { return mark.y < 0; });
    const Extent yHome = padded(y, data.yLog, flatBelow ? 0 : markedBelow ? 0.14 : 0.06, flatAbove ? 0 : above);
    return {QPointF(xHome.low, yHome.low), QPointF(xHome.high, yHome.high)};
}

void layOutMarkNames(QCustomPlot& plot) {
    const QRectF area = plot.axisRect()->rect();
    std::vector<QRectF> taken;
    for (int i = 0; i < plot.itemCount(); ++i) {
        auto* text = qobject_cast<QCPItemText*>(plot.item(i));
        if (text == nullptr || text->objectName() != kMarkName)
            continue;
        const QPointF at = text->position->pixelPosition();
        const QFontMetricsF metrics(text->font());
        const QSizeF size(metrics.horizontalAdvance(text->text()) + 6, metrics.height() + 7);
        const bool below = text->position->value() < 0;
        QRectF box(QPointF(at.x() - size.width() / 2, below ? at.y() : at.y() - size.height()), size);
        auto side = Qt::AlignHCenter;
        if (box.left() < area.left()) {
            side = Qt::AlignLeft;
            box.moveLeft(at.x());
        } else if (box.right() > area.right()) {
            side = Qt::AlignRight;
            box.moveRight(at.x());
        }
        const bool fits =
            area.contains(at) && box.top() >= area.top() - 2 && box.bottom() <= area.bottom() + 2 &&
            std::none_of(taken.begin(), taken.end(), [&box](const QRectF& other) { return other.intersects(box); });
        text->setPositionAlignment(side | (below ? Qt::AlignTop : Qt::AlignBottom));
        text->setVisible(fits);
        if (fits)
            taken.push_back(box);
    }
}

QCustomPlot* makePlot(QWidget& owner) {
    auto* plot = new QCustomPlot(&owner);
    auto* layout = new QVBoxLayout(&owner);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(plot);
    owner.setFocusPolicy(Qt::StrongFocus);
    owner.setAccessibleName(QCoreApplication::translate("Chart", "Chart"));
    plot->setFocusPolicy(Qt::NoFocus);
    plot->setFocusProxy(&owner);
    plot->installEventFilter(&owner);
    plot->setMinimumSize(0, 0);
    plot->setInteractions(QCP::iRangeDrag | QCP::iRangeZoom);
    return plot;
}

void styleAxes(QCustomPlot& plot, const Theme& theme, const QFont& font) {
    plot.setBackground(QBrush(theme.background));
    for (QCPAxis* axis : {plot.xAxis, plot.yAxis}) {
        axis->setBasePen(QPen(theme.dim, 1));
        axis->setTickPen(QPen(theme.dim, 1));
        axis->setTickLabelColor(theme.text);
        axis->setLabelColor(theme.text);
        axis->setTickLabelFont(font);
        axis->setLabelFont(font);
        axis->setSubTicks(false);
        axis->setTickLengthOut(3);
        axis->setTickLengthIn(0);
        axis->setLabelPadding(3);
        axis->grid()->setPen(QPen(theme.grid, 1));
        axis->grid()->setZeroLinePen(QPen(theme.grid, 1));
    }
}

void paintPlot(QCustomPlot& plot, QPainter& painter, const QRectF& target, const QSize& size) {
    QPicture picture;
    {
        QCPPainter recorder(&picture);
        recorder.setModes(QCPPainter::pmVectorized | QCPPainter::pmNoCaching | QCPPainter::pmNonCosmetic);
        plot.toPainter(&recorder, size.width(), size.height());
    }
    painter.save();
    painter.translate(target.topLeft());
    painter.setClipRect(QRectF(QPointF(), target.size()));
    painter.drawPicture(0, 0, picture);
    painter.restore();
}

void showChartToolTip(const QPoint& globalPosition, const QString& text, QWidget* owner) {
    QToolTip::showText(globalPosition,
                       QStringLiteral("<p style='white-space:pre'>") + text.toHtmlEscaped() + QStringLiteral("</p>"),
                       owner);
}

void ClickWatcher::press(const QMouseEvent& event) {
    if (event.button() == Qt::LeftButton)
        pressed_ = event.position();
}

bool ClickWatcher::release(const QMouseEvent& event) {
    const bool still = pressed_ && (event.position() - *pressed_).manhattanLength() <
                                       QGuiApplication::styleHints()->startDragDistance();
    pressed_.reset();
    return still;
}

void paintTable(QPainter& painter, const QRectF& target, const StatisticsTable& table, const Theme& theme,
                const QFont& font) {
    if (table.columns.empty())
        return;
    StatisticsTableModel model;
    model.setTable(table);
    const QFontMetricsF metrics(font);
    const double lineHeight = metrics.height() + 3;
    const auto columns = static_cast<int>(table.columns.size());
    std::vector<double> widths;
    for (int column = 0; column < columns; ++column) {
        double width = metrics.horizontalAdvance(model.headerData(column, Qt::Horizontal, Qt::DisplayRole).toString());
        for (int row = 0; row < model.rowCount(); ++row)
            width = std::max(width, metrics.horizontalAdvance(model.index(row, column).data().toString()));
        widths.push_back(width + 14);
    }
    const double width = std::accumulate(widths.begin(), widths.end(), 0.0);
    const double shrunk = std::min(1.0, target.width() / width);
    painter.save();
    painter.setFont(font);
    painter.translate(target.topLeft());
    painter.scale(shrunk, shrunk);
    QPointF at;
    for (int row = -1; row < model.rowCount() && (at.y() + lineHeight) * shrunk <= target.height(); ++row) {
        double x = at.x();
        painter.setPen(row < 0 ? theme.dim : theme.text);
        for (int column = 0; column < columns; ++column) {
            const QString text = row < 0 ? model.headerData(column, Qt::Horizontal, Qt::DisplayRole).toString()
                                         : model.index(row, column).data().toString();
            const double own = widths[static_cast<std::size_t>(column)];
            painter.drawText(QRectF(x, at.y(), own, lineHeight),
                             static_cast<int>((column == 0 ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter), text);
            x += own;
        }
        at.ry() += lineHeight;
        if (row < 0) {
            painter.setPen(theme.grid);
            painter.drawLine(QPointF(at.x(), at.y() - 1), QPointF(x, at.y() - 1));
        }
    }
    painter.restore();
}

} // namespace kvscope::views
