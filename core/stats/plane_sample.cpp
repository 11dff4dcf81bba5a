// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/plane_sample.h"

#include "core/stats/merge_cells.h"
#include "core/stats/reduce_block.h"

#include <algorithm>
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

std::shared_ptr<PlaneSample> emptySample(const PlaneGeometry& plane, std::int64_t stride) {
    auto sample = std::make_shared<PlaneSample>();
    sample->stride = stride;
    sample->tokens = (plane.tokens + stride - 1) / stride;
    sample->heads = plane.heads;
    sample->headDim = plane.headDim;
    return sample;
}

/// One token every `stride`, with its values.
Result<std::shared_ptr<PlaneSample>> takeRows(const KvCache& cache, PlaneId id, Quantity quantity,
                                              std::span<const float> channelMeans, std::int64_t stride,
                                              const JobControl& job) {
    const PlaneGeometry& plane = *cache.geometry().find(id);
    const auto channels = static_cast<std::size_t>(plane.channels());
    auto sample = emptySample(plane, stride);
    sample->rows.resize(static_cast<std::size_t>(sample->tokens) * channels);
    if (stride == 1) {
        KVSCOPE_TRY(readQuantity(cache, quantity, id, tokenRange(0, plane.tokens), channelMeans, sample->rows));
        return sample;
    }
    for (std::int64_t i = 0; i < sample->tokens; ++i) {
        if (job.stopRequested())
            return cancelled();
        KVSCOPE_TRY(readQuantity(cache, quantity, id, tokenRange(i * stride, i * stride + 1), channelMeans,
                                 std::span(sample->rows).subspan(static_cast<std::size_t>(i) * channels, channels)));
    }
    return sample;
}

/// Up to kHeadTokens neighbouring tokens every `stride` (a multiple of that), summed per head and per channel in blocks
/// as the pyramid does.
Result<std::shared_ptr<PlaneSample>> takeSums(const KvCache& cache, PlaneId id, Quantity quantity,
                                              std::span<const float> channelMeans, std::int64_t stride,
                                              const JobControl& job) {
    constexpr auto kTogether = static_cast<std::int64_t>(kHeadTokens);
    const PlaneGeometry& plane = *cache.geometry().find(id);
    const auto channels = static_cast<std::size_t>(plane.channels());
    const bool native = quantity == Quantity::Value && BlockReducer::takes(plane.dtype) && cache.nativeIsExact(id);
    const DType type = native ? plane.dtype : DType::F32;
    const auto rowBytes = channels * static_cast<std::size_t>(sizeOf(type));
    auto sample = emptySample(plane, stride);
    const auto heads = static_cast<std::size_t>(plane.heads);
    sample->headSums.resize(static_cast<std::size_t>(sample->tokens) * heads);
    sample->channelSums.resize(channels);
    std::vector<float> block(kBlockTokens * channels);
    const auto bytes = std::as_writable_bytes(std::span(block));
    BlockReducer reducer(heads, static_cast<std::size_t>(plane.headDim));
    CellSums blockChannels(channels);
    CellSums blockHeads(heads * kBlockHeadCells);
    CellSums allChannels(channels);
    const auto cellOf = [](CellSumsView sums, std::size_t cell) {
        return CellSum{sums.sum[cell], sums.squares[cell], static_cast<std::int64_t>(sums.count[cell]),
                       sums.min[cell], sums.max[cell],     sums.nonFinite[cell] > 0};
    };
    for (std::int64_t first = 0; first < sample->tokens; first += static_cast<std::int64_t>(kBlockHeadCells)) {
        if (job.stopRequested())
            return cancelled();
        const std::int64_t last = std::min(first + static_cast<std::int64_t>(kBlockHeadCells), sample->tokens);
        std::size_t rows = 0;
        for (std::int64_t i = first; i < last; ++i) {
            const TokenRange tokens = tokenRange(i * stride, std::min(i * stride + kTogether, plane.tokens));
            const auto count = static_cast<std::size_t>(tokens.size());
            if (native)
                KVSCOPE_TRY(cache.readNative(id, tokens, bytes.subspan(rows * rowBytes, count * rowBytes)));
            else
                KVSCOPE_TRY(readQuantity(cache, quantity, id, tokens, channelMeans,
                                         std::span(block).subspan(rows * channels, count * channels)));
            rows += count;
        }
        reducer.reduce(StoredRows::packed(type, bytes.data(), rows, heads, static_cast<std::size_t>(plane.headDim)),
                       blockChannels.view(), blockHeads.view());
        mergeCells(allChannels.view(), blockChannels.view(), channels);
        for (std::int64_t i = first; i < last; ++i) {
            for (std::size_t head = 0; head < heads; ++head)
                sample->headSums[static_cast<std::size_t>(i) * heads + head] =
                    cellOf(blockHeads.view(), head * kBlockHeadCells + static_cast<std::size_t>(i - first));
        }
    }
    for (std::size_t channel = 0; channel < channels; ++channel)
        sample->channelSums[channel] = cellOf(allChannels.view(), channel);
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

bool PlaneSample::needsRows(const PlaneQuery& query, const PlaneGeometry& plane) {
    const bool wholePlane = query.firstCell == 0 && query.tokenCells == 1 && query.tokenStep >= plane.tokens;
    return !wholePlane && !areWholeHeads(query, plane.headDim);
}

void PlaneSample::addCells(const PlaneQuery& query, const CellSink& sink, std::span<const char> answered) const {
    const bool byHead = areWholeHeads(query, headDim);
    const std::int64_t channels = heads * headDim;
    const std::int64_t groups = query.groups();
    if (rows.empty() && !byHead) {
        for (std::int64_t group = 0; group < groups && answered[0] == 0; ++group) {
            const std::int64_t begin = query.channelBegin + group * query.groupChannels;
            const std::int64_t stop = std::min(begin + query.groupChannels, query.channelEnd);
            for (std::int64_t channel = begin; channel < stop; ++channel)
                sink.at(0, group).merge(channelSums[static_cast<std::size_t>(channel)]);
        }
        return;
    }
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
        const auto kept =
            std::find_if(rows_.begin(), rows_.end(), [&](const auto& entry) { return entry.first == key; });
        if (withRows && kept != rows_.end())
            return kept->second;
        if (const auto found = sums_.find(key); !withRows && found != sums_.end())
            return found->second;
    }
    std::vector<float> means;
    if (quantity == Quantity::ChannelDeviation) {
        KVSCOPE_ASSIGN(const auto values, sample(plane, Quantity::Value, false, job));
        means = values->channelMeans();
    }
    const PlaneGeometry& geometry = *cache_.geometry().find(plane);
    if (!withRows) {
        const std::int64_t stride = std::max(strideFor(geometry, sumTokens_), static_cast<std::int64_t>(kHeadTokens));
        KVSCOPE_ASSIGN(auto taken, takeSums(cache_, plane, quantity, means, stride, job));
        const std::lock_guard lock(mutex_);
        return sums_[key] = std::move(taken);
    }
    KVSCOPE_ASSIGN(auto taken, takeRows(cache_, plane, quantity, means, strideFor(geometry, kRowTokens), job));
    const std::lock_guard lock(mutex_);
    rows_.emplace_back(key, taken);
    if (rows_.size() > kRowPlanes)
        rows_.pop_front();
    return taken;
}

void SampleStore::drop(Quantity quantity) {
    const std::lock_guard lock(mutex_);
    std::erase_if(sums_, [&](const auto& entry) { return entry.first.first == quantity; });
    std::erase_if(rows_, [&](const auto& entry) { return entry.first.first == quantity; });
}

} // namespace kvscope
