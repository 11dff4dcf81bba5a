// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/quantised.h"

namespace kvscope {

/// Groups of 2^bits letters with zero point and scale, both in 16 bits and rounded to nearest: V along the channels of
/// a token, all other kinds along the tokens of a channel. Tokens among the last `residual` of the plane (as it is when
/// the chunk is encoded) are kept in 16 bits. Error: half a scale, what the rounding of scale and zero point moves
/// (2^-11 of range and smallest value; 2^-8 for bfloat16), and the rounding to 16 bits for the tokens kept.
Quantised quantise(const Kivi& kivi, const SourceRows& rows, const PlaneCalibration& calibration);

/// The grids of a chunk without their symbols; reads what they depend on from the front of the scales.
Result<std::vector<SymbolGrid>> readGrids(const Kivi& kivi, const ChunkShape& shape, QuantisedSource& source);
Result<void> dequantise(const Kivi& kivi, std::span<const SymbolGrid> grids, QuantisedSource& source,
                        const TargetRows& rows);

} // namespace kvscope
