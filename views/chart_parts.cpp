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
#include <optional>
#include <utility>
#include <vector>

namespace kvscope::views {

namespace {

constexpr int kMostHalvings = 4;

template <class Base> class ReadableTicker : public Base {
protected:
    /// An axis with a single number could not be read: the step is halved until there are two.
    QVector<double> createTickVector(double tickStep, const QCPRange& range) override {
        QVector<double> ticks = Base::createTickVector(tickStep, range);
        const auto seen = [&] {
            return std::count_if(ticks.cbegin(), ticks.cend(), [&](double tick) { return range.contains(tick); });
        };
        for (int i = 0; i < kMostHalvings && seen() < leastNumbers(); ++i) {
            tickStep /= 2;
            // NOLINTNEXTLINE(bugprone-parent-virtual-call): a logarithmic axis has linear numbers between its own.
            ticks = QCPAxisTicker::createTickVector(tickStep, range);
        }
        return ticks;
    }
    QString getTickLabel(double tick, const QLocale&, QChar, int) override { return formatNumber(tick, 6); }
    [[nodiscard]] virtual int leastNumbers() const { return 2; }
};

/// Ticks on whole numbers alone.
class IndexTicker : public ReadableTicker<QCPAxisTicker> {
protected:
    double getTickStep(const QCPRange& range) override {
        return std::max(1.0, std::floor(ReadableTicker::getTickStep(range)));
    }
    [[nodiscard]] int leastNumbers() const override { return 0; }
};

/// Ticks up to the largest value that there can be.
class BoundedTicker : public ReadableTicker<QCPAxisTicker> {
public:
    explicit BoundedTicker(double most)
        : most_(most) {}

protected:
    QVector<double> createTickVector(double tickStep, const QCPRange& range) override {
        QVector<double> ticks = ReadableTicker::createTickVector(tickStep, range);
        ticks.removeIf([limit = most_ + tickStep * 1e-6](double tick) { return tick > limit; });
        return ticks;
    }

private:
    double most_;
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

/// The lines between the points of all graphs, in pixels.
std::vector<QLineF> linesOf(const QCustomPlot& plot) {
    std::vector<QLineF> lines;
    for (int i = 0; i < plot.graphCount(); ++i) {
        const QCPGraph& graph = *plot.graph(i);
        if (graph.lineStyle() != QCPGraph::lsLine)
            continue;
        std::optional<QPointF> before;
        for (const QCPGraphData& point : *graph.data()) {
            const QPointF here = graph.coordsToPixels(point.key, point.value);
            if (before)
                lines.emplace_back(*before, here);
            before = here;
        }
    }
    return lines;
}

bool crosses(const QLineF& line, const QRectF& box) {
    if (!QRectF(line.p1(), line.p2()).normalized().adjusted(-1, -1, 1, 1).intersects(box))
        return false;
    const auto meets = [&line](const QPointF& from, const QPointF& to) {
        return line.intersects(QLineF(from, to), nullptr) == QLineF::BoundedIntersection;
    };
    return box.contains(line.p1()) || box.contains(line.p2()) || meets(box.topLeft(), box.bottomRight()) ||
           meets(box.topRight(), box.bottomLeft());
}

constexpr double kTableGap = 14;
constexpr int kMostTitleLines = 3;

double wrappedHeight(const QFontMetricsF& metrics, const QString& title, double width) {
    return metrics.boundingRect(QRectF(0, 0, width, 1000), Qt::AlignLeft | Qt::TextWordWrap, title).height();
}

/// The least width of a column in which its title takes a few lines and no word is cut.
double wrappedWidth(const QFontMetricsF& metrics, const QString& title, double least) {
    double width = least;
    for (const QString& word : title.split(u' '))
        width = std::max(width, metrics.horizontalAdvance(word) + 1);
    while (wrappedHeight(metrics, title, width) > (kMostTitleLines + 0.5) * metrics.lineSpacing())
        width += metrics.averageCharWidth();
    return width;
}

} // namespace

QSharedPointer<QCPAxisTicker> makeTicker(bool logarithmic, bool index, std::optional<double> most) {
    if (most && !logarithmic)
        return QSharedPointer<BoundedTicker>::create(*most);
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
    const bool endsNamed = std::any_of(data.series.begin(), data.series.end(),
                                       [](const ChartSeries& series) { return !series.endName.isEmpty(); });
    const bool indexed = data.xIndex || !data.categories.isEmpty();
    Extent xHome = x;
    if (indexed && !x.empty() && !data.xLog)
        xHome = {.low = x.low - 0.6, .high = x.high + 0.6};
    else
        xHome = padded(x, data.xLog, 0.01, endsNamed ? 0.05 : 0.01);
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
    const auto isFree = [&](const QRectF& box) {
        return area.adjusted(0, -2, 0, 2).contains(box) &&
               std::none_of(taken.begin(), taken.end(), [&box](const QRectF& other) { return other.intersects(box); });
    };
    std::vector<QCPItemText*> names;
    bool endsNamed = false;
    const auto pixelOf = [&plot](const QPointF& point) {
        return QPointF(plot.xAxis->coordToPixel(point.x()), plot.yAxis->coordToPixel(point.y()));
    };
    for (int i = 0; i < plot.itemCount(); ++i) {
        auto* text = qobject_cast<QCPItemText*>(plot.item(i));
        if (text == nullptr || (text->objectName() != kMarkName && text->objectName() != kEndName))
            continue;
        names.push_back(text);
        endsNamed = endsNamed || text->objectName() == kEndName;
        // No name covers the sign of another.
        if (text->objectName() == kMarkName)
            taken.emplace_back(pixelOf(text->property(kNamedPoint).toPointF()) - QPointF(5, 5), QSizeF(10, 10));
    }
    std::stable_partition(names.begin(), names.end(), [](const QCPItemText* text) {
        return text->objectName() == kMarkName || text->property(kFirstName).toBool();
    });
    const std::vector<QLineF> lines = endsNamed ? linesOf(plot) : std::vector<QLineF>();
    for (QCPItemText* text : names) {
        const QPointF point = text->property(kNamedPoint).toPointF();
        const QPointF at = pixelOf(point);
        const QFontMetricsF metrics(text->font());
        const QSizeF size(metrics.horizontalAdvance(text->text()) + 5, metrics.height());
        const bool atEnd = text->objectName() == kEndName;
        std::vector<QPointF> places;
        if (atEnd) {
            // Beside the end, or above or below it.
            places = {QPointF(3, -size.height() / 2), QPointF(2, -size.height()), QPointF(2, 0),
                      QPointF(-size.width() / 2, -size.height() - 1), QPointF(-size.width() / 2, 1)};
        } else {
            // Above or below the sign, moved sideways at the edge of the plot.
            const double y = point.y() < 0 ? 6 : -size.height() - 6;
            places = {QPointF(-size.width() / 2, y), QPointF(0, y), QPointF(-size.width(), y)};
        }
        const auto isClear = [&](const QPointF& offset) {
            const QRectF box(at + offset, size);
            return isFree(box) && (!atEnd || std::ranges::none_of(lines, [&box](const QLineF& line) {
                       return crosses(line, box.adjusted(2, 2, -2, -2));
                   }));
        };
        auto place = std::ranges::find_if(places, isClear);
        if (place == places.end() && text->property(kFirstName).toBool())
            place =
                std::ranges::find_if(places, [&](const QPointF& offset) { return isFree(QRectF(at + offset, size)); });
        const bool fits = area.contains(at) && place != places.end();
        if (fits) {
            text->setPositionAlignment(Qt::AlignLeft | Qt::AlignTop);
            text->position->setCoords(at + *place);
            taken.emplace_back(at + *place, size);
        }
        text->setVisible(fits);
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
    // Between pixels, what the plot clips at whole ones (its legend) would lose its lowest line.
    painter.translate(target.topLeft().toPoint());
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
    const auto header = [&](int column) {
        return model.headerData(column, Qt::Horizontal, Qt::DisplayRole).toString();
    };
    std::vector<double> cells;
    double wide = 0;
    for (int column = 0; column < columns; ++column) {
        double width = 0;
        for (int row = 0; row < model.rowCount(); ++row)
            width = std::max(width, metrics.horizontalAdvance(model.index(row, column).data().toString()));
        cells.push_back(width);
        wide += std::max(width, metrics.horizontalAdvance(header(column))) + kTableGap;
    }
    // Titles go into several lines before everything shrinks.
    const bool wraps = wide > target.width() + kTableGap;
    std::vector<double> widths;
    double headerHeight = metrics.height();
    for (int column = 0; column < columns; ++column) {
        const double least = cells[static_cast<std::size_t>(column)];
        widths.push_back(wraps ? wrappedWidth(metrics, header(column), least)
                               : std::max(least, metrics.horizontalAdvance(header(column))) + 1);
        headerHeight = std::max(headerHeight, wrappedHeight(metrics, header(column), widths.back()));
    }
    headerHeight += 3;
    const double width = std::accumulate(widths.begin(), widths.end(), (columns - 1) * kTableGap);
    const double shrunk = std::min(1.0, target.width() / width);
    const auto room = static_cast<int>((target.height() / shrunk - headerHeight) / lineHeight);
    const bool cut = room < model.rowCount();
    const int rows = std::max(0, cut ? room - 1 : model.rowCount());
    painter.save();
    painter.setFont(font);
    painter.translate(target.topLeft());
    painter.scale(shrunk, shrunk);
    double y = 0;
    for (int row = -1; row < rows; ++row) {
        const double height = row < 0 ? headerHeight : lineHeight;
        double x = 0;
        painter.setPen(row < 0 ? theme.dim : theme.text);
        for (int column = 0; column < columns; ++column) {
            const double own = widths[static_cast<std::size_t>(column)];
            const bool text =
                column == 0 || (model.rowCount() > 0 && (model.index(0, column).data(Qt::TextAlignmentRole).toInt() &
                                                         static_cast<int>(Qt::AlignLeft)) != 0);
            const int side = static_cast<int>(text ? Qt::AlignLeft : Qt::AlignRight);
            if (row < 0)
                painter.drawText(QRectF(x, y, own, height - 3), side | Qt::AlignBottom | Qt::TextWordWrap,
                                 header(column));
            else
                painter.drawText(QRectF(x, y, own, height), side | Qt::AlignVCenter,
                                 model.index(row, column).data().toString());
            x += own + kTableGap;
        }
        y += height;
        if (row < 0) {
            painter.setPen(theme.grid);
            painter.drawLine(QPointF(0, y - 1), QPointF(width, y - 1));
        }
    }
    if (cut) {
        painter.setPen(theme.dim);
        painter.drawText(QRectF(0, y, width, lineHeight), Qt::AlignLeft | Qt::AlignVCenter,
                         QCoreApplication::translate("Chart", "%1 more rows; the CSV file has them all")
                             .arg(formatCount(model.rowCount() - rows)));
    }
    painter.restore();
}

} // namespace kvscope::views
