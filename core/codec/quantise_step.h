// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/quantised.h"

namespace kvscope {

/// For coders other than Kvz: multiples of step * centredRms (of the largest magnitude / 32767 where that is zero).
/// Multiples beyond +-32767 are kept exactly. Error: at most half a step.
Quantised quantise(const Step& step, const SourceRows& rows, const PlaneCalibration& calibration);

/// The grids of a chunk without their symbols; reads what they depend on from the front of the scales.
Result<std::vector<SymbolGrid>> readGrids(const Step& step, const ChunkShape& shape, QuantisedSource& source);
Result<void> dequantise(const Step& step, std::span<const SymbolGrid> grids, QuantisedSource& source,
                        const TargetRows& rows);

} // namespace kvscope
