// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/simulator.h"
#include "core/stream/stream_book.h"

#include <array>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

namespace kvscope {

/// The sender's end of a path during a simulation.
struct PathState {
    double freeAt = 0;
    /// Nobody had anything to send; asks again after the next event.
    bool waiting = false;
    /// When the last byte sent so far arrives.
    double lastReceive = 0;
    /// The transfer that keeps the path busy until freeAt.
    std::size_t lastRun = kNoIndex;
    std::size_t lastSent = 0;
    /// Where the receiver asks: transfers that it has asked for and that have not begun, and when the request is there.
    struct Asked {
        std::size_t sent = 0;
        double at = 0;
    };
    std::deque<Asked> queue;
    /// When the receiver considers asking for more.
    double lookAt = kNever;

    /// When a transfer that was asked for begins; kNever when none waits.
    [[nodiscard]] double nextBegin() const {
        if (queue.empty())
            return kNever;
        return std::max(freeAt, queue.front().at);
    }
};

/// One context on its way within a simulation: the receiver's decoder and compute lane, and the book of its transfers.
/// The simulation calls it in the order of events.
class StreamRun final : public StreamBook {
public:
    /// `paths` are those of the link, which all contexts share. `asks`: the receiver asks for chunks, as AskAhead says.
    StreamRun(const StreamInput& input, const StreamSetup& setup, Policy& policy, std::string name, std::size_t number,
              std::span<const Fault> faults, std::span<PathState> paths, bool asks);

    /// Puts token ids and sizes on the first path.
    void sendIds(PathState& path);
    /// Asks the policy what to send on a free path and sends it; false when there is nothing.
    bool sendNext(std::size_t path, double now);
    /// The receiver considers asking a path for more and does so as often as it should. Returns when to look again;
    /// kNever: when something has happened.
    double look(std::size_t path, double now);
    /// The sender turns to the transfer that was asked for first.
    void beginAsked(std::size_t path, double now);
    /// The transfer has left the sender.
    void noteSent(std::size_t sent, double now);

    [[nodiscard]] double sentBytes() const { return sentBytes_; }
    [[nodiscard]] double nextIds() const;
    [[nodiscard]] double nextReady() const;
    [[nodiscard]] double nextArrival() const;

    void noteIds(double now);
    void becomeReady(double now);
    void finishRecompute(double now) { endRecompute(now, now); }
    void arrive(double now);
    void makeResendDue(double now);

    /// Sums up.
    Timeline finish();

private:
    struct Flight {
        Transfer transfer;
        std::size_t decision = 0;
        double queued = 0;
        Interval decode;
        /// When the receiver asked for it, and when the sender has heard that it is not wanted.
        double asked = 0;
        double stopAt = kNever;
        /// Index into Timeline::abandoned.
        std::size_t abandoned = kNoIndex;
        bool begun = false;
        bool lost = false;
        bool corrupt = false;
    };
    void launch(std::size_t path, double now, std::size_t chunk, std::size_t candidate, std::size_t decision);
    /// Puts a transfer on its path.
    void begin(std::size_t sent, double now);
    /// Ends a transfer that is under way at the sender's time `at`.
    void cut(std::size_t sent, double at);
    /// What is on its way on a path as the receiver sees it, foreseen.
    [[nodiscard]] PathOutlook outlook(std::size_t path, double now);
    void listAsked(const PathOutlook& outlook, std::size_t path);
    /// Whether anything of what is open will come.
    [[nodiscard]] bool willArrive(std::size_t path) const;
    [[nodiscard]] double rateSeen(std::size_t path, double now) const;
    void giveUp(std::size_t chunk, double now) override;
    double recomputeEnds(std::size_t chunk, double now) override;
    /// When the recompute under way ends with all decoding that is known by now.
    [[nodiscard]] double recomputeEnd() const;
    [[nodiscard]] const Fault* takeFault(std::size_t chunk);

    const StreamSetup* setup_;
    bool asks_;
    std::size_t number_;
    std::vector<Fault> faults_;
    std::span<PathState> paths_;
    /// Same index as sent_.
    std::vector<Flight> transfers_;
    /// Where the receiver asks, by path: the transfers that have not arrived (from the head on), in the order in which
    /// they were asked for; those that are foreseen; and how late transfers were, noted up to the n-th beginning.
    struct Asking {
        std::vector<std::size_t> transfers;
        std::size_t head = 0;
        std::size_t begunNoted = 0;
        std::size_t endedNoted = 0;
        Lateness late;
    };
    std::array<Asking, 2> asking_;
    std::vector<AskedFor> open_;
    /// Transfers by path in order of arrival, and those decoded or being decoded in order of readiness.
    std::array<std::vector<std::size_t>, 2> arriving_;
    std::array<std::size_t, 2> arrivingHead_{};
    std::vector<std::size_t> decoded_;
    std::size_t decodedHead_ = 0;
    std::vector<Resend> resendsDue_;
    /// Transfers whose decoding may still slow a recompute down start at this one of decoded_.
    std::size_t contendingFrom_ = 0;
    double sentBytes_ = 0;
    bool idsNoted_ = false;
};

} // namespace kvscope
