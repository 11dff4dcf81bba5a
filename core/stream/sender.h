// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/store/encoded_context.h"
#include "core/stream/bandwidth_trace.h"
#include "core/stream/fault_list.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvscope {

/// "lose:3", "corrupt:3", "delay:3:0.5" (seconds) or "drop:3".
Result<SenderFault> parseFault(std::string_view text);

/// What a sender tells whoever watches it, from its own thread.
struct SenderEvent {
    enum class Kind : std::uint8_t { Connected, Asked, Failed, Gone };
    Kind kind = Kind::Connected;
    /// Address and port of the receiver.
    std::string receiver;
    /// Of Asked: which chunk at which level. Of Failed: which chunk could not be read, and why. Of Gone: why, empty for
    /// a receiver that had enough.
    std::size_t chunk = 0;
    std::string text;
};

struct SenderOptions {
    /// Address to listen on; the loopback interface alone unless told otherwise.
    std::string bind = "127.0.0.1";
    /// 0: any free one.
    std::uint16_t port = 0;
    /// Bandwidth shared by all receivers; neither: as fast as it goes. A trace starts anew whenever a receiver comes
    /// while there is none.
    std::optional<double> bitsPerSecond;
    std::shared_ptr<const BandwidthTrace> trace;
    double traceStart = 0;
    /// Round trip that is added on top of the network's own: half before a request is seen, half before bytes leave.
    double rttSeconds = 0;
    /// Loss and jitter as a LinkPath has them, which TCP hides from both ends: what is lost takes its time on the link
    /// again, and arrives late. The receiver that comes first draws what the first context of a simulation draws.
    double lossRate = 0;
    double jitterSeconds = 0;
    std::uint64_t seed = 1;
    std::vector<SenderFault> faults;
    /// In place of `faults`: a list that senders of the same context share.
    std::shared_ptr<FaultList> sharedFaults;
    std::size_t maxReceivers = 64;
    /// A receiver that takes nothing, or says nothing and waits for nothing, for so long is let go.
    double stallSeconds = 30;
    double idleSeconds = 300;
    std::function<void(const SenderEvent&)> watch;
};

/// Serves contexts to receivers over TCP until it is destroyed. One thread sends, one reads chunks.
class Sender {
public:
    /// Listens; fails when the address cannot be had or the shelf holds nothing.
    static Result<std::unique_ptr<Sender>> start(const ContextShelfPtr& shelf, const SenderOptions& options);
    ~Sender();
    Sender(const Sender&) = delete;
    Sender& operator=(const Sender&) = delete;

    [[nodiscard]] std::uint16_t port() const;

    /// These take effect at once, on bytes under way too; from any thread.
    void setRate(double bitsPerSecond);
    void setUnlimited();
    void setTrace(const std::shared_ptr<const BandwidthTrace>& trace, double at);
    /// For chunks that nothing has been sent of yet; values outside the ranges of a LinkPath change nothing.
    void setDelays(double rttSeconds, double lossRate, double jitterSeconds, std::uint64_t seed);
    /// Into the shared list, if there is one.
    void inject(const SenderFault& fault);

    /// Bytes handed to the network so far.
    [[nodiscard]] std::int64_t sentBytes() const;
    [[nodiscard]] std::size_t receivers() const;

private:
    class Impl;
    explicit Sender(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace kvscope
