// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/bandwidth_trace.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace kvscope {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The points that hold in [begin, end), the first of them at `begin`.
std::vector<TracePoint> pointsBetween(std::span<const TracePoint> points, double begin, double end) {
    std::vector<TracePoint> kept;
    for (const TracePoint& point : points) {
        if (point.seconds >= end)
            break;
        if (point.seconds <= begin)
            kept.assign(1, {begin, point.bitsPerSecond});
        else
            kept.push_back(point);
    }
    return kept;
}

} // namespace

Result<BandwidthTrace> BandwidthTrace::make(std::vector<TracePoint> points, double duration, TraceEnd end,
                                            std::string name) {
    if (points.empty())
        return fail("the trace has no points", name, "give at least one rate");
    if (!(duration > 0 && duration <= kMaxSeconds))
        return fail("the trace's duration is not between 0 and 1e9 seconds", name);
    if (points.front().seconds != 0)
        return fail("the trace does not start at 0 seconds", name);
    bool carries = false;
    for (std::size_t i = 0; i < points.size(); ++i) {
        const auto where = [&] { return name + ", point " + std::to_string(i + 1); };
        const double rate = points[i].bitsPerSecond;
        if (!(rate >= 0 && rate <= kMaxBitsPerSecond))
            return fail("the rate is negative, not a number or above 1e15 bit/s", where());
        const double next = i + 1 < points.size() ? points[i + 1].seconds : duration;
        if (!(next > points[i].seconds))
            return fail("the times do not rise", where(), "sort the points by time");
        carries = carries || rate > 0;
    }
    if (!carries)
        return fail("the bandwidth is zero for ever", name, "Nothing would ever arrive: give a positive rate");
    return BandwidthTrace(std::move(points), duration, end, std::move(name));
}

BandwidthTrace::BandwidthTrace(std::vector<TracePoint> points, double duration, TraceEnd end, std::string name)
    : points_(std::move(points))
    , duration_(duration)
    , end_(end)
    , name_(std::move(name)) {
    before_.reserve(points_.size());
    for (std::size_t i = 0; i < points_.size(); ++i) {
        before_.push_back(total_);
        const double next = i + 1 < points_.size() ? points_[i + 1].seconds : duration_;
        total_ += points_[i].bitsPerSecond / 8.0 * (next - points_[i].seconds);
    }
}

double BandwidthTrace::peakBitsPerSecond() const {
    return std::ranges::max_element(points_, {}, &TracePoint::bitsPerSecond)->bitsPerSecond;
}

std::size_t BandwidthTrace::segmentAt(double seconds) const {
    const auto after = std::ranges::upper_bound(points_, seconds, {}, &TracePoint::seconds);
    return after == points_.begin() ? 0 : static_cast<std::size_t>(after - points_.begin()) - 1;
}

double BandwidthTrace::bitsPerSecondAt(double seconds) const {
    seconds = std::max(seconds, 0.0);
    if (seconds >= duration_)
        seconds = end_ == TraceEnd::Loop ? std::fmod(seconds, duration_) : points_.back().seconds;
    return points_[segmentAt(seconds)].bitsPerSecond;
}

double BandwidthTrace::bytesWithin(double seconds) const {
    const std::size_t segment = segmentAt(seconds);
    return before_[segment] + points_[segment].bitsPerSecond / 8.0 * (seconds - points_[segment].seconds);
}

double BandwidthTrace::bytesUntil(double seconds) const {
    if (!(seconds > 0))
        return 0;
    if (seconds <= duration_)
        return bytesWithin(seconds);
    if (end_ == TraceEnd::Hold)
        return total_ + points_.back().bitsPerSecond / 8.0 * (seconds - duration_);
    const double rounds = std::floor(seconds / duration_);
    return rounds * total_ + bytesWithin(std::clamp(seconds - rounds * duration_, 0.0, duration_));
}

double BandwidthTrace::timeWithin(double bytes) const {
    // The segment in which the sum reaches `bytes`; it carries something, as its end is above its beginning.
    const auto reached = std::ranges::lower_bound(before_, bytes);
    if (reached == before_.begin())
        return 0;
    const auto segment = static_cast<std::size_t>(reached - before_.begin()) - 1;
    const double next = segment + 1 < points_.size() ? points_[segment + 1].seconds : duration_;
    const double rate = points_[segment].bitsPerSecond / 8.0;
    if (!(rate > 0))
        return next;
    return std::min(next, points_[segment].seconds + (bytes - before_[segment]) / rate);
}

double BandwidthTrace::timeWhenThrough(double start, double bytes) const {
    start = std::max(start, 0.0);
    if (!(bytes > 0))
        return start;
    const double target = bytesUntil(start) + bytes;
    if (target <= total_)
        return std::max(start, timeWithin(target));
    if (end_ == TraceEnd::Hold) {
        const double rate = points_.back().bitsPerSecond / 8.0;
        if (!(rate > 0))
            return kInfinity;
        return std::max(start, duration_ + (target - total_) / rate);
    }
    // The last moment of a round counts as its end, not as the next one's beginning (which might be silent).
    double rounds = std::floor(target / total_);
    double left = target - rounds * total_;
    if (!(left > 0)) {
        rounds -= 1;
        left = total_;
    }
    return std::max(start, rounds * duration_ + timeWithin(std::min(left, total_)));
}

Result<BandwidthTrace> BandwidthTrace::scaledToMean(double bitsPerSecond) const {
    if (!(bitsPerSecond > 0 && bitsPerSecond <= kMaxBitsPerSecond))
        return fail("the mean bandwidth is not a positive number of bits per second", name_);
    const double factor = bitsPerSecond / meanBitsPerSecond();
    std::vector<TracePoint> points = points_;
    for (TracePoint& point : points)
        point.bitsPerSecond *= factor;
    return make(std::move(points), duration_, end_, name_);
}

BandwidthTrace BandwidthTrace::withEnd(TraceEnd end) const {
    BandwidthTrace other = *this;
    other.end_ = end;
    return other;
}

BandwidthTrace BandwidthTrace::withName(std::string name) const {
    BandwidthTrace other = *this;
    other.name_ = std::move(name);
    return other;
}

Result<BandwidthTrace> BandwidthTrace::cropped(double begin, double end) const {
    if (!(begin >= 0 && end > begin && end <= duration_))
        return fail("the part to keep is empty or leaves the trace", name_);
    std::vector<TracePoint> points = pointsBetween(points_, begin, end);
    for (TracePoint& point : points)
        point.seconds -= begin;
    return make(std::move(points), end - begin, end_, name_);
}

Result<BandwidthTrace> BandwidthTrace::withPoint(TracePoint point) const {
    if (!(point.seconds >= 0 && point.seconds < duration_))
        return fail("the point is outside the trace", name_);
    std::vector<TracePoint> points = points_;
    const auto at = std::ranges::lower_bound(points, point.seconds, {}, &TracePoint::seconds);
    if (at != points.end() && at->seconds == point.seconds)
        *at = point;
    else
        points.insert(at, point);
    return make(std::move(points), duration_, end_, name_);
}

Result<BandwidthTrace> BandwidthTrace::withMovedPoint(std::size_t index, TracePoint to) const {
    if (index >= points_.size())
        return fail("the trace has no such point", name_);
    std::vector<TracePoint> points = points_;
    const double before = index > 0 ? points[index - 1].seconds : 0;
    const double after = index + 1 < points.size() ? points[index + 1].seconds : duration_;
    if (index == 0)
        to.seconds = 0;
    else
        to.seconds = std::clamp(to.seconds, std::nextafter(before, kInfinity), std::nextafter(after, -kInfinity));
    points[index] = to;
    return make(std::move(points), duration_, end_, name_);
}

Result<BandwidthTrace> BandwidthTrace::withoutPoint(std::size_t index) const {
    if (index == 0 || index >= points_.size())
        return fail("that point cannot be removed", name_, "the first point must stay");
    std::vector<TracePoint> points = points_;
    points.erase(points.begin() + static_cast<std::ptrdiff_t>(index));
    return make(std::move(points), duration_, end_, name_);
}

Result<BandwidthTrace> BandwidthTrace::withRate(double begin, double end, double bitsPerSecond) const {
    begin = std::max(begin, 0.0);
    end = std::min(end, duration_);
    if (!(end > begin))
        return fail("the stretch to paint is empty or outside the trace", name_);
    std::vector<TracePoint> points;
    if (begin > 0)
        points = pointsBetween(points_, 0, begin);
    points.push_back({begin, bitsPerSecond});
    if (end < duration_) {
        const auto rest = pointsBetween(points_, end, duration_);
        points.insert(points.end(), rest.begin(), rest.end());
    }
    return make(std::move(points), duration_, end_, name_);
}

} // namespace kvscope
