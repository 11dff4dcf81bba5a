// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/bandwidth_trace.h"
#include "core/stream/stream_input.h"
#include "views/stream_session.h"
#include "views/theme.h"

#include <QBrush>
#include <QFont>
#include <QPointF>
#include <QRectF>
#include <QString>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

class QPainter;
class QPainterPath;

namespace kvscope::views {

/// What a run does at the same time.
enum class TimelineLane : std::uint8_t { Network, Decode, Recompute, Ready };
inline constexpr int kTimelineLanes = 4;
QString nameOf(TimelineLane lane);

/// How the forms of chunks are drawn: levels by colour (blind-safe, finest first), text hatched.
QColor colourOf(const Candidate& candidate, const Theme& theme);
QBrush brushOf(const Candidate& candidate, const Theme& theme);

/// A chunk's bar in a lane of a row.
struct TimelineItem {
    QRectF rect;
    std::size_t row = 0;
    std::size_t chunk = 0;
    std::size_t candidate = 0;
    TimelineLane lane = TimelineLane::Network;
    double begin = 0;
    double end = 0;
    /// The transfer was given up.
    bool abandoned = false;
    /// Of the simulated run that is laid over a measured one: an outline.
    bool simulated = false;
};

/// What is drawn, and how much of it.
struct TimelineScene {
    const std::vector<StreamRow>* rows = nullptr;
    const StreamInput* input = nullptr;
    const BandwidthTrace* curve = nullptr;
    /// Bandwidth of the second path; null without one.
    const BandwidthTrace* second = nullptr;
    double sloSeconds = 2;
    std::optional<std::size_t> focusRow;
    std::optional<std::size_t> chunk;
    /// Where playing stands; nothing when nothing is played.
    std::optional<double> position;
    bool estimates = true;
    /// Handles on the points of the curve.
    bool handles = true;
    std::optional<std::size_t> curvePoint;
    /// Visible seconds and bits per second.
    double begin = 0;
    double end = 4;
    double leastRate = 1e8;
    double mostRate = 1e10;
    /// Pixels by which the rows are scrolled up.
    double scroll = 0;
    QString caption;
};

/// The timelines of all strategies on one axis of time, with the bandwidth above: where everything lies, and how it is
/// drawn. Coordinates are logical pixels.
class TimelinePicture {
public:
    TimelinePicture() = default;
    TimelinePicture(TimelineScene scene, const QRectF& area, const Theme& theme, const QFont& font);

    [[nodiscard]] const TimelineScene& scene() const { return scene_; }
    /// Rectangles of the curve, of the strip with the seconds (to scrub in), and of all rows together.
    [[nodiscard]] QRectF curveArea() const { return curve_; }
    [[nodiscard]] QRectF axisArea() const { return axis_; }
    [[nodiscard]] QRectF rowsArea() const { return rows_; }
    [[nodiscard]] QRectF rowArea(std::size_t row) const;
    [[nodiscard]] QRectF laneArea(std::size_t row, TimelineLane lane) const;
    /// Height of all rows; more than rowsArea's when they must be scrolled.
    [[nodiscard]] double rowsHeight() const { return tops_.back(); }

    [[nodiscard]] double xOf(double seconds) const;
    [[nodiscard]] double secondsAt(double x) const;
    [[nodiscard]] double yOf(double bitsPerSecond) const;
    [[nodiscard]] double rateAt(double y) const;

    [[nodiscard]] const std::vector<TimelineItem>& items() const { return items_; }
    /// The topmost bar at a place; bars narrower than a finger are found from a little beside them.
    [[nodiscard]] const TimelineItem* itemAt(const QPointF& at) const;
    [[nodiscard]] std::optional<std::size_t> rowAt(const QPointF& at) const;
    /// Index of the curve's point at a place.
    [[nodiscard]] std::optional<std::size_t> curvePointAt(const QPointF& at) const;
    [[nodiscard]] bool isSloAt(const QPointF& at) const;

    void paint(QPainter& painter) const;

private:
    void layOut(const QRectF& area);
    void addItems();
    /// What goes on after `until` is cut off there.
    void addRun(std::size_t row, const Timeline& run, bool simulated, double until);
    void addItem(std::size_t row, std::size_t chunk, std::size_t candidate, TimelineLane lane, const Interval& when,
                 bool abandoned, bool simulated);
    /// The network's lane, or of two paths the one's half of it.
    void addTransfer(std::size_t row, std::size_t chunk, std::size_t candidate, std::size_t path, const Interval& when,
                     bool abandoned, bool simulated);
    [[nodiscard]] QPainterPath stepsOf(const BandwidthTrace& curve) const;
    void paintPathNames(QPainter& painter) const;

    void paintCurve(QPainter& painter) const;
    void paintEstimates(QPainter& painter) const;
    void paintAxis(QPainter& painter) const;
    void paintRows(QPainter& painter) const;
    void paintRowTitle(QPainter& painter, std::size_t row) const;
    void paintReady(QPainter& painter, std::size_t row) const;
    void paintItem(QPainter& painter, const TimelineItem& item) const;
    void paintFirstToken(QPainter& painter, std::size_t row) const;
    void paintMarks(QPainter& painter) const;
    void paintLegend(QPainter& painter) const;
    [[nodiscard]] QFont bold() const;
    /// Whether a moment lies after the one that is shown while playing.
    [[nodiscard]] bool isFuture(double seconds) const { return scene_.position && seconds > *scene_.position; }

    TimelineScene scene_;
    Theme theme_;
    QFont font_;
    QRectF area_;
    QRectF curve_;
    QRectF axis_;
    QRectF rows_;
    QRectF legend_;
    double gutter_ = 0;
    /// Of the rows, from the first one's top; one more than there are rows.
    std::vector<double> tops_{0};
    std::vector<TimelineItem> items_;
};

/// "1.34 s", "720 ms"; "never" for what never comes.
QString formatSeconds(double seconds);
/// "4 Gbit/s", "350 Mbit/s".
QString formatRate(double bitsPerSecond);

} // namespace kvscope::views
