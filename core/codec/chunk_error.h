// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/encode_report.h"

#include <cstdint>
#include <span>
#include <vector>

namespace kvscope {

/// Error of decoded rows against their originals, channel by channel and token by token. Parts merge in the order of
/// their tokens.
class ChunkError {
public:
    explicit ChunkError(std::int64_t channels);

    /// Adds whole rows [tokens][channels]; both spans have the same size.
    void add(std::span<const float> original, std::span<const float> decoded);
    /// Appends the rows of a later part.
    void merge(const ChunkError& other);
    /// Fills the error fields of a report whose heads and headDim are set.
    void store(PlaneReport& report) const;

private:
    /// Sums of one channel over its finite pairs.
    struct Channel {
        std::int64_t count = 0;
        std::int64_t mismatches = 0;
        double sumAbs = 0;
        double sumSquared = 0;
        double max = 0;
        double dot = 0;
        double energy = 0;
        double changedEnergy = 0;
        double sum = 0;
        float least = 0;
        float most = 0;

        void merge(const Channel& other);
        [[nodiscard]] double centredEnergy() const;
        [[nodiscard]] TensorErrorSums sums() const;
    };

    void addRow(std::span<const float> original, std::span<const float> decoded);
    void addTokens(std::span<const float> original, std::span<const float> decoded);

    std::vector<Channel> channels_;
    std::vector<float> tokenError_;
    std::vector<float> tokenEnergy_;
};

} // namespace kvscope
