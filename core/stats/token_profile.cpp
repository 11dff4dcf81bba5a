// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/token_profile.h"

#include "core/stats/in_order.h"
#include "core/stats/kernels.h"

#include <algorithm>
#include <cmath>

namespace kvscope {

namespace {

struct BucketSums {
    double squares = 0;
    double norms = 0;
    double maxNorm = 0;
    double cosines = 0;
    float maxAbs = 0;
    std::int64_t nonFinite = 0;

    void add(const kernels::RowSums& row, double meanNorm) {
        const double norm = std::sqrt(row.squares);
        squares += row.squares;
        norms += norm;
        maxNorm = std::max(maxNorm, norm);
        maxAbs = std::max(maxAbs, row.maxAbs);
        nonFinite += row.nonFinite;
        if (norm > 0 && meanNorm > 0)
            cosines += row.dot / (norm * meanNorm);
    }

    void merge(const BucketSums& other) {
        squares += other.squares;
        norms += other.norms;
        maxNorm = std::max(maxNorm, other.maxNorm);
        cosines += other.cosines;
        maxAbs = std::max(maxAbs, other.maxAbs);
        nonFinite += other.nonFinite;
    }
};

/// Buckets that a segment has seen, from `first` on; its last may go on in the next segment.
struct SegmentBuckets {
    std::size_t first = 0;
    std::vector<BucketSums> buckets;
};

struct PlaneBuckets {
    InOrder<SegmentBuckets> order;
    std::vector<BucketSums> sums;
    std::vector<float> mean;
    double meanNorm = 0;
    std::int64_t bucketTokens = 1;
    std::size_t firstSegment = 0;
};

TokenProfile finish(const ScopedPlane& plane, const PlaneBuckets& buckets) {
    TokenProfile profile{plane.id, buckets.bucketTokens, {}};
    for (std::size_t b = 0; b < buckets.sums.size(); ++b) {
        const BucketSums& sums = buckets.sums[b];
        const TokenIndex begin = plane.tokens.begin + static_cast<std::int64_t>(b) * buckets.bucketTokens;
        const TokenRange tokens = plane.tokens.intersected({begin, begin + buckets.bucketTokens});
        const auto count = static_cast<double>(tokens.size());
        const auto finite = static_cast<double>(tokens.size() * plane.channels.size() - sums.nonFinite);
        TokenBucket bucket;
        bucket.tokens = tokens;
        bucket.rms = finite > 0 ? std::sqrt(sums.squares / finite) : 0.0;
        bucket.maxAbs = sums.maxAbs;
        bucket.meanNorm = sums.norms / count;
        bucket.maxNorm = sums.maxNorm;
        bucket.cosineToMean = sums.cosines / count;
        bucket.nonFinite = sums.nonFinite;
        profile.buckets.push_back(bucket);
    }
    return profile;
}

Result<std::vector<TokenProfile>> profile(const KvCache& cache, const std::vector<ScopedPlane>& planes,
                                          std::int64_t maxBuckets, ThreadPool& pool, const JobControl& job) {
    KVSCOPE_ASSIGN(const auto moments, computeChannelMoments(cache, planes, pool, job));
    const auto segments = cutSegments(planes);
    std::vector<PlaneBuckets> states(planes.size());
    for (std::size_t i = segments.size(); i-- > 0;)
        states[segments[i].plane].firstSegment = i;
    for (std::size_t p = 0; p < planes.size(); ++p) {
        const std::int64_t tokens = planes[p].tokens.size();
        states[p].bucketTokens = (tokens + maxBuckets - 1) / maxBuckets;
        states[p].sums.resize(static_cast<std::size_t>((tokens + states[p].bucketTokens - 1) / states[p].bucketTokens));
        for (const Moments& channel : moments[p].channels())
            states[p].mean.push_back(static_cast<float>(channel.mean));
        states[p].meanNorm = std::sqrt(kernels::rowSums(states[p].mean, states[p].mean.data()).squares);
    }
    KVSCOPE_TRY(forEachSegment(segments.size(), pool, job, [&](std::size_t i) -> Result<void> {
        const ScopedPlane& plane = planes[segments[i].plane];
        PlaneBuckets& state = states[segments[i].plane];
        const auto channels = static_cast<std::size_t>(plane.channels.size());
        const auto bucketOf = [&](TokenIndex token) {
            return static_cast<std::size_t>((token - plane.tokens.begin) / state.bucketTokens);
        };
        SegmentBuckets part{bucketOf(segments[i].tokens.begin), {}};
        part.buckets.resize(bucketOf(segments[i].tokens.end - 1) - part.first + 1);
        RowReader reader(cache, plane);
        KVSCOPE_TRY(forEachBlock(segments[i].tokens, plane.channels.size(), job, [&](TokenRange block) -> Result<void> {
            KVSCOPE_ASSIGN(const auto rows, reader.read(block));
            for (std::int64_t t = 0; t < block.size(); ++t) {
                const auto row = rows.subspan(static_cast<std::size_t>(t) * channels, channels);
                part.buckets[bucketOf(block.begin + t) - part.first].add(kernels::rowSums(row, state.mean.data()),
                                                                         state.meanNorm);
            }
            job.advance(block.size() * plane.channels.size() * sizeOf(plane.geometry->dtype));
            return {};
        }));
        state.order.deliver(i - state.firstSegment, std::move(part), [&](const SegmentBuckets& next) {
            for (std::size_t b = 0; b < next.buckets.size(); ++b)
                state.sums[next.first + b].merge(next.buckets[b]);
        });
        return {};
    }));
    std::vector<TokenProfile> result;
    for (std::size_t p = 0; p < planes.size(); ++p)
        result.push_back(finish(planes[p], states[p]));
    return result;
}

} // namespace

Result<std::vector<TokenProfile>> computeTokenProfiles(const KvCache& cache, const StatisticsScope& scope,
                                                       std::int64_t maxBuckets, ThreadPool& pool,
                                                       const JobControl& job) {
    if (maxBuckets < 1)
        return fail("a profile needs at least one bucket", {}, "Ask for 1 or more.");
    KVSCOPE_ASSIGN(const auto planes, resolveScope(cache, scope));
    if (job.progress != nullptr)
        job.progress->start(2 * bytesOf(planes));
    return withinMemory([&] { return profile(cache, planes, maxBuckets, pool, job); });
}

} // namespace kvscope
