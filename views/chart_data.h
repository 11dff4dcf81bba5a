// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/geometry.h"

#include <QString>
#include <QStringList>

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace kvscope::views {

/// One row of numbers of a chart. Its colour follows from its kind and look, so that a chart can be recoloured when the
/// theme changes.
struct ChartSeries {
    enum class Shape : std::uint8_t {
        Bars,   ///< one bar at each x; the bars of all such series stand side by side
        Line,   ///< straight lines between the points
        Steps,  ///< a step centred on each point (histograms)
        Points, ///< markers alone
        Band    ///< the area between y and low
    };
    /// Tells apart series of one kind, without relying on colour.
    enum class Look : std::uint8_t { Solid, Hatched, Dashed, Dotted, Pale };
    /// What the colour stands for: the kind, or what was done to its values.
    /// Series: one of several things that are not kinds, told apart by toneIndex.
    enum class Tone : std::uint8_t { Kind, DeltaPrevious, DeltaAnchor, Text, Series };

    QString name;
    Shape shape = Shape::Line;
    PlaneKind kind = PlaneKind::Key;
    Look look = Look::Solid;
    Tone tone = Tone::Kind;
    int toneIndex = 0;
    /// Bars of one stack stand on one another, in the order of the series, instead of side by side; all bars of a chart
    /// have a stack, or none has.
    std::optional<int> stack;
    /// Mark the points of a line.
    bool markers = false;
    /// Draw what lies under a line or step in the series' colour, half transparent.
    bool filled = false;
    bool inLegend = true;
    /// Written at the last point of a line where there is room.
    QString endName;
    std::vector<double> x;
    std::vector<double> y;
    /// Lower edge of a Band.
    std::vector<double> low;
};

/// A point that needs a look: drawn in the accent colour with its name beside it where there is room.
struct ChartMark {
    double x = 0;
    double y = 0;
    QString name;
};

/// A line across the chart with its meaning written on it (e.g. at 1: "delta helps above").
struct ChartLevel {
    double y = 0;
    QString name;
};

/// Everything a ChartWidget shows, as values.
struct ChartData {
    QString xTitle;
    QString yTitle;
    bool xLog = false;
    bool yLog = false;
    /// The x of every series are whole numbers (layers, channels, tokens).
    bool xIndex = false;
    /// The y axis includes 0.
    bool fromZero = false;
    /// No y can lie above this (100 of a percentage): the axis has no numbers beyond it.
    std::optional<double> yMost;
    /// Names of x = 0, 1, 2 ...; replace numbers on the axis.
    QStringList categories;
    std::vector<ChartSeries> series;
    std::vector<ChartMark> marks;
    std::vector<ChartLevel> levels;
    /// The part of the x axis that is shown at first, where the rest holds next to nothing; zooming out reaches the
    /// rest.
    std::optional<std::pair<double, double>> xFocus;
    /// x of what is selected, drawn as a band one wide (xIndex) or a line.
    std::optional<double> selected;
    /// What to call an x in tooltips ("layer 3"); the number itself when null.
    std::function<QString(double)> xName;
    /// What the chart measures, as a tooltip beside the data (titles, legend).
    QString explanation;
    /// Instead of a chart without points.
    QString emptyText;
};

} // namespace kvscope::views
