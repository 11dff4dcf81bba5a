// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/policy.h"
#include "core/stream/simulator.h"

#include <array>
#include <cstdint>
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
};

/// One context on its way within a simulation: the receiver's decoder and compute lane, and the book of its transfers.
/// The simulation calls it in the order of events.
class StreamRun {
public:
    StreamRun(const StreamInput& input, const StreamSetup& setup, Policy& policy, std::string name, std::size_t number,
              std::span<const Fault> faults);
    ~StreamRun() = default;
    StreamRun(const StreamRun&) = delete;
    StreamRun& operator=(const StreamRun&) = delete;

    /// Puts token ids and sizes on the first path.
    void sendIds(PathState& path);
    /// Asks the policy what to send on a free path and sends it; false when there is nothing.
    bool sendNext(std::size_t path, PathState& state, double now, std::span<PathState> paths);
    /// The transfer has left the sender.
    void noteSent(std::size_t sent, double now);

    [[nodiscard]] bool done() const { return readyCount_ == input_->chunkCount(); }
    [[nodiscard]] double sentBytes() const { return sentBytes_; }
    [[nodiscard]] double nextIds() const;
    [[nodiscard]] double nextReady() const;
    [[nodiscard]] double nextComputed() const;
    [[nodiscard]] double nextArrival() const;
    [[nodiscard]] double nextResend() const;

    void noteIds(double now, std::span<PathState> paths);
    void becomeReady(double now, std::span<PathState> paths);
    void finishRecompute(double now, std::span<PathState> paths);
    void arrive(double now, std::span<PathState> paths);
    void makeResendDue(double now);

    /// Sums up.
    Timeline finish();

private:
    struct Flight {
        Transfer transfer;
        std::size_t decision = 0;
        double queued = 0;
        Interval decode;
        bool lost = false;
        bool corrupt = false;
    };
    struct Resend {
        double at = 0;
        std::size_t chunk = 0;
        std::size_t candidate = 0;
        std::size_t decision = 0;
    };

    Situation& situationAt(double now, std::size_t path, bool atReceiver);
    std::size_t record(const Choice& choice, double now);
    void launch(std::size_t path, PathState& state, double now, std::size_t chunk, std::size_t candidate,
                std::size_t decision);
    void leaveOpen(std::size_t chunk, ChunkStage stage);
    void makeReady(std::size_t chunk, double now);
    void dispatchCompute(double now, std::span<PathState> paths);
    void startRecompute(std::size_t chunk, double now);
    [[nodiscard]] double recomputeEnd() const;
    /// Gives up the transfer of a chunk that is on its way or being decoded.
    void abandon(std::size_t chunk, double now, std::span<PathState> paths);
    [[nodiscard]] const Fault* takeFault(std::size_t chunk);

    const StreamInput* input_;
    const StreamSetup* setup_;
    Policy* policy_;
    std::size_t number_;
    std::vector<Fault> faults_;

    Timeline timeline_;
    std::vector<ChunkStage> stages_;
    std::vector<double> prefillBefore_;
    std::vector<SentChunk> sent_;
    /// Same index as sent_.
    std::vector<Flight> transfers_;
    /// Transfers by path in order of arrival, and those decoded or being decoded in order of readiness.
    std::array<std::vector<std::size_t>, 2> arriving_;
    std::array<std::size_t, 2> arrivingHead_{};
    std::vector<std::size_t> decoded_;
    std::size_t decodedHead_ = 0;
    std::vector<Resend> resends_;
    std::vector<Resend> resendsDue_;
    double decodeFree_ = 0;

    std::size_t running_ = kNoIndex;
    double runningBegin_ = 0;
    double runningEnd_ = 0;
    /// Prefill bound to the lane but not begun, seconds.
    double boundSeconds_ = 0;
    /// Transfers whose decoding may still slow a recompute down start at this one of decoded_.
    std::size_t contendingFrom_ = 0;

    std::size_t readyCount_ = 0;
    std::size_t prefix_ = 0;
    std::size_t openCount_ = 0;
    std::size_t firstOpen_ = 0;
    std::size_t lastOpen_ = 0;
    double sentBytes_ = 0;
    bool idsThere_ = false;
    Situation situation_;
};

} // namespace kvscope
