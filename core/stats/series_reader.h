// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/scope.h"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace kvscope {

/// The three sets of values that statistics compare.
enum Series : std::size_t { kValueSeries, kDeltaPreviousSeries, kDeltaAnchorSeries, kSeriesCount };

/// One block of a plane: its values and their deltas (float32 differences) as rows [n][channels]; tokens without a
/// reference have no delta.
struct SeriesBlock {
    std::array<std::span<const float>, kSeriesCount> rows;
    /// Bits of the values; empty unless asked for.
    std::span<const std::uint16_t> halfBits;
};

/// Reads blocks of a plane once and derives the deltas from what it read (a block is read with its references).
class SeriesReader {
public:
    /// `halfBits` needs a plane whose RowReader has them.
    SeriesReader(const KvCache& cache, const ScopedPlane& plane, bool deltas, bool halfBits);

    /// A block of the plane's tokens; valid until the next read.
    Result<SeriesBlock> read(TokenRange tokens);

private:
    const ScopedPlane& plane_;
    RowReader reader_;
    bool deltas_;
    bool halfBits_;
    std::vector<float> previous_;
    std::vector<float> anchor_;
};

} // namespace kvscope
