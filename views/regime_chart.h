// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/stream_sweeps.h"
#include "views/theme.h"

#include <QFont>
#include <QRectF>
#include <QWidget>

#include <optional>
#include <vector>

namespace kvscope::views {

/// Which of text, compressed and raw brings the first token soonest, by bandwidth and context length (both
/// logarithmic), with contours of the time saved. Click, or arrow keys and Enter, to pick a place.
class RegimeChart : public QWidget {
    Q_OBJECT

public:
    explicit RegimeChart(QWidget* parent = nullptr);

    void setMap(RegimeMap map);
    [[nodiscard]] const RegimeMap& map() const { return map_; }
    /// Rings the present setting: bits per second and tokens.
    void setCurrent(double bitsPerSecond, double tokens);
    /// Where a place lies in this widget.
    [[nodiscard]] QPointF pointAt(double bitsPerSecond, double tokens) const;
    /// What the tooltip says at a position of this widget; empty where it says nothing.
    [[nodiscard]] QString toolTipAt(const QPointF& position) const;
    void paintTo(QPainter& painter, const QRectF& target) const;

    [[nodiscard]] QSize sizeHint() const override { return {480, 320}; }
    [[nodiscard]] QSize minimumSizeHint() const override { return {200, 140}; }

signals:
    void picked(double bitsPerSecond, double tokens);

protected:
    void paintEvent(QPaintEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void changeEvent(QEvent* event) override;
    bool event(QEvent* event) override;

private:
    struct Cursor {
        std::size_t rate = 0;
        std::size_t context = 0;
    };

    [[nodiscard]] QRectF plotArea(const QRectF& target) const;
    [[nodiscard]] QPointF place(const QRectF& plot, double bitsPerSecond, double tokens) const;
    [[nodiscard]] std::optional<Cursor> cellAt(const QPointF& position) const;
    [[nodiscard]] QString describe(const Cursor& cell) const;
    void paintCells(QPainter& painter, const QRectF& plot, const Theme& theme) const;
    /// The values along the contours keep clear of what is `taken`.
    void paintContours(QPainter& painter, const QRectF& plot, const Theme& theme, std::vector<QRectF> taken) const;
    struct RegionName {
        QString text;
        QRectF box;
    };
    /// Names on the map itself, in the middle of each region.
    [[nodiscard]] std::vector<RegionName> regionNames(const QRectF& plot, const QFont& font) const;
    void paintAxes(QPainter& painter, const QRectF& plot, const Theme& theme) const;
    void paintLegend(QPainter& painter, const QRectF& target, const Theme& theme) const;

    RegimeMap map_;
    double currentRate_ = 0;
    double currentTokens_ = 0;
    std::optional<Cursor> cursor_;
};

/// "text", "compressed", "raw".
QString nameOf(Regime regime);

} // namespace kvscope::views
