// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <atomic>
#include <cstdint>
#include <stop_token>

namespace kvscope {

/// How far a job is, in units of its own (bytes, planes); written by the job, read by whoever shows it.
class Progress {
public:
    void start(std::int64_t total) {
        done_.store(0, std::memory_order_relaxed);
        total_.store(total, std::memory_order_relaxed);
    }
    void advance(std::int64_t amount) { done_.fetch_add(amount, std::memory_order_relaxed); }
    [[nodiscard]] std::int64_t done() const { return done_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::int64_t total() const { return total_.load(std::memory_order_relaxed); }
    /// Share done in [0, 1]; 0 while the total is unknown.
    [[nodiscard]] double fraction() const {
        const auto whole = total();
        return whole > 0 ? static_cast<double>(done()) / static_cast<double>(whole) : 0.0;
    }

private:
    std::atomic<std::int64_t> done_{0};
    std::atomic<std::int64_t> total_{0};
};

/// What every long job takes: how it is told to stop and where it reports. Cheap to copy; progress may be null.
struct JobControl {
    std::stop_token stop;
    Progress* progress = nullptr;

    [[nodiscard]] bool stopRequested() const { return stop.stop_requested(); }
    void advance(std::int64_t amount) const {
        if (progress != nullptr)
            progress->advance(amount);
    }
};

} // namespace kvscope
