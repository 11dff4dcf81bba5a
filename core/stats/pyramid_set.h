// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/thread_pool.h"
#include "core/stats/pyramid.h"

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace kvscope {

/// The pyramids of all quantities of a cache and the jobs that build them. Jobs take a few milliseconds and queue again
/// behind whatever else waits for the pool; they hold the set, so it may be let go of at any time. Thread-safe.
class PyramidSet : public std::enable_shared_from_this<PyramidSet> {
public:
    PyramidSet(KvCache cache, ThreadPool& pool, PyramidFolder folder);

    /// The pyramid as far as it is built; null when it has neither been started nor kept by an earlier run.
    std::shared_ptr<Pyramid> find(Quantity quantity);
    /// Starts building, before everything else that is being built.
    void prepare(Quantity quantity);
    /// Stops building; what is built stays.
    void cancel();
    /// As cancel(), for good, and returns when no callback runs any more.
    void close();
    /// Drops a pyramid whose bytes turned out to be damaged and builds it anew.
    void replaceDamaged(Quantity quantity, const std::shared_ptr<Pyramid>& damaged);
    [[nodiscard]] std::optional<Error> error(Quantity quantity) const;
    /// See CacheMap::setChangedCallback. A running callback ends before this returns.
    void setCallback(std::function<void()> callback);

private:
    struct Entry {
        std::shared_ptr<Pyramid> pyramid;
        /// The folder has been searched for a kept one.
        bool searched = false;
        std::optional<Error> error;
    };
    struct Task {
        Quantity quantity = Quantity::Value;
        std::shared_ptr<Pyramid> pyramid;
        Pyramid::Chunk chunk;
    };

    Entry& entry(Quantity quantity) { return entries_[static_cast<std::size_t>(quantity)]; }
    void search(Quantity quantity);
    void startJobs();
    void runJob();
    /// The next chunk to build; when there is none the calling job is no longer counted and must end.
    /// `failed` is set when a build ended with an error that has not been notified.
    std::optional<Task> nextTask(bool& failed);
    Result<void> perform(const Task& task);
    std::unique_ptr<ChunkBuilder> takeBuilder(const PlaneLayout& plane);
    void giveBack(std::unique_ptr<ChunkBuilder> builder);
    void notify(bool always);

    KvCache cache_;
    ThreadPool& pool_;
    PyramidFolder folder_;

    mutable std::mutex mutex_;
    std::array<Entry, kAllQuantities.size()> entries_;
    /// What to build; the last is built first.
    std::vector<Quantity> wanted_;
    std::vector<std::unique_ptr<ChunkBuilder>> builders_;
    std::size_t jobs_ = 0;
    bool closed_ = false;

    std::mutex callbackMutex_;
    std::function<void()> callback_;
    std::atomic<std::chrono::steady_clock::rep> lastCall_{0};
};

} // namespace kvscope
