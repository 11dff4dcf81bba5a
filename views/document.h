// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/thread_pool.h"
#include "core/kv/kv_cache.h"
#include "core/stats/cache_map.h"

#include <QObject>

#include <memory>

namespace kvscope::views {

/// An open dump as the views see it: the cache, its map, and the pool to work on. Lives on the window's thread.
class Document : public QObject {
    Q_OBJECT

public:
    Document(KvCache cache, ThreadPool& pool, CacheMapOptions options = {}, QObject* parent = nullptr);
    ~Document() override;

    [[nodiscard]] const KvCache& cache() const { return cache_; }
    [[nodiscard]] const std::shared_ptr<CacheMap>& map() const { return map_; }
    [[nodiscard]] ThreadPool& pool() const { return pool_; }

signals:
    /// More of the map has become exact (on the window's thread).
    void mapChanged();

private:
    KvCache cache_;
    ThreadPool& pool_;
    std::shared_ptr<CacheMap> map_;
};

} // namespace kvscope::views
