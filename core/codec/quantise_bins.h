// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/quantised.h"

namespace kvscope {

/// CacheGen's released quantiser: one grid of 2 * (bins / 2 - 1) + 1 letters, and each token's largest magnitude in the
/// plane's dtype (where rows were transformed or clipped: rounded up to 16 bits, or to float32 for float32 planes). A
/// row of zeros, where the released code divides by zero, gets the middle symbol and comes back as zeros. Error: at
/// most half a step, largest / (bins / 2 - 1) / 2.
Quantised quantise(const MaxAbsBins& bins, const SourceRows& rows, const PlaneCalibration& calibration);

/// The grids of a chunk without their symbols; reads what they depend on from the front of the scales.
Result<std::vector<SymbolGrid>> readGrids(const MaxAbsBins& bins, const ChunkShape& shape, QuantisedSource& source);
Result<void> dequantise(const MaxAbsBins& bins, std::span<const SymbolGrid> grids, QuantisedSource& source,
                        const TargetRows& rows);

} // namespace kvscope
