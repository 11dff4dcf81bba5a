// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/fetch.h"

#include <QObject>
#include <QString>

#include <memory>
#include <optional>
#include <stop_token>
#include <thread>

namespace kvscope::views {

/// A context that is being fetched over real sockets by a thread of its own, as the window sees it: what has come so
/// far, some thirty times a second, and what came of it in the end. Lives on the window's thread.
class LiveFetch : public QObject {
    Q_OBJECT

public:
    /// Chunks are decoded on the pool, which must outlive this.
    explicit LiveFetch(ThreadPool& pool, QObject* parent = nullptr);
    /// Stops the fetch and waits until it has noticed.
    ~LiveFetch() override;

    /// Begins; ends in finished(). Nothing happens while a fetch runs.
    void start(FetchOptions options);
    /// Ends the fetch soon; what has arrived is kept.
    void cancel();
    [[nodiscard]] bool isRunning() const { return running_ != nullptr; }
    /// Seconds from the request; nothing before it could be made.
    [[nodiscard]] std::optional<double> elapsed() const;
    /// Share of the values that has been decoded, in [0, 1].
    [[nodiscard]] double progress() const;

    /// What is fetched; null until the sender has said so.
    [[nodiscard]] std::shared_ptr<const ContextInput> context() const { return context_; }
    /// What was measured so far, or in all.
    [[nodiscard]] const Timeline& timeline() const { return timeline_; }
    /// The bandwidth of the first sender's link as it was seen so far, and its round trip in seconds; null before.
    [[nodiscard]] std::shared_ptr<const BandwidthTrace> seen() const { return seen_; }
    [[nodiscard]] double seenRtt() const { return seenRtt_; }
    /// What came of it: null while it runs and when nothing arrived.
    [[nodiscard]] std::shared_ptr<const Fetched> fetched() const { return fetched_; }
    /// Why not all of it came; null when all did.
    [[nodiscard]] const Error* problem() const { return problem_ ? &*problem_ : nullptr; }

signals:
    /// The sender has said what there is: context() is set.
    void begun();
    /// timeline() is newer.
    void moved();
    /// Something people should know: a connection that was lost, a chunk that is asked for again.
    void noted(const QString& text);
    void finished();

private:
    class Watcher;

    void begin(const ContextInput& input);
    void finish(Result<Fetched> result);

    ThreadPool& pool_;
    std::shared_ptr<Watcher> running_;
    std::stop_source stop_;
    std::jthread thread_;
    std::shared_ptr<const ContextInput> context_;
    Timeline timeline_;
    std::shared_ptr<const BandwidthTrace> seen_;
    double seenRtt_ = 0;
    std::shared_ptr<const Fetched> fetched_;
    std::optional<Error> problem_;
};

} // namespace kvscope::views
