// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/base/thread_pool.h"
#include "core/codec/encode_report.h"
#include "core/codec/encoded_cache.h"
#include "core/codec/plan.h"
#include "core/kv/kv_cache.h"

#include <functional>
#include <optional>
#include <vector>

namespace kvscope {

/// A cache encoded with a plan: bytes and report.
struct Encoding {
    KvCache original;
    EncodedPlanes planes;
    EncodeReport report;

    /// What comes back, decoded on demand.
    [[nodiscard]] KvCache decoded() const { return makeDecodedCache(original, planes); }
};

/// One finished plane of a job.
struct EncodedPlaneResult {
    EncodedPlanePtr plane;
    PlaneReport report;
};

struct EncodeOptions {
    /// Decode every chunk again and measure what was lost.
    bool measureError = true;
    /// Attention-output error per layer where the dump has queries; needs measureError.
    bool measureAttention = true;
    /// Query rows sampled for each layer.
    std::int64_t attentionRows = 64;
    /// Planes to do first, in this order (those on the screen).
    std::vector<PlaneId> first;
    /// Only these layers and kinds; absent: all cache planes.
    std::optional<std::vector<LayerKind>> only;
    std::optional<double> prefillTokensPerSecond;
    /// encodePlane(): the same plane of the same cache as it was encoded before; what was measured of it is taken over
    /// where it holds for the new settings as well.
    EncodedPlanePtr former;
    /// Called as each plane is complete, from the worker that finished it, one call at a time.
    std::function<void(const EncodedPlaneResult&)> planeDone;
};

/// Encodes the cache's planes (K, V, latent) with a plan, chunk-parallel on the pool, calibrating each plane on a
/// sample of its rows first. Fails when the plan is invalid, a stage does not fit a plane, or the dump cannot be read;
/// the error names plane and chunk. Progress is in bytes at the dump's dtype.
Result<Encoding> encodeCache(const KvCache& cache, const CodecPlan& plan, ThreadPool& pool,
                             const EncodeOptions& options = {}, const JobControl& job = {});

/// Encodes again only what differs between the plan of `previous` and the new one; everything else is taken over.
/// options.only is ignored.
Result<Encoding> reencode(const Encoding& previous, const CodecPlan& plan, ThreadPool& pool,
                          const EncodeOptions& options = {}, const JobControl& job = {});

/// Encodes one plane. `known` are calibrations to keep (those of a file that is appended to); others are measured.
/// Chunks before `firstToken` (a multiple of chunkTokens) are left out.
Result<EncodedPlaneResult> encodePlane(const KvCache& cache, PlaneId plane, const CodecPlan& plan, ThreadPool& pool,
                                       const EncodeOptions& options, const JobControl& job,
                                       const std::vector<CalibratedPipeline>& known = {},
                                       TokenIndex firstToken = TokenIndex(0));

} // namespace kvscope
