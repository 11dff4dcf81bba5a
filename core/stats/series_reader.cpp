// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/series_reader.h"

#include "core/stats/kernels.h"
#include "core/stats/quantity.h"

#include <algorithm>

namespace kvscope {

SeriesReader::SeriesReader(const KvCache& cache, const ScopedPlane& plane, bool deltas, bool halfBits)
    : plane_(plane)
    , reader_(cache, plane)
    , deltas_(deltas)
    , halfBits_(halfBits) {}

Result<SeriesBlock> SeriesReader::read(TokenRange tokens) {
    const std::int64_t begin = tokens.begin.value;
    const std::int64_t end = tokens.end.value;
    std::int64_t from = begin;
    if (deltas_)
        from = std::max<std::int64_t>(0, std::min(begin - 1, begin / kAnchorGroup * kAnchorGroup));
    const auto width = static_cast<std::size_t>(plane_.channels.size());
    const auto skipped = static_cast<std::size_t>(begin - from) * width;

    SeriesBlock block;
    std::span<const float> rows;
    if (halfBits_) {
        KVSCOPE_ASSIGN(const auto both, reader_.readWithBits(tokenRange(from, end)));
        rows = both.rows;
        block.halfBits = both.bits.subspan(skipped);
    } else {
        KVSCOPE_ASSIGN(rows, reader_.read(tokenRange(from, end)));
    }
    block.rows[kValueSeries] = rows.subspan(skipped);
    if (!deltas_)
        return block;

    const auto row = [&](std::int64_t token) { return rows.data() + static_cast<std::size_t>(token - from) * width; };
    const std::int64_t firstWithPrevious = std::max<std::int64_t>(1, begin);
    previous_.resize(static_cast<std::size_t>(std::max<std::int64_t>(0, end - firstWithPrevious)) * width);
    if (!previous_.empty())
        kernels::subtract(row(firstWithPrevious), row(firstWithPrevious - 1), previous_.data(), previous_.size());
    block.rows[kDeltaPreviousSeries] = previous_;

    anchor_.resize(block.rows[kValueSeries].size());
    std::size_t filled = 0;
    for (std::int64_t token = begin; token < end; ++token) {
        const std::int64_t anchor = token / kAnchorGroup * kAnchorGroup;
        if (anchor == token)
            continue;
        kernels::subtract(row(token), row(anchor), anchor_.data() + filled, width);
        filled += width;
    }
    block.rows[kDeltaAnchorSeries] = std::span<const float>(anchor_).first(filled);
    return block;
}

} // namespace kvscope
