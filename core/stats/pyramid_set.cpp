// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/pyramid_set.h"

#include <algorithm>
#include <new>

namespace kvscope {

namespace {

using Clock = std::chrono::steady_clock;

/// A job gives the pool back after this time, so that reading for the window never waits long.
constexpr auto kJobTime = std::chrono::milliseconds(3);
/// Least time between two callbacks.
constexpr auto kCallbackInterval = std::chrono::milliseconds(50);

} // namespace

PyramidSet::PyramidSet(KvCache cache, ThreadPool& pool, PyramidFolder folder)
    : cache_(std::move(cache))
    , pool_(pool)
    , folder_(std::move(folder)) {}

void PyramidSet::search(Quantity quantity) {
    Entry& here = entry(quantity);
    if (here.searched)
        return;
    here.searched = true;
    here.pyramid = Pyramid::openKept(cache_, quantity, folder_);
}

std::shared_ptr<Pyramid> PyramidSet::find(Quantity quantity) {
    const std::lock_guard lock(mutex_);
    search(quantity);
    return entry(quantity).pyramid;
}

void PyramidSet::prepare(Quantity quantity) {
    {
        const std::lock_guard lock(mutex_);
        std::erase(wanted_, quantity);
        wanted_.push_back(quantity);
        entry(quantity).error.reset();
        if (quantity == Quantity::ChannelDeviation)
            entry(Quantity::Value).error.reset();
    }
    startJobs();
}

void PyramidSet::cancel() {
    const std::lock_guard lock(mutex_);
    wanted_.clear();
}

void PyramidSet::close() {
    {
        const std::lock_guard lock(mutex_);
        wanted_.clear();
        closed_ = true;
    }
    setCallback({});
}

void PyramidSet::replaceDamaged(Quantity quantity, const std::shared_ptr<Pyramid>& damaged) {
    {
        const std::lock_guard lock(mutex_);
        if (entry(quantity).pyramid != damaged)
            return;
        damaged->discard();
        entry(quantity).pyramid.reset();
        std::erase(wanted_, quantity);
        wanted_.push_back(quantity);
    }
    startJobs();
}

std::optional<Error> PyramidSet::error(Quantity quantity) const {
    const std::lock_guard lock(mutex_);
    return entries_[static_cast<std::size_t>(quantity)].error;
}

void PyramidSet::setCallback(std::function<void()> callback) {
    const std::lock_guard lock(callbackMutex_);
    callback_ = std::move(callback);
}

void PyramidSet::notify(bool always) {
    auto last = lastCall_.load(std::memory_order_relaxed);
    const auto now = Clock::now().time_since_epoch().count();
    const bool due = now - last >= Clock::duration(kCallbackInterval).count();
    if (!always && (!due || !lastCall_.compare_exchange_strong(last, now, std::memory_order_relaxed)))
        return;
    const std::lock_guard lock(callbackMutex_);
    if (callback_)
        callback_();
}

void PyramidSet::startJobs() {
    std::size_t fresh = 0;
    {
        const std::lock_guard lock(mutex_);
        if (closed_ || wanted_.empty() || jobs_ >= pool_.threadCount())
            return;
        fresh = pool_.threadCount() - jobs_;
        jobs_ += fresh;
    }
    for (std::size_t i = 0; i < fresh; ++i)
        pool_.post([self = shared_from_this()] { self->runJob(); });
}

std::optional<PyramidSet::Task> PyramidSet::nextTask(bool& failed) {
    const std::lock_guard lock(mutex_);
    while (!wanted_.empty()) {
        Quantity quantity = wanted_.back();
        search(quantity);
        search(Quantity::Value);
        const auto& values = entry(Quantity::Value);
        // Deviations need the channels' means, which the pyramid of the values knows.
        if (quantity == Quantity::ChannelDeviation && (values.pyramid == nullptr || !values.pyramid->isComplete())) {
            if (values.error) {
                entry(quantity).error = values.error;
                wanted_.pop_back();
                failed = true;
                continue;
            }
            quantity = Quantity::Value;
        }
        Entry& here = entry(quantity);
        if (here.pyramid == nullptr) {
            auto made = Pyramid::create(cache_, quantity, folder_);
            if (!made) {
                here.error = std::move(made.error());
                failed = true;
                std::erase(wanted_, quantity);
                continue;
            }
            here.pyramid = std::move(*made);
        }
        if (here.pyramid->isComplete()) {
            std::erase(wanted_, quantity);
            continue;
        }
        if (const auto chunk = here.pyramid->claim())
            return Task{quantity, here.pyramid, *chunk};
        // All chunks are being built; whoever finishes the last one starts the jobs for what comes next.
        break;
    }
    --jobs_;
    return std::nullopt;
}

std::unique_ptr<ChunkBuilder> PyramidSet::takeBuilder(const PlaneLayout& plane) {
    {
        const std::lock_guard lock(mutex_);
        const auto found =
            std::find_if(builders_.begin(), builders_.end(), [&](const auto& builder) { return builder->fits(plane); });
        if (found != builders_.end()) {
            auto builder = std::move(*found);
            builders_.erase(found);
            return builder;
        }
    }
    return std::make_unique<ChunkBuilder>(plane);
}

void PyramidSet::giveBack(std::unique_ptr<ChunkBuilder> builder) {
    const std::lock_guard lock(mutex_);
    if (wanted_.empty() || builders_.size() > pool_.threadCount())
        builders_.clear();
    builders_.push_back(std::move(builder));
}

Result<void> PyramidSet::perform(const Task& task) {
    const PlaneLayout& plane = task.pyramid->plane(task.chunk);
    std::vector<float> means;
    if (task.quantity == Quantity::ChannelDeviation) {
        const auto values = find(Quantity::Value);
        const auto summary = values != nullptr ? values->summary(plane.id) : std::nullopt;
        if (!summary)
            return fail("the channel means of layer " + std::to_string(plane.id.layer.value) + " got lost",
                        cache_.info().name, "Show the values again first.", Error::Kind::System);
        means = summary->channelMeans;
    }
    try {
        auto builder = takeBuilder(plane);
        KVSCOPE_TRY(task.pyramid->build(task.chunk, means, *builder));
        giveBack(std::move(builder));
    } catch (const std::bad_alloc&) {
        return fail("not enough memory to build the overview", cache_.info().name, "Close something else first.",
                    Error::Kind::System);
    }
    return {};
}

void PyramidSet::runJob() {
    const auto start = Clock::now();
    while (true) {
        bool anyFailed = false;
        const auto task = nextTask(anyFailed);
        if (anyFailed)
            notify(true);
        if (!task)
            return;
        auto done = perform(*task);
        const bool failed = !done.has_value();
        if (failed) {
            const std::lock_guard lock(mutex_);
            Entry& here = entry(task->quantity);
            here.error = std::move(done.error());
            if (here.pyramid == task->pyramid)
                here.pyramid.reset();
            std::erase(wanted_, task->quantity);
        }
        const bool ended = failed || task->pyramid->isComplete();
        notify(ended);
        if (ended) {
            const std::lock_guard lock(mutex_);
            builders_.clear();
        }
        if (ended)
            startJobs();
        if (Clock::now() - start >= kJobTime) {
            pool_.post([self = shared_from_this()] { self->runJob(); });
            return;
        }
    }
}

} // namespace kvscope
