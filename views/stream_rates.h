// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/base/thread_pool.h"
#include "core/codec/encode_report.h"
#include "core/kv/kv_cache.h"
#include "core/stream/measured_rates.h"
#include "core/stream/projection.h"
#include "core/stream/stream_input.h"

#include <cstdint>
#include <string>
#include <vector>

namespace kvscope::views {

/// A dump encoded at every level that a context streams in, and with the 8-bit baseline: what was measured, without
/// the bytes.
struct StreamRates {
    /// One of them for each report, in the same order; `report` is null.
    std::vector<LevelReport> levels;
    std::vector<EncodeReport> reports;
    /// For project(): by relative depth.
    MeasuredRates rates;
    /// All layers were measured, so that the dump's own chunks can be streamed as they are.
    bool whole = false;
};

/// Dumps above this are measured on evenly spaced layers of about so many bytes together.
inline constexpr std::int64_t kMostMeasuredBytes = std::int64_t{128} << 20;

/// Encodes the dump once for each level (codec presets, the finest first) and the baseline. Takes long; progress is in
/// bytes. Errors name the level that does not fit the dump.
Result<StreamRates> measureStreamRates(const KvCache& cache, const std::vector<std::string>& presets, ThreadPool& pool,
                                       const JobControl& job);

/// The dump's own chunks. Errors: rates of some layers only, or chunks that cannot be put together.
/// The same with one level more: a plan that is being tuned, in its place by bits a value. Unchanged where the plan is
/// one of the presets as it is.
Result<StreamRates> withTunedLevel(const StreamRates& rates, const KvCache& cache, const CodecPlan& plan,
                                   ThreadPool& pool, const JobControl& job);

Result<StreamInput> ownInput(const StreamRates& rates, std::int64_t chunkTokens);

} // namespace kvscope::views
