// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/raw_cells.h"

namespace kvscope {

namespace {

/// Values of one read; keeps the buffer within the second-level cache.
constexpr std::int64_t kBlockValues = std::int64_t{1} << 17;

/// Calls visit(token, row) for every row of [begin, end), read in blocks.
template <class Visit>
Result<void> forEachRow(const KvCache& cache, Quantity quantity, PlaneId plane, std::int64_t begin, std::int64_t end,
                        std::span<const float> channelMeans, const JobControl& job, Visit visit) {
    const std::int64_t channels = cache.geometry().find(plane)->channels();
    const std::int64_t blockTokens =
        std::clamp<std::int64_t>(kBlockValues / channels, 1, std::max<std::int64_t>(end - begin, 1));
    std::vector<float> values(static_cast<std::size_t>(blockTokens * channels));
    for (std::int64_t first = begin; first < end; first += blockTokens) {
        if (job.stopRequested())
            return cancelled();
        const std::int64_t last = std::min(first + blockTokens, end);
        const auto block = std::span(values).first(static_cast<std::size_t>((last - first) * channels));
        KVSCOPE_TRY(readQuantity(cache, quantity, plane, tokenRange(first, last), channelMeans, block));
        for (std::int64_t token = first; token < last; ++token)
            visit(token, block.subspan(static_cast<std::size_t>((token - first) * channels),
                                       static_cast<std::size_t>(channels)));
    }
    return {};
}

} // namespace

Result<void> addRawCells(const KvCache& cache, const PlaneQuery& query, std::span<const float> channelMeans,
                         const CellSink& sink, const JobControl& job) {
    const std::int64_t tokens = cache.geometry().find(query.plane)->tokens;
    const std::int64_t begin = std::min(query.firstCell * query.tokenStep, tokens);
    const std::int64_t end = std::min((query.firstCell + query.tokenCells) * query.tokenStep, tokens);
    const std::int64_t groups = query.groups();
    return forEachRow(cache, query.quantity, query.plane, begin, end, channelMeans, job,
                      [&](std::int64_t token, std::span<const float> row) {
                          const std::int64_t cell = token / query.tokenStep - query.firstCell;
                          for (std::int64_t group = 0; group < groups; ++group) {
                              const std::int64_t first = query.channelBegin + group * query.groupChannels;
                              const std::int64_t last = std::min(first + query.groupChannels, query.channelEnd);
                              CellSum& sum = sink.at(cell, group);
                              for (std::int64_t channel = first; channel < last; ++channel)
                                  sum.add(row[static_cast<std::size_t>(channel)]);
                          }
                      });
}

Result<std::vector<float>> readChannelMeans(const KvCache& cache, PlaneId plane, const JobControl& job) {
    const PlaneGeometry& geometry = *cache.geometry().find(plane);
    std::vector<CellSum> sums(static_cast<std::size_t>(geometry.channels()));
    KVSCOPE_TRY(forEachRow(cache, Quantity::Value, plane, 0, geometry.tokens, {}, job,
                           [&](std::int64_t, std::span<const float> row) {
                               for (std::size_t channel = 0; channel < row.size(); ++channel)
                                   sums[channel].add(row[channel]);
                           }));
    std::vector<float> means;
    means.reserve(sums.size());
    for (const CellSum& sum : sums)
        means.push_back(sum.count > 0 ? static_cast<float>(sum.sum / static_cast<double>(sum.count)) : 0.0F);
    return means;
}

} // namespace kvscope
