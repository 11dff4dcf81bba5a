// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/chart_data.h"
#include "views/statistics_table.h"
#include "views/theme.h"

#include <QFont>
#include <QPointF>
#include <QRectF>
#include <QSharedPointer>

#include <optional>

class QCPAxisTicker;
class QPainter;
class QCustomPlot;
class QMouseEvent;
class QWidget;

namespace kvscope::views {

/// Object name of the names beside marks.
inline const QString kMarkName = QStringLiteral("mark-name");
inline const QString kEndName = QStringLiteral("end-name");
/// Property of such a name: the point that it names, in data units.
inline constexpr auto kNamedPoint = "namedPoint";
/// Property of a name at a line's end that is written even where it covers other lines.
inline constexpr auto kFirstName = "firstName";

/// Ticks whose labels people can read: thousands separators, no needless zeros; whole numbers only for `index`.
/// None above `most`, where that is given.
QSharedPointer<QCPAxisTicker> makeTicker(bool logarithmic, bool index, std::optional<double> most = {});

/// The widget's font, a little smaller, sized in pixels so that pictures come out the same on every device.
QFont chartFont(const QWidget& widget);

/// A plot that fills its owner, has its keys and mouse events, and drags and zooms.
QCustomPlot* makePlot(QWidget& owner);

/// Axes, ticks, titles and grid in the theme's colours.
void styleAxes(QCustomPlot& plot, const Theme& theme, const QFont& font);

/// Draws a plot of `size` into a rectangle, as vectors.
void paintPlot(QCustomPlot& plot, QPainter& painter, const QRectF& target, const QSize& size);

/// Shows lines as they are: tokens such as "<s>" are text, not markup.
void showChartToolTip(const QPoint& globalPosition, const QString& text, QWidget* owner);

/// Tells clicks from drags of the left button.
class ClickWatcher {
public:
    void press(const QMouseEvent& event);
    /// Whether the button came up about where it went down.
    [[nodiscard]] bool release(const QMouseEvent& event);
    void forget() { pressed_.reset(); }

private:
    std::optional<QPointF> pressed_;
};

/// The range that shows all data with a little air: (left, bottom) to (right, top) in data units. `logFloor` is the
/// lowest value shown on a logarithmic y axis.
QRectF homeRange(const ChartData& data, double logFloor);

/// Shows the names of marks that have room, the most important first, and keeps them inside the plot.
void layOutMarkNames(QCustomPlot& plot);

/// Draws a small table as text: words on the left, numbers on the right of their columns. A table wider than the
/// target gets its titles in several lines, and is shrunk if that is not enough; how many rows do not fit is said in
/// the last line.
void paintTable(QPainter& painter, const QRectF& target, const StatisticsTable& table, const Theme& theme,
                const QFont& font);

} // namespace kvscope::views
