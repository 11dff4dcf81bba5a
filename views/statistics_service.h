// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/result.h"
#include "views/document.h"

#include <QObject>

#include <compare>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

class QTimer;

namespace kvscope::views {

/// Computes statistics of one document on the pool and keeps them, so that views that want the same numbers share one
/// computation. A job runs while some view wants its result and is cancelled when none does any more. Lives on the
/// window's thread.
class StatisticsService : public QObject {
    Q_OBJECT

public:
    /// A value of any type; the key says which.
    using Value = std::shared_ptr<const void>;
    using Work = std::function<Result<Value>(const JobControl&)>;
    struct Job {
        /// Names the result: same key, same numbers.
        std::string key;
        Work work;
        /// Kept only while it is among the last results of its sort (for results that depend on a selection).
        bool transient = false;
    };

    /// The document's service; made on first use and owned by the document.
    static StatisticsService& of(Document& document);

    explicit StatisticsService(Document& document);
    ~StatisticsService() override;

    /// A job whose work gives a T.
    template <class T>
    static Job job(std::string key, std::function<Result<T>(const JobControl&)> work, bool transient = false) {
        return {std::move(key),
                [work = std::move(work)](const JobControl& control) -> Result<Value> {
                    auto result = work(control);
                    if (!result)
                        return tl::unexpected<Error>(std::move(result.error()));
                    return std::make_shared<const T>(std::move(*result));
                },
                transient};
    }

    /// Replaces what `who` wants, in order of urgency; results already there are not computed again. `who` is forgotten
    /// when it is destroyed.
    void want(const QObject* who, std::vector<Job> jobs);

    /// The result of a key, or null while there is none. T must be what its job gives. Valid until control returns to
    /// the event loop.
    template <class T> [[nodiscard]] const T* find(const std::string& key) const {
        return static_cast<const T*>(findValue(key));
    }
    /// Why a key has no result, if its job failed.
    [[nodiscard]] const Error* error(const std::string& key) const;
    /// Share of what `who` wants that is done, in [0, 1]; 1 when nothing is missing.
    [[nodiscard]] double progress(const QObject* who) const;
    /// Whether all that `who` wants is there or has failed.
    [[nodiscard]] bool isIdle(const QObject* who) const;
    /// Jobs begun since the start, to show that work is shared.
    [[nodiscard]] std::int64_t jobsStarted() const { return jobsStarted_; }

signals:
    /// Some result arrived or failed.
    void changed();
    /// Some running job got further.
    void progressed();

private:
    struct Running {
        std::stop_source stop;
        std::shared_ptr<Progress> progress = std::make_shared<Progress>();
        bool transient = false;
    };

    [[nodiscard]] const void* findValue(const std::string& key) const;
    [[nodiscard]] bool isSettled(const std::string& key) const;
    [[nodiscard]] bool isWanted(const std::string& key) const;
    void forget(const QObject* who);
    void cancelUnwanted();
    void startMore();
    void start(const Job& job);
    void finished(const std::string& key, Result<Value> result);
    void dropOldTransients();

    Document& document_;
    std::map<std::string, Result<Value>> results_;
    std::list<std::string> transients_;
    std::map<std::string, Running> running_;
    std::map<const QObject*, std::vector<Job>> wanted_;
    QTimer* ticker_;
    std::int64_t jobsStarted_ = 0;
};

} // namespace kvscope::views
