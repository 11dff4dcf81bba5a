// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/chunk_builder.h"
#include "core/stats/plane_query.h"
#include "core/stats/pyramid_folder.h"

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace kvscope {

/// What is known of a whole plane.
struct PlaneSummary {
    /// Of all finite values.
    double rms = 0;
    /// Mean of the finite values of each channel; 0 for a channel without any.
    std::vector<float> channelMeans;
};

/// The pyramid of one quantity of a cache: built chunk by chunk from any thread, read at the same time from any other.
class Pyramid {
public:
    /// Opens the complete pyramid kept in `folder`; null when there is none (or no folder).
    static std::shared_ptr<Pyramid> openKept(const KvCache& cache, Quantity quantity, const PyramidFolder& folder);
    /// Starts an empty one, to be kept in `folder` when that has a path and room for it and the cache has a
    /// fingerprint.
    static Result<std::shared_ptr<Pyramid>> create(const KvCache& cache, Quantity quantity,
                                                   const PyramidFolder& folder);

    [[nodiscard]] bool isComplete() const { return complete_.load(std::memory_order_acquire); }
    /// Whether a read met bytes that do not agree with their checksum; what they should have told stays unanswered.
    [[nodiscard]] bool isDamaged() const { return damaged_.load(std::memory_order_relaxed); }
    /// Share of the values built.
    [[nodiscard]] double progress() const;

    /// A piece of work handed out by claim().
    struct Chunk {
        std::size_t plane = 0;
        std::int64_t index = 0;
    };
    /// Takes the next chunk to build, those of preferred planes first; nothing when all have been handed out.
    std::optional<Chunk> claim();
    /// Has the chunks of this plane handed out before others.
    void prefer(PlaneId plane);
    [[nodiscard]] const PlaneLayout& plane(Chunk chunk) const { return layout_.planes[chunk.plane]; }
    /// Builds a claimed chunk; the last one of the last plane completes the pyramid.
    Result<void> build(Chunk chunk, std::span<const float> channelMeans, ChunkBuilder& builder);

    /// Answers the token cells of a query that are built: merges them into the sink and sets answered[i].
    void addCells(const PlaneQuery& query, const CellSink& sink, std::span<char> answered);
    /// Whether the complete pyramid answers a query of this step and channel grouping; otherwise values must be read.
    [[nodiscard]] static bool covers(const PlaneGeometry& plane, const PlaneQuery& query);
    /// The plane's summary once all its chunks are built.
    std::optional<PlaneSummary> summary(PlaneId plane);
    /// Removes the kept file from the disk.
    void discard() { file_->discard(); }

private:
    struct PlaneState {
        /// One flag a chunk: set once its cells can be read.
        std::unique_ptr<std::atomic<bool>[]> built;
        std::atomic<std::int64_t> builtChunks{0};
        /// Set once the coarse levels and the summary can be read.
        std::atomic<bool> complete{false};
        /// Guarded by mutex_ until a chunk is claimed; then each chunk owns its row.
        std::unique_ptr<ChunkTops> tops;
        /// Guarded by mutex_.
        std::int64_t nextChunk = 0;
    };
    struct LevelReader;

    Pyramid(KvCache cache, Quantity quantity, PyramidLayout layout, std::unique_ptr<PyramidFile> file, bool complete);
    static PyramidKey keyOf(const KvCache& cache, const PyramidLayout& layout);
    [[nodiscard]] std::optional<std::size_t> indexOf(PlaneId plane) const;
    Result<void> finishPlane(std::size_t plane);
    [[nodiscard]] const LevelLayout* chooseLevel(std::size_t plane, const PlaneQuery& query, CellFamily family) const;
    [[nodiscard]] bool isBuilt(std::size_t plane, const LevelLayout& level, std::int64_t firstRow,
                               std::int64_t lastRow) const;

    KvCache cache_;
    Quantity quantity_;
    PyramidLayout layout_;
    std::unique_ptr<PyramidFile> file_;
    std::unique_ptr<PlaneState[]> planes_;
    std::atomic<std::int64_t> builtValues_{0};
    std::int64_t totalValues_ = 0;
    std::atomic<std::size_t> completePlanes_{0};
    std::atomic<bool> complete_;
    std::atomic<bool> damaged_{false};

    std::mutex mutex_;
    std::deque<std::size_t> preferred_;
    std::size_t cursor_ = 0;
};

} // namespace kvscope
