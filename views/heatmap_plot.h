// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/heatmap_ground.h"
#include "views/heatmap_overlay.h"
#include "views/heatmap_plottable.h"
#include "views/map_selection.h"
#include "views/token_strip.h"
#include "views/view_history.h"

#include <QElapsedTimer>
#include <qcustomplot.h>

#include <cstdint>
#include <optional>

namespace kvscope::views {

/// The picture of a map with its axes and everything the mouse and the keyboard do to them: drag pans, the wheel zooms
/// (over an axis: that axis alone), Ctrl or right drag zooms into a box, Shift drag selects, a click selects a cell,
/// arrows move the crosshair, + and - zoom, Backspace and Alt+Left go back, Home shows everything.
class HeatmapPlot : public QCustomPlot {
    Q_OBJECT

public:
    explicit HeatmapPlot(QWidget* parent = nullptr);

    [[nodiscard]] HeatmapPlottable& heatmap() const { return *heatmap_; }
    [[nodiscard]] TokenStrip& strip() const { return *strip_; }
    [[nodiscard]] HeatmapOverlay& overlay() { return overlay_; }
    [[nodiscard]] const HeatmapOverlay& overlay() const { return overlay_; }

    /// Takes over the shape of a new map; the view stays where it makes sense and becomes the whole map otherwise.
    void setMap(const MapShape& shape, bool keepView, bool wheelZoomsRows);
    /// Titles of the axes; `shortColumns` stands where the first one would be cut.
    void setAxisTitles(const QString& columns, const QString& shortColumns, const QString& rows);
    void setAxisOffsets(std::int64_t columns, std::int64_t rows);
    /// As many ticks as have room for their labels in a picture of a size.
    void fitTicks(const QSize& size);
    /// Text in the middle where there is no picture; empty for none.
    void setMessage(const QString& message);

    [[nodiscard]] PlotView view() const;
    [[nodiscard]] PlotView homeView() const;
    /// Shows a part of the map, moved and shrunk to lie inside it. With `remembered` Back returns from it.
    void setView(const PlotView& view, bool remembered);
    void goHome();
    void goBack();
    void goForward();
    /// Zooms both axes (rows only where the wheel does) about the crosshair or the middle; factor below 1 zooms in.
    void zoom(double factor);
    [[nodiscard]] bool canGoBack() const { return history_.canGoBack(); }
    /// Brings a cell into view, near enough that it can be seen by itself.
    void reveal(const MapCell& cell);

    void setCrosshair(std::optional<MapCell> cell);
    /// A vertical line where another view's pointer is, without a row of this map.
    void setGuide(std::optional<std::int64_t> column);
    /// Ring around a cell, and frame around selected cells (full-resolution columns and rows).
    void setMark(std::optional<MapCell> cell);
    void setSelectionFrame(std::optional<QRectF> cells);
    [[nodiscard]] const std::optional<MapCell>& crosshair() const { return crosshair_; }
    /// The delivered cell over a full-resolution one at the step now on screen, in full-resolution columns and rows.
    [[nodiscard]] QRectF cellAround(const MapCell& cell) const;
    [[nodiscard]] std::optional<MapCell> cellAt(const QPointF& pixel) const;
    /// Middle of a cell in this widget.
    [[nodiscard]] QPointF pixelOf(const MapCell& cell) const;

signals:
    void viewChanged();
    void crosshairMoved();
    /// A click or Enter on a cell; the rectangle covers the delivered cell in full-resolution columns and rows.
    void cellsPicked(const QRectF& cells);
    void pointerLeft();

protected:
    void paintEvent(QPaintEvent* event) override;
    void draw(QCPPainter* painter) override;
    void resizeEvent(QResizeEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void wheelEvent(QWheelEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void leaveEvent(QEvent* event) override;
    void changeEvent(QEvent* event) override;
    void focusInEvent(QFocusEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;

private:
    enum class Gesture { None, Pending, Pan, Box, Select };

    void applyTheme();
    void fitColumnTitle();
    [[nodiscard]] QCPRange limited(const QCPRange& range, std::int64_t extent) const;
    void rememberView();
    void zoomAbout(const QPointF& pixel, double factor, bool columns, bool rows);
    void pan(const QPointF& pixels, const PlotView& from);
    void moveCrosshair(int columns, int rows);
    [[nodiscard]] QRectF bandTo(const QPointF& pixel) const;
    void finishBand(const QPointF& pixel);

    HeatmapPlottable* heatmap_;
    TokenStrip* strip_;
    HeatmapGround* ground_;
    HeatmapOverlay overlay_;
    QCPItemText* message_;
    QString columnTitle_;
    QString shortColumnTitle_;
    MapShape shape_;
    bool wheelZoomsRows_ = false;
    ViewHistory history_;
    QElapsedTimer sinceRemembered_;
    std::optional<MapCell> crosshair_;
    Gesture gesture_ = Gesture::None;
    Gesture pendingGesture_ = Gesture::None;
    QPointF pressed_;
    PlotView pressedView_;
};

} // namespace kvscope::views
