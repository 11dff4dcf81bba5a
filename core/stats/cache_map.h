// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/thread_pool.h"
#include "core/stats/quantity.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace kvscope {

/// Which two axes a map has. Tokens always run along x, except in LayerChannel where channels do.
enum class MapKind : std::uint8_t {
    LayerToken,   ///< x tokens, y layers; a cell summarises all channels of (layer, token)
    HeadToken,    ///< x tokens, y heads of one layer
    TokenChannel, ///< x tokens, y channels of one layer, or of one head of it
    LayerChannel  ///< x channels, y layers; a cell summarises all tokens of (layer, channel)
};
inline constexpr std::array kAllMapKinds{MapKind::LayerToken, MapKind::HeadToken, MapKind::TokenChannel,
                                         MapKind::LayerChannel};

/// Which map of a cache is meant.
struct MapSpec {
    MapKind map = MapKind::LayerToken;
    PlaneKind kind = PlaneKind::Key;
    Quantity quantity = Quantity::Value;
    SequenceIndex sequence;
    /// HeadToken and TokenChannel only.
    LayerIndex layer;
    /// TokenChannel only: this head's channels alone.
    std::optional<HeadIndex> head;

    bool operator==(const MapSpec&) const = default;
};

/// Extent of a map in full-resolution cells.
struct MapShape {
    std::int64_t columns = 0;
    std::int64_t rows = 0;

    bool operator==(const MapShape&) const = default;
};

/// How many full-resolution columns and rows one delivered cell summarises; powers of two, at least 1.
struct CellStep {
    std::int64_t columns = 1;
    std::int64_t rows = 1;

    auto operator<=>(const CellStep&) const = default;
};

/// A rectangle of delivered cells: cell (c, r) covers full-resolution columns [c * step.columns, ...) and rows [r *
/// step.rows, ...).
struct CellRect {
    std::int64_t column = 0;
    std::int64_t row = 0;
    std::int64_t columns = 0;
    std::int64_t rows = 0;

    bool operator==(const CellRect&) const = default;
};

/// Summary of the values under one cell. Over NaN-free values: exact at full resolution; from the pyramid, min is
/// rounded down and max up (never hiding an outlier), mean and rms to about 11 bits. Non-finite values count in no
/// statistic; a cell without any finite value, or outside a ragged plane, has count 0 and all statistics NaN.
/// hasNonFinite says that a NaN or infinity lies under it; the pyramid then counts the non-finite values too.
struct Cell {
    float min = 0;
    float max = 0;
    float mean = 0;
    float rms = 0;
    std::uint32_t count = 0;
    bool hasNonFinite = false;

    /// max(|min|, |max|)
    [[nodiscard]] float maxAbs() const;
    /// Population standard deviation.
    [[nodiscard]] float stddev() const;
};

/// Cells row by row: at(c, r) = cells[r * rect.columns + c].
struct CellBlock {
    CellRect rect;
    CellStep step;
    /// False while the pyramid is being built and the cells come from a sample of the tokens.
    bool exact = true;
    std::vector<Cell> cells;

    [[nodiscard]] const Cell& at(std::int64_t column, std::int64_t row) const {
        return cells[static_cast<std::size_t>(row * rect.columns + column)];
    }
};

struct CacheMapOptions {
    /// Folder for pyramids kept between runs; empty keeps them in an unnamed temporary file.
    std::filesystem::path cacheFolder;
    /// Bytes that the pyramids in that folder may take together, the ones used longest ago going first; nothing: 10
    /// GiB, or a tenth of the free disk where this is less.
    std::optional<std::int64_t> cacheLimit;
};

/// The level-of-detail pyramid of one cache and what is read through it: any rectangle of any map at any step costs
/// work proportional to the cells delivered (plus at most 63 tokens a cell), never to the size of the dump. One pyramid
/// per quantity, built on demand on the pool. Thread-safe.
class CacheMap {
public:
    static std::shared_ptr<CacheMap> create(KvCache cache, ThreadPool& pool, CacheMapOptions options = {});
    virtual ~CacheMap() = default;
    CacheMap(const CacheMap&) = delete;
    CacheMap& operator=(const CacheMap&) = delete;

    [[nodiscard]] virtual const KvCache& cache() const = 0;
    /// Extent of a map; 0 x 0 when the cache has no such plane or quantity.
    [[nodiscard]] virtual MapShape shape(const MapSpec& spec) const = 0;
    /// Delivers cells; blocks, so call it from a worker. The rectangle is clipped to the map by the caller.
    [[nodiscard]] virtual Result<CellBlock> read(const MapSpec& spec, CellRect rect, CellStep step,
                                                 const JobControl& job = {}) = 0;
    /// Starts building the pyramid of a quantity unless it is there or under way. Returns at once.
    virtual void prepare(Quantity quantity) = 0;
    /// Stops building and drops queued work; what is built stays.
    virtual void cancelBuilds() = 0;
    /// Whether the pyramid of a quantity is complete.
    [[nodiscard]] virtual bool isComplete(Quantity quantity) const = 0;
    /// Progress of a quantity's build in [0, 1].
    [[nodiscard]] virtual double progress(Quantity quantity) const = 0;
    /// The error that ended a build, if one did.
    [[nodiscard]] virtual std::optional<Error> buildError(Quantity quantity) const = 0;
    /// Root mean square of all finite values of a plane under a quantity: exact once complete, from the sample before;
    /// 0 when unknown.
    [[nodiscard]] virtual double planeRms(PlaneId plane, Quantity quantity) = 0;
    /// Called from a worker, at most about 20 times a second, whenever more of some pyramid has become exact, and when
    /// a build ends. Returns when a call that is running has ended; the callback itself must not call this.
    virtual void setChangedCallback(std::function<void()> callback) = 0;

protected:
    CacheMap() = default;
};

} // namespace kvscope
