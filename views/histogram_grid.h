// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/index.h"
#include "core/stats/histogram.h"
#include "views/chart_data.h"

#include <QString>
#include <QStringList>
#include <QWidget>

#include <vector>

namespace kvscope::views {

/// Small histograms in rows and columns, a column sharing one range, so that many can be compared at a glance. Each is
/// as high as its own highest bar. A click, or the arrow keys and Enter, picks one.
class HistogramGrid : public QWidget {
    Q_OBJECT

public:
    /// One outline: heights of equal bins.
    struct Curve {
        ChartSeries::Tone tone = ChartSeries::Tone::Kind;
        bool filled = false;
        BinRange range;
        std::vector<double> heights;
    };
    struct Cell {
        QString title;
        /// On the right of the title.
        QString note;
        QString toolTip;
        PlaneKind kind = PlaneKind::Key;
        std::vector<Curve> curves;
        /// Instead of curves.
        QString emptyText;
    };

    explicit HistogramGrid(QWidget* parent = nullptr);

    /// Shows cells row by row under the names of their columns.
    void setCells(const QStringList& columns, std::vector<Cell> cells);
    /// Marks a row.
    void setSelectedRow(int row);
    [[nodiscard]] const std::vector<Cell>& cells() const { return cells_; }
    /// The range that a column's histograms share.
    [[nodiscard]] BinRange rangeOf(int column) const;
    /// Where a cell lies in this widget, and in a picture.
    [[nodiscard]] QRectF cellRect(int row, int column) const;
    [[nodiscard]] QRectF cellRect(int row, int column, const QRectF& area) const;

    /// Draws all cells into a rectangle, as vectors.
    void paintTo(QPainter& painter, const QRectF& target) const;

    [[nodiscard]] QSize sizeHint() const override;
    [[nodiscard]] QSize minimumSizeHint() const override;

signals:
    void picked(int row, int column);

protected:
    void paintEvent(QPaintEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    bool event(QEvent* event) override;

private:
    [[nodiscard]] int columnCount() const { return static_cast<int>(columns_.size()); }
    [[nodiscard]] int rowCount() const;
    /// How many times the columns stand beside each other, so that many rows can be read in a low picture.
    [[nodiscard]] int blockCount(const QRectF& area) const;
    [[nodiscard]] double headerHeight() const;
    [[nodiscard]] int cellAt(const QPointF& position) const;
    void paintHeaders(QPainter& painter, int column, const BinRange& range, const QRectF& target) const;
    void paintCell(QPainter& painter, const Cell& cell, const BinRange& range, const QRectF& area, bool selected) const;

    QStringList columns_;
    std::vector<Cell> cells_;
    int selectedRow_ = -1;
    /// Cell of the keyboard.
    int current_ = 0;
};

} // namespace kvscope::views
