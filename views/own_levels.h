// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/thread_pool.h"
#include "core/codec/plan.h"
#include "core/kv/kv_cache.h"
#include "core/store/encoded_context.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kvscope::views {

class StreamSession;

/// A cache encoded at several levels into a file that is gone when nobody serves it any more.
struct OwnLevels {
    ContextShelfPtr shelf;
    /// Speed of this machine's decoder on them, bytes of 16-bit output a second.
    double decodeBytesPerSecond = 0;
    /// Bytes of the file.
    std::int64_t bytes = 0;
};

/// What to encode.
struct OwnLevelsRequest {
    std::vector<std::string> presets{"raw", "quant8", "kvz-high", "kvz-medium", "kvz-low"};
    /// A level beside those of the presets: the plan that is being tuned.
    std::optional<CodecPlan> tuned;
    /// Tokens of an encoded chunk.
    std::int64_t chunkTokens = 256;

    bool operator==(const OwnLevelsRequest& other) const;
};

/// Tokens of a cache's longest plane.
std::int64_t contextTokensOf(const KvGeometry& geometry);
/// The session's levels and the plan that is being tuned, cut into as many chunks as the context that the session's
/// dump stands for. The session must have a document.
OwnLevelsRequest ownLevelsFor(const StreamSession& session);

/// Encodes a cache so that it can be served. Takes as long as encoding takes; for the pool. Errors: those of encoding,
/// and a disk without room.
Result<OwnLevels> encodeOwnLevels(const KvCache& cache, const OwnLevelsRequest& request, ThreadPool& pool,
                                  const JobControl& job);

} // namespace kvscope::views
