// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/ask_ahead.h"
#include "core/stream/policy.h"
#include "core/stream/timeline.h"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace kvscope {

/// The book that a stream keeps of its chunks, whether it is simulated or measured: what each is waiting for, what was
/// decided and why, what the compute lane is bound to, and what is to be sent again. What carries chunks (a link that
/// is simulated, or sockets) is added by whoever derives from it. Times are seconds from the request.
class StreamBook {
public:
    virtual ~StreamBook() = default;
    StreamBook(const StreamBook&) = delete;
    StreamBook& operator=(const StreamBook&) = delete;

    [[nodiscard]] bool done() const { return readyCount_ == stages_.size(); }
    /// When the recompute under way ends; kNever when there is none.
    [[nodiscard]] double nextComputed() const {
        if (running_ == kNoIndex)
            return kNever;
        return runningEnd_;
    }
    /// When a chunk that was lost may be sent again; kNever when none waits.
    [[nodiscard]] double nextResend() const;

protected:
    /// A chunk that is to be sent once more in the form that was decided.
    struct Resend {
        double at = 0;
        std::size_t chunk = 0;
        std::size_t candidate = 0;
        std::size_t decision = 0;
    };

    /// The input, the link and the policy must outlive the book; the link may change.
    StreamBook(const StreamInput& input, const ComputeModel& compute, const Link& link, double sloSeconds, bool text,
               Policy& policy, std::string name);

    /// Gives up the transfer of a chunk that is on its way or being decoded; the chunk is open again.
    virtual void giveUp(std::size_t chunk, double now) = 0;
    /// When a recompute that begins now ends.
    virtual double recomputeEnds(std::size_t chunk, double now) = 0;

    Situation& situationAt(double now, std::size_t path, bool atReceiver);
    /// What a receiver should ask a path for, when `asked` (foreseen, on that path) is on its way; `then` is when the
    /// request will be at the sender. A policy that wants text where there is none gets the smallest form. Nothing also
    /// where the policy's choice makes no sense.
    std::optional<Choice> chooseAhead(std::size_t path, double then, std::span<const AskedFor> asked);
    /// Says of transfers of a path that wait behind others when they are expected to begin.
    void noteForeseen(std::size_t path, std::span<const AskedFor> asked);
    [[nodiscard]] bool isSensible(const Choice& choice) const;
    /// Writes a decision down, with a forecast for each candidate that the policy did not weigh.
    std::size_t record(const Choice& choice, double now);
    /// Takes a choice of text: the compute lane is bound to the chunk.
    void bindText(const Choice& choice, double now);
    void leaveOpen(std::size_t chunk, ChunkStage stage);
    /// The chunk is to be decided anew, and not sent again as it was.
    void reopen(std::size_t chunk);
    void makeReady(std::size_t chunk, double now);
    /// The token ids are there: the compute lane may begin.
    void noteIdsThere(double now);
    /// Lets an idle compute lane begin what it is bound to or what the policy wants recomputed now.
    void dispatchCompute(double now);
    /// The recompute under way has ended at `end`; returns its chunk.
    std::size_t endRecompute(double end, double now);
    [[nodiscard]] double prefillOf(std::size_t chunk) const {
        return prefillBefore_[chunk + 1] - prefillBefore_[chunk];
    }

    const StreamInput& input_;
    const ComputeModel compute_;
    Policy& asked_;
    const bool text_;
    Timeline timeline_;
    std::vector<ChunkStage> stages_;
    std::vector<SentChunk> sent_;
    std::vector<Resend> resends_;
    /// When the decoder is done with what it has.
    double decodeFree_ = 0;
    std::size_t running_ = kNoIndex;
    double runningBegin_ = 0;
    double runningEnd_ = 0;
    std::size_t openCount_;
    std::size_t firstOpen_ = 0;
    std::size_t lastOpen_;
    Situation situation_;

private:
    struct Forecast {
        double bitsPerSecond = 0;
        RateBasis basis = RateBasis::Assumed;
    };
    /// What can be said of the path that was asked about without a policy's help.
    [[nodiscard]] Forecast forecastRate() const;
    /// When the first token comes if `chunk` and everything still open come in one form.
    [[nodiscard]] double forecast(std::size_t chunk, std::size_t candidate, double bitsPerSecond) const;
    void forecastOthers(const Choice& choice, std::size_t first, double bitsPerSecond);

    std::vector<double> prefillBefore_;
    /// Prefill bound to the lane but not begun, seconds.
    double boundSeconds_ = 0;
    std::size_t readyCount_ = 0;
    /// Chunks from the first on that are ready.
    std::size_t prefix_ = 0;
    bool idsThere_ = false;
};

} // namespace kvscope
