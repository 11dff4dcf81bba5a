// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/thread_pool.h"

#include <asio/post.hpp>
#include <asio/thread_pool.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace kvscope {

struct ThreadPool::Workers {
    explicit Workers(std::size_t count)
        : threads(count)
        , pool(count) {}

    std::size_t threads;
    asio::thread_pool pool;
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

ThreadPool::ThreadPool(std::size_t threads)
    : workers_(std::make_unique<Workers>(threads != 0 ? threads : std::max(1U, std::thread::hardware_concurrency()))) {}

ThreadPool::~ThreadPool() {
    workers_->pool.stop();
    workers_->pool.join();
}

std::size_t ThreadPool::threadCount() const {
    return workers_->threads;
}

void ThreadPool::post(std::function<void()> job) {
    asio::post(workers_->pool, std::move(job));
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
