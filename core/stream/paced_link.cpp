// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/paced_link.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace kvscope {

namespace {

constexpr double kForEver = std::numeric_limits<double>::infinity();

} // namespace

double PacedLink::through(double begin, double bytes) const {
    switch (mode_) {
    case Mode::Unlimited:
        return begin;
    case Mode::Constant:
        return bytesPerSecond_ > 0 ? begin + bytes / bytesPerSecond_ : kForEver;
    case Mode::Trace:
        return trace_->timeWhenThrough(begin + shift_, bytes) - shift_;
    }
    return begin;
}

double PacedLink::between(double begin, double end) const {
    switch (mode_) {
    case Mode::Unlimited:
        return 0;
    case Mode::Constant:
        return bytesPerSecond_ * (end - begin);
    case Mode::Trace:
        return trace_->bytesBetween(begin + shift_, end + shift_);
    }
    return 0;
}

double PacedLink::rateAt(double now) const {
    switch (mode_) {
    case Mode::Unlimited:
        return kForEver;
    case Mode::Constant:
        return bytesPerSecond_;
    case Mode::Trace:
        return trace_->bitsPerSecondAt(now + shift_) / 8;
    }
    return kForEver;
}

double PacedLink::left(double now) const {
    if (freeAt_ == kForEver)
        return stuckBytes_;
    return freeAt_ > now ? between(now, freeAt_) : 0;
}

void PacedLink::change(double now, double bytes) {
    if (freeAt_ <= now)
        return;
    stuckBytes_ = bytes;
    freeAt_ = through(now, bytes);
}

void PacedLink::setUnlimited() {
    mode_ = Mode::Unlimited;
    freeAt_ = 0;
}

void PacedLink::setRate(double now, double bitsPerSecond) {
    const double bytes = left(now);
    mode_ = Mode::Constant;
    bytesPerSecond_ = std::max(0.0, bitsPerSecond) / 8;
    change(now, bytes);
}

void PacedLink::setTrace(double now, std::shared_ptr<const BandwidthTrace> trace, double at) {
    const double bytes = left(now);
    mode_ = Mode::Trace;
    trace_ = std::move(trace);
    shift_ = at - now;
    change(now, bytes);
}

double PacedLink::send(double now, double bytes, bool waiting) {
    const double begin = waiting ? freeAt_ : std::max(now, freeAt_);
    stuckBytes_ = bytes;
    freeAt_ = through(mode_ == Mode::Unlimited ? now : begin, bytes);
    return freeAt_;
}

} // namespace kvscope
