// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/outliers.h"

#include "core/stats/in_order.h"
#include "core/stats/kernels.h"
#include "core/stats/scope.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <tuple>

namespace kvscope {

namespace {

/// The largest values of one channel, largest first; the earliest token first among equals.
struct ChannelTop {
    std::array<float, kOutliersPerChannel> values{};
    std::array<std::int64_t, kOutliersPerChannel> tokens{};

    void offer(float value, std::int64_t token) {
        if (!(std::fabs(value) > std::fabs(values.back())) || !std::isfinite(value))
            return;
        std::size_t place = values.size() - 1;
        for (; place > 0 && std::fabs(value) > std::fabs(values[place - 1]); --place) {
            values[place] = values[place - 1];
            tokens[place] = tokens[place - 1];
        }
        values[place] = value;
        tokens[place] = token;
    }
};

/// What one plane, or a segment of it, has to offer.
struct PlaneTop {
    std::vector<ChannelTop> channels;
    double squares = 0;
    std::int64_t count = 0;

    explicit PlaneTop(std::int64_t channelCount)
        : channels(static_cast<std::size_t>(channelCount)) {}

    void addRow(std::span<const float> row, std::int64_t token) {
        const auto sums = kernels::rowSums(row, row.data());
        squares += sums.squares;
        count += static_cast<std::int64_t>(row.size()) - sums.nonFinite;
        for (std::size_t c = 0; c < row.size(); ++c)
            channels[c].offer(row[c], token);
    }

    /// `later` holds later tokens.
    void merge(const PlaneTop& later) {
        squares += later.squares;
        count += later.count;
        for (std::size_t c = 0; c < channels.size(); ++c) {
            for (std::size_t i = 0; i < later.channels[c].values.size(); ++i)
                channels[c].offer(later.channels[c].values[i], later.channels[c].tokens[i]);
        }
    }
};

struct PlaneState {
    explicit PlaneState(std::int64_t channels)
        : top(channels) {}

    InOrder<PlaneTop> order;
    PlaneTop top;
    std::vector<float> channelMeans;
    std::size_t firstSegment = 0;
};

void collect(const ScopedPlane& plane, const PlaneTop& top, std::vector<Outlier>& found) {
    if (!(top.squares > 0))
        return;
    const double rms = std::sqrt(top.squares / static_cast<double>(top.count));
    for (std::size_t c = 0; c < top.channels.size(); ++c) {
        for (std::size_t i = 0; i < top.channels[c].values.size(); ++i) {
            const float value = top.channels[c].values[i];
            if (value != 0)
                found.push_back({plane.id, TokenIndex(top.channels[c].tokens[i]),
                                 ChannelIndex(static_cast<std::int64_t>(c)), value, std::fabs(value) / rms});
        }
    }
}

bool standsOutMore(const Outlier& a, const Outlier& b) {
    return std::tuple(-a.sigma, a.plane.layer, a.token, a.channel) <
           std::tuple(-b.sigma, b.plane.layer, b.token, b.channel);
}

Result<std::vector<Outlier>> find(const KvCache& cache, const std::vector<ScopedPlane>& planes, Quantity quantity,
                                  std::int64_t count, ThreadPool& pool, const JobControl& job) {
    const auto segments = cutSegments(planes);
    std::vector<std::unique_ptr<PlaneState>> states;
    for (const ScopedPlane& plane : planes)
        states.push_back(std::make_unique<PlaneState>(plane.channels.size()));
    for (std::size_t i = segments.size(); i-- > 0;)
        states[segments[i].plane]->firstSegment = i;
    if (quantity == Quantity::ChannelDeviation) {
        KVSCOPE_ASSIGN(const auto moments, computeChannelMoments(cache, planes, pool, job));
        for (std::size_t p = 0; p < planes.size(); ++p) {
            for (const Moments& channel : moments[p].channels())
                states[p]->channelMeans.push_back(static_cast<float>(channel.mean));
        }
    }
    KVSCOPE_TRY(forEachSegment(segments.size(), pool, job, [&](std::size_t i) -> Result<void> {
        const ScopedPlane& plane = planes[segments[i].plane];
        PlaneState& state = *states[segments[i].plane];
        const auto channels = static_cast<std::size_t>(plane.channels.size());
        PlaneTop part(plane.channels.size());
        std::vector<float> rows;
        KVSCOPE_TRY(forEachBlock(segments[i].tokens, plane.channels.size(), job, [&](TokenRange block) -> Result<void> {
            rows.resize(static_cast<std::size_t>(block.size()) * channels);
            KVSCOPE_TRY(readQuantity(cache, quantity, plane.id, block, state.channelMeans, rows));
            for (std::int64_t t = 0; t < block.size(); ++t)
                part.addRow(std::span(rows).subspan(static_cast<std::size_t>(t) * channels, channels),
                            block.begin.value + t);
            job.advance(block.size() * plane.channels.size() * sizeOf(plane.geometry->dtype));
            return {};
        }));
        state.order.deliver(i - state.firstSegment, std::move(part),
                            [&](const PlaneTop& next) { state.top.merge(next); });
        return {};
    }));
    std::vector<Outlier> found;
    for (std::size_t p = 0; p < planes.size(); ++p)
        collect(planes[p], states[p]->top, found);
    const auto kept = std::min(found.size(), static_cast<std::size_t>(count));
    std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(kept), found.end(), standsOutMore);
    found.resize(kept);
    return found;
}

} // namespace

Result<std::vector<Outlier>> findOutliers(const KvCache& cache, PlaneKind kind, Quantity quantity, std::int64_t count,
                                          ThreadPool& pool, const JobControl& job, SequenceIndex sequence) {
    if (count < 1)
        return fail("there is no list of " + std::to_string(count) + " outliers", {}, "Ask for 1 or more.");
    StatisticsScope scope;
    scope.kind = kind;
    scope.sequence = sequence;
    KVSCOPE_ASSIGN(auto planes, resolveScope(cache, scope));
    std::erase_if(planes, [&](const ScopedPlane& plane) { return !isAvailable(cache, quantity, plane.id); });
    if (planes.empty())
        return fail(std::string(nameOf(quantity)) + " cannot be had for " + std::string(nameOf(kind)),
                    cache.info().name, "Choose another quantity.");
    if (job.progress != nullptr)
        job.progress->start((quantity == Quantity::ChannelDeviation ? 2 : 1) * bytesOf(planes));
    return withinMemory([&] { return find(cache, planes, quantity, count, pool, job); });
}

Result<std::vector<float>> computeChannelMeans(const KvCache& cache, PlaneId plane, ThreadPool& pool,
                                               const JobControl& job) {
    StatisticsScope scope;
    scope.kind = plane.kind;
    scope.sequence = plane.sequence;
    scope.layers = LayerRange{plane.layer, plane.layer + 1};
    KVSCOPE_ASSIGN(const auto planes, resolveScope(cache, scope));
    if (job.progress != nullptr)
        job.progress->start(bytesOf(planes));
    return withinMemory([&]() -> Result<std::vector<float>> {
        KVSCOPE_ASSIGN(const auto moments, computeChannelMoments(cache, planes, pool, job));
        std::vector<float> means;
        for (const Moments& channel : moments.front().channels())
            means.push_back(static_cast<float>(channel.mean));
        return means;
    });
}

} // namespace kvscope
