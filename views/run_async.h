// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/thread_pool.h"

#include <QCoreApplication>
#include <QMetaObject>
#include <QPointer>

#include <memory>
#include <utility>

namespace kvscope::views {

/// Runs `work` on the pool and then `done` with its result on the window's thread, unless `context` is gone by then.
template <class Work, class Done> void runAsync(ThreadPool& pool, QObject* context, Work work, Done done) {
    pool.post([guard = QPointer<QObject>(context), work = std::move(work), done = std::move(done)]() mutable {
        using Value = decltype(work());
        auto value = std::make_shared<Value>(work());
        // Delivered through the application object, which outlives every view; the view itself may die meanwhile.
        QMetaObject::invokeMethod(
            QCoreApplication::instance(),
            [guard = std::move(guard), value = std::move(value), done = std::move(done)]() mutable {
                if (guard)
                    done(std::move(*value));
            },
            Qt::QueuedConnection);
    });
}

} // namespace kvscope::views
