// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/document.h"

#include <QCoreApplication>
#include <QMetaObject>
#include <QPointer>

namespace kvscope::views {

Document::Document(KvCache cache, ThreadPool& pool, CacheMapOptions options, QObject* parent)
    : QObject(parent)
    , cache_(std::move(cache))
    , pool_(pool)
    , map_(CacheMap::create(cache_, pool, std::move(options))) {
    map_->setChangedCallback([guard = QPointer<Document>(this)] {
        QMetaObject::invokeMethod(
            QCoreApplication::instance(),
            [guard] {
                if (guard)
                    emit guard->mapChanged();
            },
            Qt::QueuedConnection);
    });
}

Document::~Document() {
    map_->setChangedCallback({});
    map_->cancelBuilds();
}

} // namespace kvscope::views
