// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/quantised.h"

namespace kvscope {

/// Blocks of a token's values, the largest max(1, floor(topFraction * block)) of each kept exactly (in the plane's
/// dtype where rows are as stored, else float32; none where topFraction is 0) with their places in the block. The
/// others get 2^bits - 1 letters over +-scale, where scale is their largest magnitude, rounded up to 16 bits. Error: at
/// most half a step, scale / (2^(bits-1) - 1) / 2.
Quantised quantise(const BlockNorm& block, const SourceRows& rows, const PlaneCalibration& calibration);

/// The grids of a chunk without their symbols; reads what they depend on from the front of the scales.
Result<std::vector<SymbolGrid>> readGrids(const BlockNorm& block, const ChunkShape& shape, QuantisedSource& source);
Result<void> dequantise(const BlockNorm& block, std::span<const SymbolGrid> grids, QuantisedSource& source,
                        const TargetRows& rows);

} // namespace kvscope
