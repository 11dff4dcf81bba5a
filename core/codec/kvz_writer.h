// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/output_file.h"
#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/base/thread_pool.h"
#include "core/codec/encode_job.h"
#include "core/codec/kvz_directory.h"
#include "core/codec/kvz_file.h"
#include "core/codec/plan.h"
#include "core/kv/kv_cache.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace kvscope {

/// Writes a .kvz. A new file appears under its name when finish() returns; one that is appended to keeps its old
/// content until then: chunks and directory are written behind it and flushed before the root is switched.
class KvzWriter {
public:
    /// A new file for a cache of that geometry (only cache planes are kept) and info.
    static Result<KvzWriter> create(std::filesystem::path path, const KvGeometry& geometry, const CacheInfo& info);
    /// Goes on with an existing file. `geometry` and `info` replace what it said (more tokens).
    static Result<KvzWriter> append(std::filesystem::path path, const KvGeometry& geometry, const CacheInfo& info);

    /// The levels so far, with all their chunks.
    [[nodiscard]] const std::vector<KvzLevel>& levels() const { return directory_.levels; }
    /// Adds a level without planes. Its name must be new.
    Result<std::size_t> addLevel(std::string name, const CodecPlan& plan);
    /// Writes the chunks of a plane at a level. Chunks that the level already has before the first of them are kept,
    /// those from there on are replaced (their old bytes stay in the file, unused).
    Result<void> putPlane(std::size_t level, const EncodedPlane& plane);
    /// Keeps the errors that the report measured, for whoever chooses among levels later. A report of appended tokens
    /// counts by its share of the level's tokens.
    void noteErrors(std::size_t level, const EncodeReport& report);
    void noteErrors(std::size_t level, std::vector<KvzLayerError> errors);
    /// Writes the directory and makes the file valid; every level must hold every plane by now.
    Result<void> finish();

private:
    KvzWriter(OutputFile file, KvzDirectory directory, KvzRoot root);

    OutputFile file_;
    KvzDirectory directory_;
    /// The root that holds; generation 0 for a new file.
    KvzRoot root_;
    std::int64_t end_;
};

/// What a .kvz came to.
struct KvzReport {
    std::int64_t fileBytes = 0;
    /// The tokens: the text level. 0 where the dump has none.
    std::int64_t textBytes = 0;
    /// One a level that was encoded; errors measured when asked for.
    std::vector<EncodeReport> levels;
};

/// Encodes a cache with each plan into one new file, a level a plan, named like the plan. The tokens go with it as the
/// text level; without any plan they are all there is.
Result<KvzReport> writeKvz(const std::filesystem::path& path, const KvCache& cache, std::span<const CodecPlan> plans,
                           ThreadPool& pool, const EncodeOptions& options = {}, const JobControl& job = {});

/// Brings an existing file up to a longer version of its cache: at every level only chunks that are not complete yet
/// (the last one; those within KIVI's residual) and new ones are encoded, with the plan and calibration that the level
/// has. Then adds levels for `plans` whose names are new. Fails when the cache is not a continuation of what the file
/// holds.
Result<KvzReport> appendKvz(const std::filesystem::path& path, const KvCache& cache, std::span<const CodecPlan> plans,
                            ThreadPool& pool, const EncodeOptions& options = {}, const JobControl& job = {});

} // namespace kvscope
