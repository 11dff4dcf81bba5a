// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/context_parts.h"
#include "core/stream/fetch.h"
#include "core/stream/policy.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kvscope {

/// What a receiver knows of a fetch under way, as the policy sees it, and the timeline that comes of it: the same book
/// that a simulation keeps, filled with what is measured. Knows no sockets; times are seconds from the request, and the
/// caller says what time it is.
class FetchBook {
public:
    FetchBook(const ContextInput& context, const FetchOptions& options, std::unique_ptr<Policy> policy);
    ~FetchBook() = default;
    FetchBook(const FetchBook&) = delete;
    FetchBook& operator=(const FetchBook&) = delete;

    /// What is to be fetched next on a path.
    struct Order {
        std::size_t transfer = 0;
        std::size_t chunk = 0;
        std::size_t candidate = 0;
    };

    /// What is known of the paths; to be brought up to date before anything is asked.
    [[nodiscard]] Link& link() { return link_; }
    void idsCame(double now, double begin, double end, double wireBytes);

    /// Asks the policy what a path should bring next. Nothing: the path stays idle until something happens.
    std::optional<Order> next(std::size_t path, double now);
    /// The first byte (returns whether it was), a frame, and the last byte of a transfer.
    bool began(std::size_t transfer, double now);
    void bytesCame(std::size_t transfer, double wireBytes);
    void allCame(std::size_t transfer, double now);
    /// A part of a transfer was decoded.
    void decoded(std::size_t transfer, double begin, double end);
    /// All of a transfer is decoded; returns whether that made its chunk ready.
    bool complete(std::size_t transfer, double now);
    /// A transfer failed: its chunk is to be sent again in the same form, not before `again`.
    void lost(std::size_t transfer, double now, double again);
    /// When a chunk that was lost may be sent again; kNever when none waits.
    [[nodiscard]] double nextResend() const;

    /// When the recompute under way ends; kNever when there is none.
    [[nodiscard]] double nextComputed() const { return running_ == kNoIndex ? kNever : runningEnd_; }
    /// It has ended: its chunk is ready. Returns the chunk.
    std::size_t finishRecompute(double now);
    /// Transfers that the policy has given up since the last call.
    std::vector<std::size_t> takeGivenUp() { return std::exchange(givenUp_, {}); }

    [[nodiscard]] bool done() const { return readyCount_ == stages_.size(); }
    [[nodiscard]] bool isGivenUp(std::size_t transfer) const { return sent_[transfer].abandoned; }
    [[nodiscard]] std::size_t chunkOf(std::size_t transfer) const { return sent_[transfer].chunk; }
    [[nodiscard]] std::size_t candidateOf(std::size_t transfer) const { return sent_[transfer].candidate; }
    /// What is on its way has its form, its beginning and what came of it so far; its end is kNever.
    [[nodiscard]] const Timeline& timeline() const { return timeline_; }
    /// Transfers of a chunk so far.
    [[nodiscard]] int transfersOf(std::size_t chunk) const;

    /// Sums up.
    Timeline finish();

private:
    struct Flight {
        std::size_t decision = 0;
        double queued = 0;
        Interval receive;
        Interval decode;
        double wireBytes = 0;
        bool begun = false;
        /// Index into Timeline::abandoned.
        std::size_t abandoned = kNoIndex;
    };
    struct Resend {
        double at = 0;
        std::size_t chunk = 0;
        std::size_t candidate = 0;
        std::size_t decision = 0;
    };

    Situation& situationAt(double now, std::size_t path, bool atReceiver);
    std::size_t record(const Choice& choice, double now);
    Order launch(std::size_t path, double now, std::size_t chunk, std::size_t candidate, std::size_t decision);
    std::optional<Choice> choose(std::size_t path, double now);
    void leaveOpen(std::size_t chunk, ChunkStage stage);
    void makeReady(std::size_t chunk, double now);
    void dispatchCompute(double now);
    void giveUp(std::size_t chunk, double now);
    void noteAbandoned(std::size_t transfer, double now);
    /// Brings the chunk of a transfer that has begun up to date in the timeline.
    void noteProgress(std::size_t transfer);
    [[nodiscard]] std::size_t lastOn(std::size_t path) const;

    const StreamInput& input_;
    bool text_;
    ComputeModel compute_;
    Link link_;
    std::unique_ptr<Policy> policy_;
    Timeline timeline_;
    std::vector<double> prefillBefore_;
    std::vector<ChunkStage> stages_;
    std::vector<SentChunk> sent_;
    std::vector<Flight> flights_;
    std::vector<Resend> resends_;
    std::vector<std::size_t> givenUp_;
    double decodeFree_ = 0;
    std::size_t running_ = kNoIndex;
    double runningBegin_ = 0;
    double runningEnd_ = 0;
    double boundSeconds_ = 0;
    std::size_t readyCount_ = 0;
    std::size_t prefix_ = 0;
    std::size_t openCount_ = 0;
    std::size_t firstOpen_ = 0;
    std::size_t lastOpen_ = 0;
    bool idsThere_ = false;
    Situation situation_;
};

} // namespace kvscope
