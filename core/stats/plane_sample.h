// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/plane_query.h"

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace kvscope {

/// A few tokens of a plane, evenly spaced: what is shown until the pyramid is there.
struct PlaneSample {
    /// Sample i starts at token i * stride: that token in a sample of rows, it and a few neighbours in one of sums.
    std::int64_t stride = 1;
    std::int64_t tokens = 0;
    std::int64_t heads = 0;
    std::int64_t headDim = 0;
    /// Sums per sample and head: [sample][head]; empty in a sample of rows.
    std::vector<CellSum> headSums;
    /// Sums per channel over the sampled tokens; empty in a sample of rows.
    std::vector<CellSum> channelSums;
    /// The sampled tokens, [token][channel]; empty in a sample of sums.
    std::vector<float> rows;

    /// Mean of each channel over the sampled tokens; 0 for a channel without finite values.
    [[nodiscard]] std::vector<float> channelMeans() const;
    /// Root mean square of the sampled values.
    [[nodiscard]] double rms() const;
    /// Whether a query takes a sample of rows; otherwise one of sums will do.
    static bool needsRows(const PlaneQuery& query, const PlaneGeometry& plane);
    /// Answers the token cells that are not answered yet: each by the sampled tokens under it, or the nearest before.
    void addCells(const PlaneQuery& query, const CellSink& sink, std::span<const char> answered) const;
};

/// Takes samples and keeps them: sums of all planes, rows of the planes looked at last. Thread-safe.
class SampleStore {
public:
    explicit SampleStore(KvCache cache);

    /// A sample of the plane: of rows, or of sums. ChannelDeviation is taken from the sampled means.
    Result<std::shared_ptr<const PlaneSample>> sample(PlaneId plane, Quantity quantity, bool withRows,
                                                      const JobControl& job);
    /// Forgets the samples of a quantity.
    void drop(Quantity quantity);

private:
    using Key = std::pair<Quantity, PlaneId>;

    KvCache cache_;
    std::int64_t sumTokens_;
    std::mutex mutex_;
    std::map<Key, std::shared_ptr<const PlaneSample>> sums_;
    std::deque<std::pair<Key, std::shared_ptr<const PlaneSample>>> rows_;
};

} // namespace kvscope
