// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <utility>

namespace kvscope {

/// Hands on parts in the order of their numbers 0, 1, 2 ..., whatever the order in which workers deliver them, so that
/// sums in floating point do not depend on the number of threads. Thread-safe.
template <class Part> class InOrder {
public:
    /// Calls take(part) for this part and those waiting behind it, once all earlier ones have come.
    template <class Take> void deliver(std::size_t number, Part part, Take take) {
        const std::lock_guard lock(mutex_);
        waiting_.emplace(number, std::move(part));
        while (!waiting_.empty() && waiting_.begin()->first == next_) {
            take(waiting_.begin()->second);
            waiting_.erase(waiting_.begin());
            ++next_;
        }
    }

private:
    std::mutex mutex_;
    std::map<std::size_t, Part> waiting_;
    std::size_t next_ = 0;
};

} // namespace kvscope
