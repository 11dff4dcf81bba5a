// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/compute_model.h"
#include "core/stream/link.h"
#include "core/stream/stream_input.h"
#include "core/stream/timeline.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvscope {

/// Where a chunk stands for its receiver.
enum class ChunkStage : std::uint8_t {
    Open,  ///< nothing was decided
    Text,  ///< to be recomputed, or being recomputed
    Sent,  ///< requested, on its way or being decoded
    Ready, ///< in the cache
};

/// A chunk that has been sent, or is being sent, in a form with bytes.
struct SentChunk {
    std::size_t chunk = 0;
    std::size_t candidate = 0;
    std::size_t path = 0;
    /// Sender's times; `end` counts as known only once it has passed. A transfer that waits behind others begins when
    /// they are expected to have left.
    Interval send;
    /// Without and with what was sent again.
    double payload = 0;
    double wireBytes = 0;
    bool abandoned = false;
};

/// Bytes that arrived over a while in which the path was busy for `seconds`.
struct Throughput {
    double bytes = 0;
    double seconds = 0;
};

/// All that a policy may know at a moment.
class Situation {
public:
    const StreamInput& input;
    const ComputeModel& compute;
    const Link& link;
    /// Seconds of prefill of all chunks before each one.
    std::span<const double> prefillBefore;
    /// Target for the first token, seconds from the request.
    double sloSeconds = 0;
    /// Now; at the sender when a path is free, at the receiver when the compute lane is.
    double now = 0;
    /// The path that is free, or will be.
    std::size_t path = 0;
    /// When all that it was asked for will have left it; not before now.
    double pathFree = 0;
    std::span<const ChunkStage> stages;
    std::span<const SentChunk> sent;
    /// Chunks that are open, and the first and last of them.
    std::size_t openCount = 0;
    std::size_t firstOpen = 0;
    std::size_t lastOpen = 0;
    /// When the compute lane will have done what it is bound to (not before the token ids are there).
    double computeFree = 0;
    /// Where to write down the candidates that were weighed for the decision at hand.
    std::vector<Considered>& considered;
    /// At which token ids and sizes came on the first path; 0 before they have.
    double idsBitsPerSecond = 0;

    /// What is known to have passed on a path within [begin, end) of the sender's time: not before half a round trip
    /// after it arrived. Bytes sent again do not count.
    [[nodiscard]] Throughput observed(std::size_t path, double begin, double end) const;
    /// Until when bytes sent on a path are known to have arrived (sender's time).
    [[nodiscard]] double observedUntil(std::size_t path) const;
    /// Payload of the transfer that is known to have arrived.
    [[nodiscard]] double arrivedBytes(const SentChunk& sent) const;
    /// Seconds to decode a chunk, and its part that remains when the last byte has come.
    [[nodiscard]] double decodeSeconds(std::size_t chunk, std::size_t candidate) const;
    [[nodiscard]] double decodeTail(std::size_t chunk, std::size_t candidate) const {
        return decodeSeconds(chunk, candidate) / compute.decodePieces;
    }
    [[nodiscard]] double recomputeSeconds(std::size_t chunk) const {
        return prefillBefore[chunk + 1] - prefillBefore[chunk];
    }
    /// Whether the receiver's side asks (the compute lane), half a round trip from the sender.
    bool atReceiver = false;
};

/// What to do with a chunk, and why.
struct Choice {
    std::size_t chunk = 0;
    std::size_t candidate = 0;
    /// Bits per second reckoned with; 0 for none.
    double estimate = 0;
    std::string_view reason;
    /// Of the estimate.
    RateBasis basis = RateBasis::Chunks;
};

/// Of choices of text where none can be recomputed.
inline constexpr std::string_view kNoTextReason = "there is nothing to recompute text with: the smallest form";

/// A streaming strategy: one small class. An object serves one run and may keep what it has seen.
class Policy {
public:
    Policy() = default;
    virtual ~Policy() = default;
    Policy(const Policy&) = delete;
    Policy& operator=(const Policy&) = delete;

    /// A path is free: which open chunk to send next and as what. Text takes no time on the path: the chunk is bound to
    /// the compute lane and the question comes again. Nothing: the path stays idle until something happens.
    virtual std::optional<Choice> nextSend(const Situation& situation) = 0;
    /// The compute lane is idle, and `chunk`, whose predecessors are ready, is open or on its way: recompute it now? A
    /// transfer under way is then given up.
    virtual std::optional<Choice> recomputeNow(const Situation& situation, std::size_t chunk);
    /// Asked whenever the compute lane has finished a chunk: a transfer to give up, so that its chunk is open again.
    virtual std::optional<std::size_t> giveUp(const Situation& situation);
};

/// Bits per second of the link at a time of the future. Only strategies that are meant to see the future (the oracle,
/// and CacheGen's released code) may ask.
double futureRate(const Situation& situation, double seconds);

/// Names a policy for menus, legends and the command line.
struct PolicyName {
    enum class Kind : std::uint8_t { Fixed, CacheGenPaper, CacheGenCode, KvScope, Oracle };
    Kind kind = Kind::Fixed;
    /// The candidate that Fixed uses for all chunks.
    std::size_t candidate = 0;
    /// "text", "raw", "8-bit", the level's name, "cachegen", "cachegen-code", "kvscope", "oracle".
    std::string name;
};

/// Every policy that the input has candidates for, fixed ones first, the oracle last.
std::vector<PolicyName> policiesFor(const StreamInput& input);

/// A fresh policy of that name; null for the oracle, which is no causal policy (see oracle.h).
std::unique_ptr<Policy> makePolicy(const PolicyName& name);

} // namespace kvscope
