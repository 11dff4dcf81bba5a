// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/scope.h"

#include "core/kv/convert.h"
#include "core/stats/in_order.h"
#include "core/stats/quantity.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>

namespace kvscope {

namespace {

constexpr std::int64_t kSegmentValues = std::int64_t{1} << 22;
constexpr std::int64_t kBlockValues = std::int64_t{1} << 17;

std::int64_t roundUpToGroup(std::int64_t tokens) {
    return (tokens + kAnchorGroup - 1) / kAnchorGroup * kAnchorGroup;
}

} // namespace

Result<std::vector<ScopedPlane>> resolveScope(const KvCache& cache, const StatisticsScope& scope) {
    const KvGeometry& geometry = cache.geometry();
    const std::string name(nameOf(scope.kind));
    std::vector<ScopedPlane> planes;
    bool beforeRopeMissing = false;
    for (const PlaneId id : geometry.planes(scope.kind, scope.sequence)) {
        if (scope.layers && !scope.layers->contains(id.layer))
            continue;
        const PlaneGeometry* plane = geometry.find(id);
        const TokenRange allTokens = tokenRange(0, plane->tokens);
        const ChannelRange allChannels = channelRange(0, plane->channels());
        const ScopedPlane scoped{id, plane, scope.beforeRope,
                                 scope.tokens ? allTokens.intersected(*scope.tokens) : allTokens,
                                 scope.channels ? allChannels.intersected(*scope.channels) : allChannels};
        if (scoped.tokens.empty() || scoped.channels.empty())
            continue;
        if (scope.beforeRope && !isAvailable(cache, Quantity::KeyBeforeRope, id)) {
            beforeRopeMissing = true;
            continue;
        }
        planes.push_back(scoped);
    }
    if (!planes.empty())
        return planes;
    if (beforeRopeMissing)
        return fail(name + " before RoPE cannot be had: the RoPE is not known", cache.info().name,
                    "Put the model's config.json beside the dump or give theta and pairing.");
    return fail("no value of " + name + " lies in the range chosen", cache.info().name,
                "Choose other layers, channels or tokens.");
}

RowReader::RowReader(const KvCache& cache, const ScopedPlane& plane)
    : cache_(cache)
    , plane_(plane)
    , hasHalfBits_(plane.geometry->dtype == DType::F16 && !plane.beforeRope && cache.nativeIsExact(plane.id) &&
                   plane.channels.size() == plane.geometry->channels()) {}

Result<std::span<const float>> RowReader::read(TokenRange tokens) {
    const auto width = static_cast<std::size_t>(plane_.channels.size());
    rows_.resize(static_cast<std::size_t>(tokens.size()) * width);
    if (!plane_.beforeRope) {
        KVSCOPE_TRY(cache_.readRows(plane_.id, tokens, plane_.channels, rows_));
        return std::span<const float>(rows_);
    }
    const auto channels = static_cast<std::size_t>(plane_.geometry->channels());
    if (channels == width) {
        KVSCOPE_TRY(readQuantity(cache_, Quantity::KeyBeforeRope, plane_.id, tokens, {}, rows_));
        return std::span<const float>(rows_);
    }
    whole_.resize(static_cast<std::size_t>(tokens.size()) * channels);
    KVSCOPE_TRY(readQuantity(cache_, Quantity::KeyBeforeRope, plane_.id, tokens, {}, whole_));
    for (std::size_t t = 0; t < static_cast<std::size_t>(tokens.size()); ++t)
        std::copy_n(whole_.data() + t * channels + static_cast<std::size_t>(plane_.channels.begin.value), width,
                    rows_.data() + t * width);
    return std::span<const float>(rows_);
}

Result<RowReader::WithBits> RowReader::readWithBits(TokenRange tokens) {
    const auto count = static_cast<std::size_t>(tokens.size() * plane_.channels.size());
    rows_.resize(count);
    bits_.resize(count);
    const auto bytes = std::as_writable_bytes(std::span(bits_));
    KVSCOPE_TRY(cache_.readNative(plane_.id, tokens, bytes));
    convertToFloat(DType::F16, bytes, rows_);
    return WithBits{rows_, bits_};
}

std::vector<Segment> cutSegments(std::span<const ScopedPlane> planes) {
    std::vector<Segment> segments;
    for (std::size_t i = 0; i < planes.size(); ++i) {
        const ScopedPlane& plane = planes[i];
        const std::int64_t step = roundUpToGroup(std::max<std::int64_t>(1, kSegmentValues / plane.channels.size()));
        for (std::int64_t begin = plane.tokens.begin.value; begin < plane.tokens.end.value;) {
            const std::int64_t end = std::min(plane.tokens.end.value, begin / step * step + step);
            segments.push_back({i, tokenRange(begin, end)});
            begin = end;
        }
    }
    return segments;
}

std::int64_t blockTokens(std::int64_t channels) {
    return roundUpToGroup(std::max<std::int64_t>(1, kBlockValues / std::max<std::int64_t>(1, channels)));
}

tl::unexpected<Error> outOfMemory() {
    return fail("there is not enough memory for these statistics", {}, "Choose a smaller range.", Error::Kind::System);
}

Result<void> forEachSegment(std::size_t segments, ThreadPool& pool, const JobControl& job,
                            const std::function<Result<void>(std::size_t)>& body) {
    std::atomic<bool> failed{false};
    std::mutex mutex;
    Result<void> outcome;
    pool.parallelFor(static_cast<std::int64_t>(segments), [&](std::int64_t i) {
        if (failed.load(std::memory_order_relaxed))
            return;
        Result<void> done;
        if (job.stopRequested()) {
            done = cancelled();
        } else {
            done = withinMemory([&] { return body(static_cast<std::size_t>(i)); });
        }
        if (done)
            return;
        failed.store(true, std::memory_order_relaxed);
        const std::lock_guard lock(mutex);
        if (outcome)
            outcome = std::move(done);
    });
    return outcome;
}

std::int64_t bytesOf(std::span<const ScopedPlane> planes) {
    std::int64_t bytes = 0;
    for (const ScopedPlane& plane : planes)
        bytes += plane.bytes();
    return bytes;
}

Result<std::vector<ChannelMoments>> computeChannelMoments(const KvCache& cache, std::span<const ScopedPlane> planes,
                                                          ThreadPool& pool, const JobControl& job) {
    struct State {
        InOrder<ChannelMoments> order;
        std::size_t firstSegment = 0;
    };
    const auto segments = cutSegments(planes);
    std::vector<State> states(planes.size());
    for (std::size_t i = segments.size(); i-- > 0;)
        states[segments[i].plane].firstSegment = i;
    std::vector<ChannelMoments> moments;
    for (const ScopedPlane& plane : planes)
        moments.emplace_back(plane.channels.size(), smallestNormal(plane.geometry->dtype));
    KVSCOPE_TRY(forEachSegment(segments.size(), pool, job, [&](std::size_t i) -> Result<void> {
        const ScopedPlane& plane = planes[segments[i].plane];
        const std::int64_t channels = plane.channels.size();
        ChannelMoments part(channels, smallestNormal(plane.geometry->dtype));
        RowReader reader(cache, plane);
        KVSCOPE_TRY(forEachBlock(segments[i].tokens, channels, job, [&](TokenRange tokens) -> Result<void> {
            KVSCOPE_ASSIGN(const auto rows, reader.read(tokens));
            part.add(rows);
            job.advance(tokens.size() * channels * sizeOf(plane.geometry->dtype));
            return {};
        }));
        State& state = states[segments[i].plane];
        state.order.deliver(i - state.firstSegment, std::move(part),
                            [&](const ChannelMoments& next) { moments[segments[i].plane].merge(next); });
        return {};
    }));
    return moments;
}

Result<void> forEachBlock(TokenRange tokens, std::int64_t channels, const JobControl& job,
                          const std::function<Result<void>(TokenRange)>& body) {
    const std::int64_t step = blockTokens(channels);
    for (std::int64_t begin = tokens.begin.value; begin < tokens.end.value;) {
        if (job.stopRequested())
            return cancelled();
        const std::int64_t end = std::min(tokens.end.value, begin / step * step + step);
        KVSCOPE_TRY(body(tokenRange(begin, end)));
        begin = end;
    }
    return {};
}

} // namespace kvscope
