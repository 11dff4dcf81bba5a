// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/bandwidth_trace.h"

#include <memory>

namespace kvscope {

/// A sender's link as a bucket of tokens that the bandwidth fills: bytes leave one behind the other, each no sooner
/// than a link of that bandwidth would have carried it. Unused bandwidth is lost, as on a wire; a caller that comes
/// late because its timer did may catch up. Times are seconds on the caller's clock, which must not run backwards.
class PacedLink {
public:
    /// Without a trace bytes leave at once.
    void setUnlimited();
    /// From `now` on a constant rate in bits per second, at least 0; bytes on their way go on at the new rate.
    void setRate(double now, double bitsPerSecond);
    /// From `now` on a trace from its place `at` (seconds) on.
    void setTrace(double now, std::shared_ptr<const BandwidthTrace> trace, double at);

    [[nodiscard]] bool limited() const { return mode_ != Mode::Unlimited; }
    /// Bytes per second at a time of the clock; infinite without a limit.
    [[nodiscard]] double rateAt(double now) const;
    /// When the last byte sent so far has left; infinite when it never does.
    [[nodiscard]] double freeAt() const { return freeAt_; }
    /// Sends `bytes` and returns when the last of them has left. `waiting`: they were there when the link became free,
    /// even if the caller comes only now.
    double send(double now, double bytes, bool waiting);

private:
    enum class Mode { Unlimited, Constant, Trace };

    [[nodiscard]] double through(double begin, double bytes) const;
    [[nodiscard]] double between(double begin, double end) const;
    /// Bytes that have not left yet.
    [[nodiscard]] double left(double now) const;
    void change(double now, double bytes);

    Mode mode_ = Mode::Unlimited;
    double bytesPerSecond_ = 0;
    std::shared_ptr<const BandwidthTrace> trace_;
    /// Place in the trace minus time of the clock.
    double shift_ = 0;
    double freeAt_ = 0;
    /// Bytes that waited when the rate was zero for ever, and since when.
    double stuckBytes_ = 0;
};

} // namespace kvscope
