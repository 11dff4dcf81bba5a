// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/thread_pool.h"

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sys/resource.h>
#include <unistd.h>
#endif

namespace kvscope {

namespace {

/// Lets other threads go first, where the system gives each thread a priority of its own.
void standBack() {
#ifdef __linux__
    constexpr int kNice = 5;
    // Without the right to it everything goes on as before.
    static_cast<void>(setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice));
#endif
}

} // namespace

struct ThreadPool::Workers {
    ~Workers() { jobs.stop(); }

    void start(std::size_t count, Priority priority) {
        threads.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            threads.emplace_back([this, priority] {
                if (priority == Priority::Background)
                    standBack();
                jobs.run();
            });
        }
    }

    asio::io_context jobs;
    /// Keeps the workers waiting for jobs.
    asio::executor_work_guard<asio::io_context::executor_type> more{jobs.get_executor()};
    std::vector<std::jthread> threads;
};

namespace {

/// Shared by the caller and the helpers of one parallelFor; helpers that start after the end find nothing left to do.
struct Loop {
    Loop(std::int64_t iterations, const std::function<void(std::int64_t)>& loopBody)
        : count(iterations)
        , body(&loopBody) {}

    void work() {
        for (std::int64_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) {
            (*body)(i);
            if (finished.fetch_add(1) + 1 == count) {
                const std::lock_guard lock(mutex);
                done.notify_all();
            }
        }
    }

    std::int64_t count;
    const std::function<void(std::int64_t)>* body;
    std::atomic<std::int64_t> next{0};
    std::atomic<std::int64_t> finished{0};
    std::mutex mutex;
    std::condition_variable done;
};

} // namespace

ThreadPool::ThreadPool(std::size_t threads, Priority priority)
    : workers_(std::make_unique<Workers>()) {
    workers_->start(threads != 0 ? threads : std::max(1U, std::thread::hardware_concurrency()), priority);
}

ThreadPool::~ThreadPool() = default;

std::size_t ThreadPool::threadCount() const {
    return workers_->threads.size();
}

void ThreadPool::post(std::function<void()> job) {
    asio::post(workers_->jobs, std::move(job));
}

void ThreadPool::parallelFor(std::int64_t count, const std::function<void(std::int64_t)>& body) {
    if (count <= 0)
        return;
    const auto loop = std::make_shared<Loop>(count, body);
    const auto helpers = std::min<std::int64_t>(count - 1, static_cast<std::int64_t>(threadCount()));
    for (std::int64_t i = 0; i < helpers; ++i)
        post([loop] { loop->work(); });
    loop->work();
    std::unique_lock lock(loop->mutex);
    loop->done.wait(lock, [&] { return loop->finished.load() == count; });
}

} // namespace kvscope
