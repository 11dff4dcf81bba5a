// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/document.h"
#include "views/heatmap_tile.h"

#include <QHash>
#include <QObject>

#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

namespace kvscope::views {

/// What the tiles of a pane may take.
inline constexpr std::size_t kTileBytes = std::size_t{96} << 20U;

/// A tile of the regular grid of one map at one step: cells [column * kTileCells, ...) x [row * kTileCells, ...).
struct TileKey {
    /// Which map, as TileCache::mapId numbers them.
    int map = 0;
    CellStep step;
    std::int64_t column = 0;
    std::int64_t row = 0;

    bool operator==(const TileKey&) const = default;
};

inline std::size_t qHash(const TileKey& key, std::size_t seed = 0) {
    return qHashMulti(seed, key.map, key.step.columns, key.step.rows, key.column, key.row);
}

/// Tiles of one document: asked for asynchronously, kept up to a bound of bytes (least recently used first out).
/// Requests that nobody wants any more are dropped, running ones are told to stop. Lives on the window's thread and
/// never reads there.
class TileCache : public QObject {
    Q_OBJECT

public:
    explicit TileCache(Document* document, QObject* parent = nullptr);
    ~TileCache() override;

    void setByteLimit(std::size_t bytes);
    [[nodiscard]] std::size_t bytes() const { return bytes_; }

    /// The colours in which tiles come, so that the window's thread need not colour them.
    void setColouring(std::shared_ptr<const HeatmapColouring> colouring) { colouring_ = std::move(colouring); }

    /// The number by which keys name a map.
    int mapId(const MapSpec& spec);
    [[nodiscard]] const MapSpec& spec(int mapId) const { return specs_[static_cast<std::size_t>(mapId)]; }

    /// The tile if it is there (perhaps from a sample still); counts as a use. Null otherwise.
    HeatmapTile* find(const TileKey& key);
    /// Replaces what is wanted, most urgent first. Tiles that are there and up to date cost nothing.
    void want(std::vector<TileKey> keys);
    /// Whether a tile is there and final: exact, or failed for good.
    [[nodiscard]] bool isSettled(const TileKey& key) const;
    /// Says that more of the pyramid is exact: inexact tiles are read again when wanted.
    void refresh();
    /// Whether anything wanted is still on its way.
    [[nodiscard]] bool isBusy() const { return !running_.isEmpty() || !queue_.empty(); }

signals:
    /// A wanted tile has come.
    void tileLoaded();
    void failed(const kvscope::Error& error);

private:
    using LoadedTile = Result<std::shared_ptr<HeatmapTile>>;

    struct Entry {
        std::shared_ptr<HeatmapTile> tile;
        std::size_t bytes = 0;
        std::uint64_t lastUse = 0;
        int generation = 0;
        bool failed = false;
    };
    struct Running {
        std::stop_source stop;
        std::uint64_t ticket = 0;
    };

    [[nodiscard]] bool needsLoad(const TileKey& key) const;
    void startNext();
    void start(const TileKey& key);
    void finish(const TileKey& key, std::uint64_t ticket, int generation, LoadedTile tile);
    void evict();

    Document* document_;
    std::shared_ptr<const HeatmapColouring> colouring_;
    std::vector<MapSpec> specs_;
    QHash<TileKey, std::shared_ptr<Entry>> entries_;
    QHash<TileKey, Running> running_;
    /// Still to be started, most urgent last.
    std::vector<TileKey> queue_;
    std::size_t bytes_ = 0;
    std::size_t byteLimit_;
    std::uint64_t clock_ = 0;
    std::uint64_t tickets_ = 0;
    int generation_ = 0;
};

} // namespace kvscope::views
