// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/context_parts.h"
#include "core/stream/fetch.h"
#include "core/stream/stream_book.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace kvscope {

/// What a receiver knows of a fetch under way, as the policy sees it, and the timeline that comes of it: the same book
/// that a simulation keeps, filled with what is measured. Knows no sockets; times are seconds from the request, and the
/// caller says what time it is.
class FetchBook final : public StreamBook {
public:
    FetchBook(const ContextInput& context, const FetchOptions& options, std::unique_ptr<Policy> policy);

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
    /// `asked` is what it still has to bring, foreseen.
    std::optional<Order> next(std::size_t path, double now, std::span<const AskedFor> asked);
    /// What the transfers of a path are expected to do.
    void foresaw(std::size_t path, std::span<const AskedFor> asked) { noteForeseen(path, asked); }
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

    /// The recompute under way has ended: its chunk is ready. Returns the chunk.
    std::size_t finishRecompute(double now);
    /// Transfers that the policy has given up since the last call.
    std::vector<std::size_t> takeGivenUp() { return std::exchange(givenUp_, {}); }

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
    Order launch(std::size_t path, double now, std::size_t chunk, std::size_t candidate, std::size_t decision);
    std::optional<Choice> choose(std::size_t path, double now, std::span<const AskedFor> asked);
    void giveUp(std::size_t chunk, double now) override;
    double recomputeEnds(std::size_t chunk, double now) override;
    void noteAbandoned(std::size_t transfer, double now);
    /// Brings the chunk of a transfer that has begun up to date in the timeline.
    void noteProgress(std::size_t transfer);
    [[nodiscard]] std::size_t lastOn(std::size_t path) const;

    Link link_;
    std::unique_ptr<Policy> policy_;
    std::vector<Flight> flights_;
    std::vector<std::size_t> givenUp_;
};

} // namespace kvscope
