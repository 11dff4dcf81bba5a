// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/base/thread_pool.h"
#include "core/kv/kv_cache.h"
#include "core/stats/moments.h"

#include <cstdint>
#include <functional>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <vector>

namespace kvscope {

/// Which values of a cache a statistic is about.
struct StatisticsScope {
    PlaneKind kind = PlaneKind::Key;
    /// K with RoPE undone (or its recording); K only.
    bool beforeRope = false;
    SequenceIndex sequence{};
    /// All layers that have the kind when absent; clipped to the cache.
    std::optional<LayerRange> layers{};
    /// All channels when absent; clipped to each plane.
    std::optional<ChannelRange> channels{};
    /// All tokens when absent; clipped to each plane.
    std::optional<TokenRange> tokens{};

    bool operator==(const StatisticsScope&) const = default;
};

/// One plane of a scope with its clipped ranges, which are never empty.
struct ScopedPlane {
    PlaneId id;
    const PlaneGeometry* geometry = nullptr;
    bool beforeRope = false;
    TokenRange tokens;
    ChannelRange channels;

    [[nodiscard]] std::int64_t values() const { return tokens.size() * channels.size(); }
    /// Stored bytes that reading it touches; the unit of progress.
    [[nodiscard]] std::int64_t bytes() const { return values() * sizeOf(geometry->dtype); }
};

/// The planes of a scope by layer. Fails when the scope covers no value or K before RoPE cannot be had; the error says
/// which. Geometry pointers live as long as the cache.
Result<std::vector<ScopedPlane>> resolveScope(const KvCache& cache, const StatisticsScope& scope);

/// Reads blocks of a scoped plane as float32 [tokens][plane.channels.size()] into a buffer that it reuses.
class RowReader {
public:
    RowReader(const KvCache& cache, const ScopedPlane& plane);

    /// Rows of any tokens of the plane (not only of the scope's); valid until the next read.
    Result<std::span<const float>> read(TokenRange tokens);
    /// Rows and, where the plane is plain f16, the bits of the same values; call only when hasHalfBits().
    struct WithBits {
        std::span<const float> rows;
        std::span<const std::uint16_t> bits;
    };
    Result<WithBits> readWithBits(TokenRange tokens);
    /// Whether the plane is plain f16 read whole, so that its bits can be had beside the values.
    [[nodiscard]] bool hasHalfBits() const { return hasHalfBits_; }

private:
    const KvCache& cache_;
    const ScopedPlane& plane_;
    bool hasHalfBits_;
    std::vector<float> rows_;
    std::vector<float> whole_;
    std::vector<std::uint16_t> bits_;
};

/// A stretch of a plane that one worker goes through from its first token to its last.
struct Segment {
    std::size_t plane = 0;
    TokenRange tokens;
};

/// Cuts planes into segments of some four million values, at multiples of the anchor group. Depends
/// on the geometry alone, so that merging partial results in the order of the segments gives the same bits on any
/// number of threads.
std::vector<Segment> cutSegments(std::span<const ScopedPlane> planes);

/// Tokens a block should have so that it stays in a core's cache: a multiple of the anchor group.
std::int64_t blockTokens(std::int64_t channels);

/// The error of a computation that asked for more memory than there is.
tl::unexpected<Error> outOfMemory();

/// Runs a body that returns a Result and may allocate sizes that come from a dump.
template <class Body> auto withinMemory(Body body) -> decltype(body()) {
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return outOfMemory();
    } catch (const std::length_error&) {
        return outOfMemory();
    }
}

/// Runs body(segment index) for all segments on the pool; stops early at the first error or when the job is stopped
/// and returns that. Running out of memory in a body becomes an error as well.
Result<void> forEachSegment(std::size_t segments, ThreadPool& pool, const JobControl& job,
                            const std::function<Result<void>(std::size_t)>& body);

/// Bytes that one pass over the planes reads.
std::int64_t bytesOf(std::span<const ScopedPlane> planes);

/// Moments of every channel of every plane, in one pass; progress advances by bytes, the caller starts it.
Result<std::vector<ChannelMoments>> computeChannelMoments(const KvCache& cache, std::span<const ScopedPlane> planes,
                                                          ThreadPool& pool, const JobControl& job);

/// Calls body(tokens) for the blocks of a range in order; the first ends at a multiple of the block size.
Result<void> forEachBlock(TokenRange tokens, std::int64_t channels, const JobControl& job,
                          const std::function<Result<void>(TokenRange)>& body);

} // namespace kvscope
