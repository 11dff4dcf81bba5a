// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/stream_input.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvscope {

/// Not yet, or never.
inline constexpr double kNever = std::numeric_limits<double>::infinity();
inline constexpr std::size_t kNoIndex = static_cast<std::size_t>(-1);

/// A stretch of time on one lane, seconds from the request; empty where nothing was done.
struct Interval {
    double begin = 0;
    double end = 0;

    bool operator==(const Interval&) const = default;
    [[nodiscard]] double seconds() const { return end - begin; }
    [[nodiscard]] bool empty() const { return !(end > begin); }
};

/// What happened to one chunk. Times in seconds from the request.
struct ChunkTimes {
    /// The form in which it became ready (kNoIndex when it never did); in a run under way also that in which it is
    /// coming.
    std::size_t candidate = kNoIndex;
    /// Index of the decision for that form.
    std::size_t decision = kNoIndex;
    /// On which path it came; kNoIndex for text.
    std::size_t path = kNoIndex;
    /// When the form was chosen.
    double queued = 0;
    Interval send;
    Interval receive;
    Interval decode;
    Interval recompute;
    double ready = kNever;
    /// Bytes on the wire for it, those sent again included.
    double wireBytes = 0;

    bool operator==(const ChunkTimes&) const = default;
};

/// A transfer that was given up: its chunk was recomputed or sent again in another form.
struct AbandonedTransfer {
    std::size_t chunk = 0;
    std::size_t candidate = 0;
    std::size_t path = 0;
    Interval send;
    Interval decode;
    double wireBytes = 0;

    bool operator==(const AbandonedTransfer&) const = default;
};

/// A candidate of a decision, with what was to be expected of it at that moment.
struct Considered {
    std::size_t candidate = 0;
    /// When the first token was expected with it, seconds from the request.
    double predictedFinish = 0;
    bool meetsSlo = false;
    /// By the policy. Of the others the forecast is that everything still to be decided came in this form.
    bool weighed = true;

    bool operator==(const Considered&) const = default;
};

/// What a bandwidth that is reckoned with rests on.
enum class RateBasis : std::uint8_t {
    Chunks,  ///< measured while chunks came
    Given,   ///< known before the request
    Ids,     ///< measured while the token ids and sizes came, before any chunk
    Assumed, ///< nothing has come on the path: as fast as another path, else kAssumedBitsPerSecond
    Future,  ///< looked up in the future
};

/// What is assumed of a path where nothing at all is known.
inline constexpr double kAssumedBitsPerSecond = 1e9;

/// One choice of a policy with its reasons.
struct Decision {
    double seconds = 0;
    std::size_t chunk = 0;
    /// The candidate chosen.
    std::size_t candidate = 0;
    /// Bandwidth that the policy reckoned with, bits per second; 0 when it had none.
    double estimate = 0;
    /// The rule that decided, in a few words.
    std::string_view reason;
    /// The candidates weighed: Timeline::considered[first ... first + count).
    std::size_t first = 0;
    std::size_t count = 0;
    /// The path that was asked about, and whose bandwidth was reckoned with.
    std::size_t path = 0;
    /// With what the finish of candidates that the policy did not weigh was forecast, bits per second: the estimate, if
    /// there is one.
    double forecast = 0;
    /// Of the forecast.
    RateBasis basis = RateBasis::Chunks;

    bool operator==(const Decision&) const = default;
};

/// One strategy's run.
struct Timeline {
    std::string policy;
    std::vector<ChunkTimes> chunks;
    std::vector<AbandonedTransfer> abandoned;
    std::vector<Decision> decisions;
    std::vector<Considered> considered;
    /// Token ids and sizes on their way, before everything else.
    Interval idsSend;
    double idsArrived = 0;

    /// Request to first token: the last chunk ready plus one decoding step. Infinite when a chunk never arrives.
    double ttft = kNever;
    double sloSeconds = 0;
    /// Bytes on the wire: ids, chunks, packets sent again and transfers given up.
    double wireBytes = 0;
    double abandonedBytes = 0;
    /// Predicted error of the assembled cache (NMSE, mean over tokens).
    double error = 0;
    /// 1 - mean relative rms error of the chunks: 1 when nothing is lost; 0 when a chunk never arrives.
    double quality = 0;
    /// Mean number of the level (0 the finest) over tokens that came as levels; NaN when none did.
    double meanLevel = std::numeric_limits<double>::quiet_NaN();
    /// Seconds of prefill and of decoding.
    double computeSeconds = 0;
    double decodeSeconds = 0;
    bool projected = false;

    [[nodiscard]] bool complete() const { return ttft < kNever; }
    [[nodiscard]] bool meetsSlo() const { return ttft <= sloSeconds; }
    /// Seconds left (negative: late).
    [[nodiscard]] double margin() const { return sloSeconds - ttft; }
    [[nodiscard]] std::span<const Considered> consideredBy(const Decision& decision) const {
        return std::span(considered).subspan(decision.first, decision.count);
    }
};

/// Whether `a` serves the objective better than `b`: the highest quality within the SLO (the earlier one of equals),
/// else the earliest.
bool servesBetter(const Timeline& a, const Timeline& b);

/// What a policy gives away against the best offline plan.
struct Regret {
    /// Seconds later (negative: earlier, at a lower quality).
    double seconds = 0;
    double quality = 0;
    /// The oracle met the SLO and the policy did not.
    bool avoidableMiss = false;
};
Regret regretOf(const Timeline& timeline, const Timeline& oracle);

/// Predicted error of each layer (NMSE, mean over tokens) as streamed; divided by its sum it is each layer's share.
/// Empty where candidates carry no errors by layer.
std::vector<double> errorByLayer(const Timeline& timeline, const StreamInput& input);

} // namespace kvscope
