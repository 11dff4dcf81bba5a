// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/plane_sample.h"

#include <bit>

namespace kvscope {

namespace {

/// Tokens sampled in a plane whose rows are kept, and planes kept so.
constexpr std::int64_t kRowTokens = 1024;
constexpr std::size_t kRowPlanes = 6;
/// Tokens sampled over all layers of a kind for sums alone; the bounds hold for one plane.
constexpr std::int64_t kSumTokens = 8192;
constexpr std::int64_t kFewestSumTokens = 64;
constexpr std::int64_t kMostSumTokens = 256;
/// No sample holds more values than this.
constexpr std::int64_t kMostValues = std::int64_t{1} << 23;

std::int64_t strideFor(const PlaneGeometry& plane, std::int64_t wanted) {
    const std::int64_t most = std::clamp<std::int64_t>(kMostValues / plane.channels(), 1, wanted);
    return static_cast<std::int64_t>(
        std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>((plane.tokens + most - 1) / most, 1))));
}

Result<std::shared_ptr<PlaneSample>> take(const KvCache& cache, PlaneId id, Quantity quantity,
                                          std::span<const float> channelMeans, std::int64_t stride,
                                          const JobControl& job) {
    const PlaneGeometry& plane = *cache.geometry().find(id);
    const auto channels = static_cast<std::size_t>(plane.channels());
    auto sample = std::make_shared<PlaneSample>();
    sample->stride = stride;
    sample->tokens = (plane.tokens + stride - 1) / stride;
    sample->heads = plane.heads;
    sample->headDim = plane.headDim;
    sample->rows.resize(static_cast<std::size_t>(sample->tokens) * channels);
    if (stride == 1) {
        KVSCOPE_TRY(readQuantity(cache, quantity, id, tokenRange(0, plane.tokens), channelMeans, sample->rows));
    } else {
        for (std::int64_t i = 0; i < sample->tokens; ++i) {
            if (job.stopRequested())
                return cancelled();
            KVSCOPE_TRY(
                readQuantity(cache, quantity, id, tokenRange(i * stride, i * stride + 1), channelMeans,
                             std::span(sample->rows).subspan(static_cast<std::size_t>(i) * channels, channels)));
        }
    }
    sample->headSums.resize(static_cast<std::size_t>(sample->tokens * plane.heads));
    sample->channelSums.resize(channels);
    const auto headDim = static_cast<std::size_t>(plane.headDim);
    for (std::size_t i = 0; i < sample->rows.size(); ++i) {
        sample->headSums[i / headDim].add(sample->rows[i]);
        sample->channelSums[i % channels].add(sample->rows[i]);
    }
    return sample;
}

} // namespace

std::vector<float> PlaneSample::channelMeans() const {
    std::vector<float> means;
    means.reserve(channelSums.size());
    for (const CellSum& sum : channelSums)
        means.push_back(sum.count > 0 ? static_cast<float>(sum.sum / static_cast<double>(sum.count)) : 0.0F);
    return means;
}

double PlaneSample::rms() const {
    CellSum all;
    for (const CellSum& sum : channelSums)
        all.merge(sum);
    return all.count > 0 ? std::sqrt(all.squares / static_cast<double>(all.count)) : 0.0;
}

void PlaneSample::addCells(const PlaneQuery& query, const CellSink& sink, std::span<const char> answered) const {
    const bool byHead = areWholeHeads(query, headDim);
    const std::int64_t channels = heads * headDim;
    const std::int64_t groups = query.groups();
    for (std::int64_t cell = 0; cell < query.tokenCells; ++cell) {
        const std::int64_t firstToken = (query.firstCell + cell) * query.tokenStep;
        if (answered[static_cast<std::size_t>(cell)] != 0 || firstToken >= tokens * stride)
            continue;
        const std::int64_t within = (firstToken + stride - 1) / stride;
        const std::int64_t end = std::min((firstToken + query.tokenStep + stride - 1) / stride, tokens);
        const std::int64_t first = within < end ? within : std::min(firstToken / stride, tokens - 1);
        const std::int64_t last = std::max(end, first + 1);
        for (std::int64_t token = first; token < last; ++token) {
            for (std::int64_t group = 0; group < groups; ++group) {
                const std::int64_t begin = query.channelBegin + group * query.groupChannels;
                const std::int64_t stop = std::min(begin + query.groupChannels, query.channelEnd);
                CellSum& sum = sink.at(cell, group);
                for (std::int64_t head = begin / headDim; byHead && head * headDim < stop; ++head)
                    sum.merge(headSums[static_cast<std::size_t>(token * heads + head)]);
                for (std::int64_t channel = begin; !byHead && channel < stop; ++channel)
                    sum.add(rows[static_cast<std::size_t>(token * channels + channel)]);
            }
        }
    }
}

SampleStore::SampleStore(KvCache cache)
    : cache_(std::move(cache))
    , sumTokens_(std::clamp(kSumTokens / std::max<std::int64_t>(cache_.geometry().layerCount(), 1), kFewestSumTokens,
                            kMostSumTokens)) {}

Result<std::shared_ptr<const PlaneSample>> SampleStore::sample(PlaneId plane, Quantity quantity, bool withRows,
                                                               const JobControl& job) {
    const Key key{quantity, plane};
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [kept, sample] : rows_) {
            if (kept == key)
                return sample;
        }
        if (const auto found = sums_.find(key); !withRows && found != sums_.end())
            return found->second;
    }
    std::vector<float> means;
    if (quantity == Quantity::ChannelDeviation) {
        KVSCOPE_ASSIGN(const auto values, sample(plane, Quantity::Value, withRows, job));
        means = values->channelMeans();
    }
    const PlaneGeometry& geometry = *cache_.geometry().find(plane);
    const std::int64_t stride = strideFor(geometry, withRows ? kRowTokens : sumTokens_);
    KVSCOPE_ASSIGN(auto taken, take(cache_, plane, quantity, means, stride, job));
    if (!withRows)
        taken->rows = std::vector<float>();
    const std::lock_guard lock(mutex_);
    if (!withRows)
        return sums_[key] = std::move(taken);
    rows_.emplace_back(key, std::move(taken));
    const auto result = rows_.back().second;
    if (rows_.size() > kRowPlanes)
        rows_.pop_front();
    return result;
}

void SampleStore::drop(Quantity quantity) {
    const std::lock_guard lock(mutex_);
    std::erase_if(sums_, [&](const auto& entry) { return entry.first.first == quantity; });
    std::erase_if(rows_, [&](const auto& entry) { return entry.first.first == quantity; });
}

} // namespace kvscope
