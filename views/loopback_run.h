// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/live_fetch.h"
#include "views/live_server.h"
#include "views/own_levels.h"
#include "views/stream_session.h"

#include <QObject>
#include <QTimer>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kvscope::views {

/// Streams a document for real: encodes it at the session's levels, serves them on a socket of the loopback interface
/// with the bandwidth, round trip, loss, jitter and faults of the timeline, and fetches them from there under the
/// strategy in focus. What is measured is shown beside what is simulated for the very same chunks; the link and the
/// faults may be changed meanwhile. Lives on the window's thread and belongs to the session.
class LoopbackRun : public QObject {
    Q_OBJECT

public:
    enum class State : std::uint8_t { Idle, Encoding, Streaming };

    /// The session's run; made on first use.
    static LoopbackRun& of(StreamSession& session);
    explicit LoopbackRun(StreamSession& session);

    /// Whether there is a dump to stream that has been measured.
    [[nodiscard]] bool canStart() const;
    void start();
    void cancel();
    [[nodiscard]] State state() const { return state_; }
    [[nodiscard]] bool isRunning() const { return state_ != State::Idle; }
    /// Share of the present step that is done, in [0, 1].
    [[nodiscard]] double progress() const;
    /// The strategy that is, or was, under way.
    [[nodiscard]] const std::string& policy() const { return policy_; }
    /// What is being done, or what came of the latest run; empty before the first.
    [[nodiscard]] QString text() const { return text_; }
    /// Why the latest run did not bring everything; null when it did.
    [[nodiscard]] const Error* problem() const { return problem_ ? &*problem_ : nullptr; }
    /// What was fetched, whole or in part; null before.
    [[nodiscard]] std::shared_ptr<const Fetched> fetched() const { return fetch_.fetched(); }

signals:
    /// State, progress or text are others.
    void changed();
    /// A run has ended, however.
    void finished();

private:
    [[nodiscard]] std::shared_ptr<const BandwidthTrace> scaled(const BandwidthTrace& curve) const;
    [[nodiscard]] SenderOptions senderOptions(const BandwidthTrace& curve, double rttSeconds) const;
    void serve();
    /// Starts the second path's sender, which serves the same; goes on where there is no second path.
    void serveBeside();
    void fetch();
    void show();
    void tick();
    void follow();
    void end(std::optional<Error> problem);
    void say(const QString& text);
    /// What of the settings a real run cannot have, in words; empty when it has all.
    [[nodiscard]] QString leftOut() const;

    StreamSession& session_;
    LiveServer server_;
    /// Of the second path.
    LiveServer beside_;
    LiveFetch fetch_;
    QTimer ticker_;
    State state_ = State::Idle;
    std::string policy_;
    QString text_;
    std::optional<Error> problem_;
    /// The settings when it was started.
    StreamSettings began_;

    /// The levels as they were encoded last, and for what.
    std::shared_ptr<OwnLevels> levels_;
    OwnLevelsRequest encoded_;
    std::int64_t chunkTokens_ = 0;
    /// What is going to be shown once the receiver knows what there is.
    ShownTransfer transfer_;
    /// What both senders share: a fault strikes once, on the path that sends its chunk.
    std::shared_ptr<FaultList> faults_;
    /// What the sender has been told.
    std::vector<TracePoint> toldCurve_;
    std::vector<TracePoint> toldSecond_;
    std::vector<Fault> toldFaults_;
};

} // namespace kvscope::views
