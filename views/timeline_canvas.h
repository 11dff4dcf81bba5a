// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/stream_session.h"
#include "views/timeline_picture.h"

#include <QAbstractScrollArea>
#include <QPointer>

#include <cstdint>
#include <optional>

namespace kvscope::views {

/// The timelines under the mouse and the keyboard: the bandwidth's points and the SLO's line are dragged, the
/// bandwidth is painted, the axis is scrubbed, rows and chunks are picked, wheel and drag zoom and move.
class TimelineCanvas : public QAbstractScrollArea {
    Q_OBJECT

public:
    explicit TimelineCanvas(StreamSession& session, QWidget* parent = nullptr);

    /// Whether a drag over the bandwidth paints it; otherwise it moves points. Shift does the other.
    void setPainting(bool on);
    [[nodiscard]] bool isPainting() const { return painting_; }
    void setEstimates(bool on);
    [[nodiscard]] bool showsEstimates() const { return estimates_; }
    /// What to say where nothing has been measured nor sent.
    void setEmptyText(const QString& text) { emptyText_ = text; }

    /// The picture as it is on screen, in coordinates of viewport().
    [[nodiscard]] TimelinePicture picture() const;
    /// The whole picture in a rectangle, for files.
    [[nodiscard]] TimelinePicture pictureFor(const QRectF& target) const;
    /// Shows the time from the request to some way beyond the SLO.
    void goHome();
    /// Moves the focus by so many rows, and to the next or previous chunk by time.
    void stepRow(int step);
    void stepChunk(int step);

    [[nodiscard]] QSize sizeHint() const override { return {900, 420}; }
    [[nodiscard]] QSize minimumSizeHint() const override { return {260, 150}; }

    /// Gestures and keys, and what they do.
    static QList<QPair<QString, QString>> gestures();

signals:
    /// The user picked a chunk of the run in focus.
    void chunkPicked(std::size_t chunk);
    /// Another part is visible, or other things are shown.
    void viewChanged();

protected:
    void paintEvent(QPaintEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void wheelEvent(QWheelEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void contextMenuEvent(QContextMenuEvent* event) override;
    void changeEvent(QEvent* event) override;
    void scrollContentsBy(int dx, int dy) override;
    bool viewportEvent(QEvent* event) override;

private:
    enum class Drag : std::uint8_t { None, Slo, Point, Paint, Scrub, Pan };

    [[nodiscard]] TimelineScene scene() const;
    void refresh();
    void updateScrollBar();
    void dragTo(const QPointF& at);
    void paintRate(const QPointF& from, const QPointF& to);
    void setVisibleTime(double begin, double end);
    void fitRates();
    void pick(const TimelinePicture& picture, const QPointF& at);
    void addPoint(const TimelinePicture& picture, const QPointF& at);
    void movePoint(double seconds, double factor);
    void removePoint();
    void stepPoint(int step);
    void toggleFault(Fault::Kind kind, std::size_t chunk);
    [[nodiscard]] bool pressedBandwidthKey(const QKeyEvent& event);
    [[nodiscard]] bool pressedPlayerKey(const QKeyEvent& event);
    [[nodiscard]] QString explain(const QPointF& at) const;

    QPointer<StreamSession> session_;
    bool painting_ = false;
    QString emptyText_ = tr("The dump's levels have not been measured.");
    bool estimates_ = true;
    /// Visible seconds; nothing: home.
    std::optional<Interval> visible_;
    double leastRate_ = 1e8;
    double mostRate_ = 1e10;
    std::optional<std::size_t> curvePoint_;
    Drag drag_ = Drag::None;
    QPointF pressed_;
    QPointF last_;
    double pressedSeconds_ = 0;
    Interval pressedView_;
};

/// The nearest multiple of `grid`.
double snapped(double value, double grid);

} // namespace kvscope::views
