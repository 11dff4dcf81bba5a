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
    if (!bins_.empty() && (seconds - before < finest || seconds <= bins_.back().end)) {
        bins_.back().end = std::max(bins_.back().end, seconds);
        bins_.back().bytes += bytes;
        return;
    }
    bins_.push_back({seconds, bytes});
}

std::shared_ptr<const BandwidthTrace> ArrivalLog::trace(double shift, const std::string& name) const {
    std::vector<TracePoint> points{{0, 0}};
    double from = 0;
    for (const Bin& bin : bins_) {
        const double end = bin.end - shift;
        if (!(end > from + 1e-9))
            continue;
        const double rate = 8 * bin.bytes / (end - from);
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
    double from = now;
    double to = 0;
    for (auto bin = bins_.rbegin(); bin != bins_.rend() && bin->end > now - window; ++bin) {
        bytes += bin->bytes;
        from = std::next(bin) != bins_.rend() ? std::next(bin)->end : begin_;
        to = std::max(to, bin->end);
    }
    return to > from ? 8 * bytes / (to - from) : 0;
}

} // namespace kvscope
