// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/quantised.h"
#include "core/codec/scale_format.h"

namespace kvscope {

/// Which values of rows [tokens][channels] share a scale.
struct GroupLayout {
    std::int64_t tokens = 0;
    std::int64_t channels = 0;
    std::int64_t headDim = 0;
    ScaleAxis axis = ScaleAxis::Token;
    /// Values a group along the axis; 0: as many as there are.
    std::int64_t group = 0;
};

/// Values first, first + stride, ... of a chunk.
struct ValueGroup {
    std::int64_t first = 0;
    std::int64_t count = 0;
    std::int64_t stride = 1;
};

/// All groups, in the order in which their scales are stored. Token: along each token; Head: along each head of each
/// token; Channel: along each channel; Plane: one group of everything.
std::vector<ValueGroup> groupsOf(const GroupLayout& layout);

/// Quantises groups of values to `bits` each; scales (and zero points, unless symmetric) are rounded to the format.
/// Symmetric: scale = largest / (2^(bits-1) - 1); otherwise zero = smallest, scale = (most - least) / (2^bits - 1).
void quantiseGroups(const GroupLayout& layout, int bits, bool symmetric, ScaleFormat format,
                    std::span<const float> values, std::span<std::uint16_t> symbols, Bytes& scales);

Result<void> dequantiseGroups(const GroupLayout& layout, int bits, bool symmetric, ScaleFormat format,
                              std::span<const std::uint16_t> symbols, ByteReader& scales, std::span<float> values);

/// Letters of the alphabet.
constexpr std::uint32_t lettersOf(int bits, bool symmetric) {
    return symmetric ? (1U << bits) - 1 : 1U << bits;
}

} // namespace kvscope
