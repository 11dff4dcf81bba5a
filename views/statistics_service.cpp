// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/statistics_service.h"

#include "views/run_async.h"

#include <QTimer>

#include <algorithm>

namespace kvscope::views {

namespace {
constexpr std::size_t kKeptTransients = 64;
constexpr int kProgressIntervalMs = 80;
} // namespace

StatisticsService& StatisticsService::of(Document& document) {
    if (auto* existing = document.findChild<StatisticsService*>(QString(), Qt::FindDirectChildrenOnly))
        return *existing;
    return *new StatisticsService(document);
}

StatisticsService::StatisticsService(Document& document)
    : QObject(&document)
    , document_(document)
    , ticker_(new QTimer(this)) {
    ticker_->setInterval(kProgressIntervalMs);
    connect(ticker_, &QTimer::timeout, this, &StatisticsService::progressed);
}

StatisticsService::~StatisticsService() {
    for (auto& [key, running] : running_)
        running.stop.request_stop();
}

const void* StatisticsService::findValue(const std::string& key) const {
    const auto found = results_.find(key);
    return found != results_.end() && found->second ? found->second->get() : nullptr;
}

const Error* StatisticsService::error(const std::string& key) const {
    const auto found = results_.find(key);
    return found != results_.end() && !found->second ? &found->second.error() : nullptr;
}

bool StatisticsService::isSettled(const std::string& key) const {
    return results_.contains(key);
}

bool StatisticsService::isWanted(const std::string& key) const {
    return std::any_of(wanted_.begin(), wanted_.end(), [&key](const auto& entry) {
        return std::any_of(entry.second.begin(), entry.second.end(), [&key](const Job& job) { return job.key == key; });
    });
}

void StatisticsService::want(const QObject* who, std::vector<Job> jobs) {
    if (jobs.empty()) {
        forget(who);
        return;
    }
    if (!wanted_.contains(who))
        connect(who, &QObject::destroyed, this, [this, who] { forget(who); });
    // Asking anew is how a failed job is tried again.
    for (const Job& job : jobs) {
        if (error(job.key) != nullptr && !isWanted(job.key))
            results_.erase(job.key);
    }
    wanted_[who] = std::move(jobs);
    cancelUnwanted();
    startMore();
}

void StatisticsService::forget(const QObject* who) {
    if (wanted_.erase(who) == 0)
        return;
    disconnect(who, &QObject::destroyed, this, nullptr);
    cancelUnwanted();
    startMore();
}

void StatisticsService::cancelUnwanted() {
    for (auto& [key, running] : running_) {
        if (!isWanted(key))
            running.stop.request_stop();
    }
}

void StatisticsService::startMore() {
    // One worker stays free for what the user is looking at elsewhere (tiles of a map).
    const std::size_t most = std::max<std::size_t>(2, document_.pool().threadCount()) - 1;
    for (const auto& [who, jobs] : wanted_) {
        for (const Job& job : jobs) {
            if (running_.size() >= most)
                return;
            if (!isSettled(job.key) && !running_.contains(job.key))
                start(job);
        }
    }
}

void StatisticsService::start(const Job& job) {
    Running& running = running_[job.key];
    running.transient = job.transient;
    ++jobsStarted_;
    ticker_->start();
    runAsync(
        document_.pool(), this,
        [work = job.work, progress = running.progress, stop = running.stop.get_token()]() -> Result<Value> {
            const JobControl control{stop, progress.get()};
            if (control.stopRequested())
                return cancelled();
            return work(control);
        },
        [this, key = job.key](Result<Value> result) { finished(key, std::move(result)); });
}

void StatisticsService::finished(const std::string& key, Result<Value> result) {
    const bool transient = running_[key].transient;
    running_.erase(key);
    const bool wasCancelled = !result && result.error().kind == Error::Kind::Cancelled;
    if (!wasCancelled) {
        results_.insert_or_assign(key, std::move(result));
        if (transient) {
            transients_.push_back(key);
            dropOldTransients();
        }
    }
    startMore();
    if (running_.empty())
        ticker_->stop();
    if (!wasCancelled)
        emit changed();
}

void StatisticsService::dropOldTransients() {
    auto oldest = transients_.begin();
    while (transients_.size() > kKeptTransients && oldest != transients_.end()) {
        if (isWanted(*oldest)) {
            ++oldest;
            continue;
        }
        results_.erase(*oldest);
        oldest = transients_.erase(oldest);
    }
}

double StatisticsService::progress(const QObject* who) const {
    const auto found = wanted_.find(who);
    if (found == wanted_.end() || found->second.empty())
        return 1;
    double done = 0;
    for (const Job& job : found->second) {
        if (isSettled(job.key))
            done += 1;
        else if (const auto running = running_.find(job.key); running != running_.end())
            done += running->second.progress->fraction();
    }
    return done / static_cast<double>(found->second.size());
}

bool StatisticsService::isIdle(const QObject* who) const {
    const auto found = wanted_.find(who);
    return found == wanted_.end() || std::all_of(found->second.begin(), found->second.end(),
                                                 [this](const Job& job) { return isSettled(job.key); });
}

} // namespace kvscope::views
