// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/arrival_log.h"

#include <algorithm>
#include <utility>

namespace kvscope {

namespace {

/// Shortest stretch that is told apart: this, or a thousandth of the time so far.
constexpr double kFinest = 1e-3;

} // namespace

void ArrivalLog::add(double seconds, double bytes) {
    if (begin_ < 0)
        begin_ = seconds;
    const double finest = std::max(kFinest, seconds / 1000);
    const double before = bins_.size() > 1 ? bins_[bins_.size() - 2].end : begin_;
    if (!bins_.empty() && bins_.back().idle) {
        // What comes right after it was on its way for a while.
        bins_.back().end = std::clamp(bins_.back().end, before, std::max(before, seconds - finest));
    } else if (!bins_.empty() && (seconds - before < finest || seconds <= bins_.back().end)) {
        bins_.back().end = std::max(bins_.back().end, seconds);
        bins_.back().bytes += bytes;
        return;
    }
    bins_.push_back({seconds, bytes, false});
}

void ArrivalLog::idle(double until) {
    if (!bins_.empty() && !bins_.back().idle && until > bins_.back().end)
        bins_.push_back({until, 0, true});
}

std::shared_ptr<const BandwidthTrace> ArrivalLog::trace(double shift, const std::string& name) const {
    std::vector<TracePoint> points{{0, 0}};
    double from = 0;
    double idle = 0;
    for (const Bin& bin : bins_) {
        const double end = bin.end - shift;
        if (!(end > from + 1e-9))
            continue;
        if (bin.idle) {
            idle = end - from;
            continue;
        }
        const double rate = 8 * bin.bytes / (end - from - std::exchange(idle, 0));
        if (points.back().seconds == from)
            points.back().bitsPerSecond = rate;
        else
            points.push_back({from, rate});
        from = end;
    }
    const double duration = from > 0 ? from : 1;
    auto trace = BandwidthTrace::make(points, duration, TraceEnd::Hold, name);
    if (!trace)
        trace = BandwidthTrace::make({{0, 1}}, 1, TraceEnd::Hold, name);
    return std::make_shared<const BandwidthTrace>(std::move(*trace));
}

double ArrivalLog::recentRate(double now, double window) const {
    double bytes = 0;
    double seconds = 0;
    for (auto bin = bins_.rbegin(); bin != bins_.rend() && bin->end > now - window; ++bin) {
        if (bin->idle)
            continue;
        bytes += bin->bytes;
        seconds += bin->end - (std::next(bin) != bins_.rend() ? std::next(bin)->end : begin_);
    }
    return seconds > 0 ? 8 * bytes / seconds : 0;
}

} // namespace kvscope
