// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace kvscope {

/// The process's worker threads. All parallel work of the program goes through one pool so that its parts share one
/// budget.
class ThreadPool {
public:
    /// How the system shares the processors between the workers and the program's other threads. Behind a window the
    /// workers stand back, so that no frame waits for them.
    enum class Priority : std::uint8_t { Normal, Background };

    /// Starts the workers; 0 means one for each hardware thread.
    explicit ThreadPool(std::size_t threads = 0, Priority priority = Priority::Normal);
    /// Waits for running jobs; jobs not started yet are dropped.
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    [[nodiscard]] std::size_t threadCount() const;

    /// Runs the job on some worker, later. The job must not throw.
    void post(std::function<void()> job);

    /// Calls body(i) for every i in [0, count), on the workers and on the calling thread, and returns when all are
    /// done. Safe to call from a job of the same pool: the caller always makes progress by itself.
    void parallelFor(std::int64_t count, const std::function<void(std::int64_t)>& body);

private:
    struct Workers;
    std::unique_ptr<Workers> workers_;
};

} // namespace kvscope
