// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/live_fetch.h"

#include <QCoreApplication>
#include <QPointer>

#include <atomic>
#include <chrono>
#include <mutex>
#include <utility>

namespace kvscope::views {

namespace {

using Clock = std::chrono::steady_clock;

/// The window is told no more often than this.
constexpr auto kQuiet = std::chrono::milliseconds(33);

/// Runs on the window's thread while the fetch that it belongs to is still there.
template <class Work> void tell(const QPointer<LiveFetch>& fetch, Work work) {
    QMetaObject::invokeMethod(
        QCoreApplication::instance(),
        [fetch, work = std::move(work)]() mutable {
            if (fetch)
                work(*fetch);
        },
        Qt::QueuedConnection);
}

} // namespace

std::vector<SeenPath> seenPaths(const Fetched& fetched) {
    std::vector<SeenPath> seen;
    for (std::size_t path = 0; path < fetched.measured.size(); ++path)
        seen.push_back({std::make_shared<const BandwidthTrace>(fetched.measured[path]), fetched.rttSeconds[path]});
    return seen;
}

/// Looks at the fetch from its thread.
class LiveFetch::Watcher final : public FetchObserver {
public:
    explicit Watcher(LiveFetch& fetch)
        : fetch_(&fetch) {}

    [[nodiscard]] std::optional<double> elapsed() const {
        const auto since = requested_.load();
        if (since == Clock::time_point())
            return std::nullopt;
        return std::chrono::duration<double>(Clock::now() - since).count();
    }

    void requested() override { requested_ = Clock::now(); }
    void started(const ContextInput& input, const KvzDirectory&) override {
        tell(fetch_, [input](LiveFetch& fetch) { fetch.begin(input); });
    }
    void seen(std::size_t path, const std::shared_ptr<const BandwidthTrace>& trace, double rtt) override {
        if (path == seen_.size())
            seen_.push_back({trace, rtt});
        else if (path < seen_.size())
            seen_[path] = {trace, rtt};
    }
    void decided(const Timeline& soFar, const Decision&) override { look(soFar, false); }
    void moving(const Timeline& soFar) override { look(soFar, false); }
    void arrived(const Timeline& soFar, std::size_t) override { look(soFar, false); }
    void ready(const Timeline& soFar, std::size_t) override { look(soFar, true); }
    void note(const std::string& text) override {
        tell(fetch_, [text = QString::fromStdString(text)](LiveFetch& fetch) { emit fetch.noted(text); });
    }

    Progress progress;

private:
    void look(const Timeline& soFar, bool must) {
        const auto now = Clock::now();
        // A context of very many chunks would keep the fetch busy copying.
        if (now - told_ < (must && soFar.chunks.size() < kOften ? kQuiet / 4 : kQuiet))
            return;
        told_ = now;
        tell(fetch_, [soFar, seen = seen_](LiveFetch& fetch) {
            if (fetch.running_ == nullptr)
                return;
            fetch.timeline_ = soFar;
            fetch.seen_ = seen;
            emit fetch.moved();
        });
    }

    static constexpr std::size_t kOften = 256;

    QPointer<LiveFetch> fetch_;
    std::atomic<Clock::time_point> requested_{Clock::time_point()};
    Clock::time_point told_;
    std::vector<SeenPath> seen_;
};

LiveFetch::LiveFetch(ThreadPool& pool, QObject* parent)
    : QObject(parent)
    , pool_(pool) {}

LiveFetch::~LiveFetch() {
    stop_.request_stop();
}

void LiveFetch::start(FetchOptions options) {
    if (isRunning())
        return;
    running_ = std::make_shared<Watcher>(*this);
    stop_ = std::stop_source();
    context_.reset();
    timeline_ = {};
    seen_.clear();
    fetched_.reset();
    problem_.reset();
    options.observer = running_.get();
    // The thread of the fetch before has told its end and has nothing left to do.
    thread_ = std::jthread([self = QPointer<LiveFetch>(this), &pool = pool_, options = std::move(options),
                            watcher = running_, stop = stop_.get_token()] {
        auto result =
            std::make_shared<Result<Fetched>>(fetchContext(options, pool, JobControl{stop, &watcher->progress}));
        tell(self, [result](LiveFetch& fetch) { fetch.finish(std::move(*result)); });
    });
}

void LiveFetch::cancel() {
    stop_.request_stop();
}

std::optional<double> LiveFetch::elapsed() const {
    return running_ != nullptr ? running_->elapsed() : std::nullopt;
}

double LiveFetch::progress() const {
    return running_ != nullptr ? running_->progress.fraction() : (fetched_ != nullptr && !problem_ ? 1.0 : 0.0);
}

void LiveFetch::begin(const ContextInput& input) {
    context_ = std::make_shared<const ContextInput>(input);
    emit begun();
}

void LiveFetch::finish(Result<Fetched> result) {
    running_.reset();
    if (result) {
        problem_ = result->problem;
        timeline_ = result->timeline;
        seen_ = seenPaths(*result);
        fetched_ = std::make_shared<const Fetched>(std::move(*result));
    } else {
        problem_ = std::move(result.error());
    }
    emit finished();
}

} // namespace kvscope::views
