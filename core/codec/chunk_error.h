// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/encode_report.h"
#include "core/stats/moments.h"

#include <cstdint>
#include <span>
#include <vector>

namespace kvscope {

/// Error of decoded rows against their originals, by head, channel and token. Parts merge in the order of their tokens.
class ChunkError {
public:
    ChunkError(std::int64_t heads, std::int64_t headDim);

    /// Adds whole rows [tokens][heads * headDim]; both spans have the same size.
    void add(std::span<const float> original, std::span<const float> decoded);
    /// Appends the rows of a later part.
    void merge(const ChunkError& other);
    /// Fills the error fields of a report.
    void store(PlaneReport& report) const;

private:
    void addRow(std::span<const float> original, std::span<const float> decoded);
    void addChannels(std::span<const float> original, std::span<const float> decoded);

    std::size_t headDim_;
    std::vector<TensorErrorSums> heads_;
    ChannelMoments original_;
    /// Sum of e^2 of each channel.
    std::vector<double> channelError_;
    std::vector<float> tokenError_;
    std::vector<float> tokenEnergy_;
};

} // namespace kvscope
