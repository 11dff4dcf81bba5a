// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/fetch.h"

#include <QObject>
#include <QString>

#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

namespace kvscope::views {

/// A sender's link as a receiver sees it.
struct SeenPath {
    std::shared_ptr<const BandwidthTrace> trace;
    double rttSeconds = 0;

    bool operator==(const SeenPath&) const = default;
};

/// Those of a fetch that has ended.
std::vector<SeenPath> seenPaths(const Fetched& fetched);

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
    /// The senders' links as they were seen so far; empty before.
    [[nodiscard]] const std::vector<SeenPath>& seen() const { return seen_; }
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
    std::vector<SeenPath> seen_;
    std::shared_ptr<const Fetched> fetched_;
    std::optional<Error> problem_;
};

} // namespace kvscope::views
