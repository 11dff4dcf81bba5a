// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/chart_data.h"
#include "views/chart_parts.h"
#include "views/theme.h"

#include <QPointF>
#include <QRectF>
#include <QWidget>

#include <map>
#include <optional>

class QCustomPlot;
class QCPBars;
class QCPGraph;
class QCPItemStraightLine;
class QCPItemText;
class QCPLegend;

namespace kvscope::views {

/// A chart that follows the theme, explains its points in tooltips, zooms (wheel, drag, + and -), returns home (double
/// click, Home) and lets the user pick a point by mouse or with the arrow keys and Enter.
class ChartWidget : public QWidget {
    Q_OBJECT

public:
    explicit ChartWidget(QWidget* parent = nullptr);
    ~ChartWidget() override;

    /// Shows new data. The zoom is kept when the axes mean the same as before and `keepZoom` is set.
    void setData(ChartData data, bool keepZoom = false);
    [[nodiscard]] const ChartData& data() const { return data_; }
    /// Moves the mark of what is selected without touching the rest.
    void setSelected(std::optional<double> x);

    /// Shows the whole data.
    void goHome();
    /// Visible range as (left, bottom) to (right, top) in data units.
    [[nodiscard]] QRectF visibleRange() const;
    /// Where a data point lies in this widget.
    [[nodiscard]] QPointF pointAt(double x, double y) const;
    /// What the tooltip says at a position of this widget; empty where it says nothing.
    [[nodiscard]] QString toolTipAt(const QPointF& position) const;
    /// The x under the keyboard or mouse cursor.
    [[nodiscard]] std::optional<double> cursor() const { return cursor_; }

    /// Draws the chart into a rectangle of logical pixels, as vectors.
    void paintTo(QPainter& painter, const QRectF& target);

    [[nodiscard]] QSize sizeHint() const override { return {480, 280}; }
    [[nodiscard]] QSize minimumSizeHint() const override { return {150, 120}; }

signals:
    /// The user picked the point at this x (click, or Enter on the cursor).
    void picked(double x);

protected:
    void changeEvent(QEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void focusInEvent(QFocusEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    void rebuild(bool keepZoom);
    /// Which bars stand side by side and which on one another.
    struct BarColumns {
        int count = 0;
        int next = 0;
        std::map<int, int> ofStack;
        std::map<int, QCPBars*> topOfStack;
    };
    static BarColumns barColumns(const ChartData& data);
    void addSeries(const ChartSeries& series, BarColumns& columns);
    void addBars(const ChartSeries& series, BarColumns& columns);
    void addMarks();
    /// Writes a name beside a point; where exactly is found when the chart is laid out.
    QCPItemText* addName(const QString& role, const QString& name, const QPointF& at, const QColor& colour);
    void applyTheme();
    void fitLegend(int width);
    void fitTicks(const QSize& size);
    void setTickers();
    void computeHome();
    void placeSelected();
    void setCursorX(std::optional<double> x);
    void moveCursor(int step);
    void zoomBy(double factor);
    void limitRanges();
    [[nodiscard]] std::optional<double> nearestX(double x) const;
    [[nodiscard]] QString describe(double x) const;
    [[nodiscard]] double floorY() const;
    [[nodiscard]] QColor colourOf(const ChartSeries& series) const;

    ChartData data_;
    Theme theme_;
    QCustomPlot* plot_;
    QCPLegend* legend_;
    QRectF home_;
    /// How far out one can zoom.
    QRectF limits_;
    double logFloor_ = 0.5;
    std::vector<double> xs_;
    std::optional<double> cursor_;
    ClickWatcher click_;
};

} // namespace kvscope::views
