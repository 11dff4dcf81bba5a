// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/tile_cache.h"

#include "views/run_async.h"

#include <QSet>

#include <algorithm>
#include <new>
#include <utility>

namespace kvscope::views {

TileCache::TileCache(Document* document, QObject* parent)
    : QObject(parent)
    , document_(document)
    , byteLimit_(kTileBytes) {}

TileCache::~TileCache() {
    for (auto& running : running_)
        running.stop.request_stop();
}

void TileCache::setByteLimit(std::size_t bytes) {
    byteLimit_ = bytes;
    evict();
}

int TileCache::mapId(const MapSpec& spec) {
    const auto it = std::find(specs_.begin(), specs_.end(), spec);
    if (it != specs_.end())
        return static_cast<int>(it - specs_.begin());
    specs_.push_back(spec);
    return static_cast<int>(specs_.size() - 1);
}

HeatmapTile* TileCache::find(const TileKey& key) {
    const auto it = entries_.constFind(key);
    if (it == entries_.constEnd() || it.value()->tile == nullptr)
        return nullptr;
    it.value()->lastUse = ++clock_;
    return it.value()->tile.get();
}

bool TileCache::isSettled(const TileKey& key) const {
    const auto it = entries_.constFind(key);
    return it != entries_.constEnd() && (it.value()->failed || it.value()->tile->isExact());
}

bool TileCache::needsLoad(const TileKey& key) const {
    const auto it = entries_.constFind(key);
    return it == entries_.constEnd() || (!isSettled(key) && it.value()->generation != generation_);
}

void TileCache::want(std::vector<TileKey> keys) {
    const QSet<TileKey> wanted(keys.begin(), keys.end());
    for (auto it = running_.begin(); it != running_.end();) {
        if (wanted.contains(it.key())) {
            ++it;
            continue;
        }
        it->stop.request_stop();
        it = running_.erase(it);
    }
    queue_.clear();
    for (auto it = keys.rbegin(); it != keys.rend(); ++it) {
        if (!running_.contains(*it) && needsLoad(*it))
            queue_.push_back(*it);
    }
    startNext();
}

void TileCache::refresh() {
    ++generation_;
    for (auto it = entries_.begin(); it != entries_.end();)
        it = it.value()->failed ? entries_.erase(it) : std::next(it);
}

void TileCache::startNext() {
    const auto most = static_cast<qsizetype>(document_->pool().threadCount()) + 1;
    while (!queue_.empty() && running_.size() < most) {
        const TileKey key = queue_.back();
        queue_.pop_back();
        if (!running_.contains(key) && needsLoad(key))
            start(key);
    }
}

void TileCache::start(const TileKey& key) {
    Running running;
    running.ticket = ++tickets_;
    const MapSpec spec = specs_[static_cast<std::size_t>(key.map)];
    const MapShape shape = document_->map()->shape(spec);
    const auto cells = [](std::int64_t extent, std::int64_t step) { return (extent + step - 1) / step; };
    CellRect rect{key.column * kTileCells, key.row * kTileCells, 0, 0};
    rect.columns = std::min(kTileCells, cells(shape.columns, key.step.columns) - rect.column);
    rect.rows = std::min(kTileCells, cells(shape.rows, key.step.rows) - rect.row);
    if (rect.columns <= 0 || rect.rows <= 0)
        return;
    runAsync(
        document_->pool(), this,
        [map = document_->map(), spec, rect, step = key.step, colouring = colouring_,
         stop = running.stop.get_token()]() -> LoadedTile {
            if (stop.stop_requested())
                return cancelled();
            try {
                KVSCOPE_ASSIGN(auto block, map->read(spec, rect, step, JobControl{stop, nullptr}));
                auto tile = std::make_shared<HeatmapTile>(block);
                if (colouring != nullptr)
                    tile->prepare(*colouring);
                return tile;
            } catch (const std::bad_alloc&) {
                return fail("not enough memory for the picture", {}, "Close other dumps.", Error::Kind::System);
            }
        },
        [this, key, ticket = running.ticket, generation = generation_](LoadedTile tile) {
            finish(key, ticket, generation, std::move(tile));
        });
    running_.insert(key, running);
}

void TileCache::finish(const TileKey& key, std::uint64_t ticket, int generation, LoadedTile tile) {
    const auto it = running_.constFind(key);
    const bool current = it != running_.constEnd() && it->ticket == ticket;
    if (current)
        running_.erase(it);
    if (!tile && tile.error().kind == Error::Kind::Cancelled) {
        startNext();
        return;
    }
    auto entry = std::make_shared<Entry>();
    entry->generation = generation;
    entry->lastUse = ++clock_;
    if (tile) {
        entry->tile = std::move(*tile);
        // A picture that is not made yet will be when the tile is first drawn; it counts from the start.
        entry->bytes = entry->tile->bytesWithPicture();
    } else {
        entry->failed = true;
    }
    if (const auto old = entries_.constFind(key); old != entries_.constEnd())
        bytes_ -= old.value()->bytes;
    bytes_ += entry->bytes;
    entries_.insert(key, entry);
    evict();
    startNext();
    if (entry->failed)
        emit failed(tile.error());
    emit tileLoaded();
}

void TileCache::evict() {
    if (bytes_ <= byteLimit_)
        return;
    std::vector<std::pair<std::uint64_t, TileKey>> byAge;
    byAge.reserve(static_cast<std::size_t>(entries_.size()));
    for (auto it = entries_.constBegin(); it != entries_.constEnd(); ++it)
        byAge.emplace_back(it.value()->lastUse, it.key());
    std::sort(byAge.begin(), byAge.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [age, key] : byAge) {
        // Dropping to three quarters keeps a slow pan from sorting at every tile.
        if (bytes_ <= byteLimit_ / 4 * 3)
            break;
        const auto it = entries_.constFind(key);
        bytes_ -= it.value()->bytes;
        entries_.erase(it);
    }
}

} // namespace kvscope::views
