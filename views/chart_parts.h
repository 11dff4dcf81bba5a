// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/chart_data.h"
#include "views/statistics_table.h"
#include "views/theme.h"

#include <QFont>
#include <QRectF>
#include <QSharedPointer>

class QCPAxisTicker;
class QPainter;
class QCustomPlot;
class QWidget;

namespace kvscope::views {

/// Object name of the names beside marks.
inline const QString kMarkName = QStringLiteral("mark-name");

/// Ticks whose labels people can read: thousands separators, no needless zeros; whole numbers only for `index`.
QSharedPointer<QCPAxisTicker> makeTicker(bool logarithmic, bool index);

/// The widget's font, a little smaller, sized in pixels so that pictures come out the same on every device.
QFont chartFont(const QWidget& widget);

/// The range that shows all data with a little air: (left, bottom) to (right, top) in data units. `logFloor` is the
/// lowest value shown on a logarithmic y axis.
QRectF homeRange(const ChartData& data, double logFloor);

/// Shows the names of marks that have room, the most important first, and keeps them inside the plot.
void layOutMarkNames(QCustomPlot& plot);

/// Draws a small table as text: the first column on the left, the others right-aligned; rows that do not fit are left
/// out.
void paintTable(QPainter& painter, const QRectF& target, const StatisticsTable& table, const Theme& theme,
                const QFont& font);

} // namespace kvscope::views
