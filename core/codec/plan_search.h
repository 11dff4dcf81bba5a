// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/base/thread_pool.h"
#include "core/codec/plan.h"
#include "core/codec/sweep.h"
#include "core/kv/kv_cache.h"

#include <cstdint>
#include <map>
#include <vector>

namespace kvscope {

/// Which methods a search goes through.
enum class SearchSpace : std::uint8_t {
    BlockNorm, ///< bits 3..12, blocks of 32, 64, 128 and 256, top-k of 0, 0.5, 1, 2 and 5 %
    KvzStep    ///< KVScope's own coder, by step size
};

/// The configuration of one kind with the fewest bits a value that passes; absent kinds: none passes.
struct SearchResult {
    struct Best {
        Pipeline pipeline;
        double bitsPerValue = 0;
    };
    std::map<PlaneKind, Best> kinds;
    /// Pipelines tried.
    std::int64_t tried = 0;

    /// A plan of the best pipelines, kvz-lossless for kinds without one.
    [[nodiscard]] CodecPlan plan(std::string name, std::int64_t chunkTokens = kDefaultChunkTokens) const;
};

/// Most pipelines that a search tries; each is a step of its progress, which the caller starts.
std::int64_t searchTrials(std::span<const SweepDump> dumps, SearchSpace space);

/// Finds the smallest configuration of each kind that keeps to the thresholds in every dump; its size is that of all
/// dumps together. Bits and step are searched by halving, since more of them never hurt.
Result<SearchResult> searchBest(std::span<const SweepDump> dumps, SearchSpace space, const StrictThresholds& thresholds,
                                ThreadPool& pool, const JobControl& job = {});

} // namespace kvscope
