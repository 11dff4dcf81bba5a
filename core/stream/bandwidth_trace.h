// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace kvscope {

/// From `seconds` on the link carries `bitsPerSecond`, until the next point.
struct TracePoint {
    double seconds = 0;
    double bitsPerSecond = 0;
    bool operator==(const TracePoint&) const = default;
};

/// What the link does after a trace's last point has had its time.
enum class TraceEnd {
    Loop, ///< starts again from the beginning
    Hold  ///< keeps the last rate
};

/// The bandwidth of a link over time, piecewise constant from 0 to duration(). Immutable: edits give a new trace.
/// Times in seconds from the trace's start, rates in bits per second, amounts in bytes (fractions allowed).
class BandwidthTrace {
public:
    /// Largest rate and duration that arithmetic on traces is meant for.
    static constexpr double kMaxBitsPerSecond = 1e15;
    static constexpr double kMaxSeconds = 1e9;

    /// The first point must be at 0, times must rise strictly and end before `duration`, rates must be finite and not
    /// negative, and at least one positive. `name` names the trace in messages and legends.
    static Result<BandwidthTrace> make(std::vector<TracePoint> points, double duration, TraceEnd end, std::string name);

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] std::span<const TracePoint> points() const { return points_; }
    /// Seconds.
    [[nodiscard]] double duration() const { return duration_; }
    [[nodiscard]] TraceEnd end() const { return end_; }
    /// Mean and largest rate over the duration, bits per second.
    [[nodiscard]] double meanBitsPerSecond() const { return 8.0 * total_ / duration_; }
    [[nodiscard]] double peakBitsPerSecond() const;

    /// Rate at a time (times before 0 count as 0).
    [[nodiscard]] double bitsPerSecondAt(double seconds) const;
    /// Bytes that the link carries from the trace's start until a time: the exact integral, O(log n).
    [[nodiscard]] double bytesUntil(double seconds) const;
    [[nodiscard]] double bytesBetween(double begin, double end) const { return bytesUntil(end) - bytesUntil(begin); }
    /// The earliest time at or after `start` by which `bytes` have passed since `start`; infinite when they never do.
    /// O(log n).
    [[nodiscard]] double timeWhenThrough(double start, double bytes) const;

    /// The same shape with another mean. Errors: a mean that is not positive and finite, or rates out of range.
    [[nodiscard]] Result<BandwidthTrace> scaledToMean(double bitsPerSecond) const;
    [[nodiscard]] BandwidthTrace withEnd(TraceEnd end) const;
    [[nodiscard]] BandwidthTrace withName(std::string name) const;
    /// The part [begin, end) as a trace of its own. Errors: an empty range, or nothing but zeros in it.
    [[nodiscard]] Result<BandwidthTrace> cropped(double begin, double end) const;
    /// Adds a point, or changes the rate of the point at that very time.
    [[nodiscard]] Result<BandwidthTrace> withPoint(TracePoint point) const;
    /// Moves a point in time (kept between its neighbours; the first stays at 0) and in rate.
    [[nodiscard]] Result<BandwidthTrace> withMovedPoint(std::size_t index, TracePoint to) const;
    /// Removes a point; the one before then holds. The first point cannot go.
    [[nodiscard]] Result<BandwidthTrace> withoutPoint(std::size_t index) const;
    /// Paints one rate over [begin, end).
    [[nodiscard]] Result<BandwidthTrace> withRate(double begin, double end, double bitsPerSecond) const;

private:
    BandwidthTrace(std::vector<TracePoint> points, double duration, TraceEnd end, std::string name);

    [[nodiscard]] std::size_t segmentAt(double seconds) const;
    [[nodiscard]] double bytesWithin(double seconds) const;
    [[nodiscard]] double timeWithin(double bytes) const;

    std::vector<TracePoint> points_;
    /// Bytes carried before each point.
    std::vector<double> before_;
    double duration_ = 0;
    double total_ = 0;
    TraceEnd end_ = TraceEnd::Loop;
    std::string name_;
};

} // namespace kvscope
