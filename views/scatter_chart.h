// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/chart_parts.h"
#include "views/theme.h"

#include <QPointF>
#include <QString>
#include <QWidget>

#include <optional>
#include <vector>

class QCustomPlot;

namespace kvscope::views {

/// One point of a ScatterChart.
struct ScatterPoint {
    double x = 0;
    double y = 0;
    /// Written beside the point where there is room.
    QString name;
    /// Said when one points at it.
    QString explanation;
    /// Points of one group share colour and shape.
    std::size_t group = 0;
    /// Named first.
    bool important = false;
};

/// Points with names, a line along some of them, and levels across.
struct ScatterData {
    struct Group {
        QString name;
        /// Index into Theme::series.
        int tone = 0;
    };
    QString xTitle;
    QString yTitle;
    bool yLog = false;
    std::vector<Group> groups;
    std::vector<ScatterPoint> points;
    /// Corners of the line, from left to right.
    std::vector<QPointF> line;
    QString lineName;
    /// A line across at this y with its meaning written on it.
    std::optional<double> level;
    QString levelName;
    /// The point that is current; drawn with a ring.
    std::optional<std::size_t> marked;
    /// Instead of a chart without points.
    QString emptyText;
};

/// A scatter chart: names that never overlap, zoom by wheel and drag, the nearest point explained in a tooltip; click,
/// or arrow keys and Enter, to pick a point.
class ScatterChart : public QWidget {
    Q_OBJECT

public:
    explicit ScatterChart(QWidget* parent = nullptr);

    /// Shows other data; the zoom is kept while the axes mean the same and `keepZoom` is set.
    void setData(ScatterData data, bool keepZoom);
    [[nodiscard]] const ScatterData& data() const { return data_; }
    /// Where a point lies in this widget.
    [[nodiscard]] QPointF pointAt(std::size_t index) const;
    /// The point under the keyboard or mouse cursor.
    [[nodiscard]] std::optional<std::size_t> cursor() const { return cursor_; }
    /// Rectangles of the names that are shown, in this widget.
    [[nodiscard]] std::vector<QRectF> shownNames() const;
    void goHome();
    void paintTo(QPainter& painter, const QRectF& target);

    [[nodiscard]] QSize sizeHint() const override { return {480, 360}; }
    [[nodiscard]] QSize minimumSizeHint() const override { return {200, 160}; }

signals:
    void picked(std::size_t index);

protected:
    void changeEvent(QEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    void rebuild(bool keepZoom);
    void addPoints();
    void addNames();
    void layOutNames();
    void styleAxes();
    void fitTicks(const QSize& size);
    void computeHome();
    void markCursor();
    void setCursorTo(std::optional<std::size_t> index, bool speak);
    [[nodiscard]] QPointF pixelOf(const ScatterPoint& point) const;
    [[nodiscard]] std::optional<std::size_t> nearest(const QPointF& inPlot) const;

    ScatterData data_;
    Theme theme_;
    QCustomPlot* plot_;
    /// Indices of the points in the order that the keys go through them.
    std::vector<std::size_t> order_;
    std::optional<std::size_t> cursor_;
    ClickWatcher click_;
    QPointF homeLow_{0, 0};
    QPointF homeHigh_{1, 1};
};

} // namespace kvscope::views
