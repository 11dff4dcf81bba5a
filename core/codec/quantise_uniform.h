// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/quantised.h"

namespace kvscope {

/// n-bit quantisation of groups along an axis. Scales (and zero points) take 16 bits up to 8-bit symbols and 32 bits
/// above, rounded to nearest as published code does. Error: at most half a scale, and for the values at a group's ends
/// what that rounding cut off: 2^-11 of the group's range (2^-8 for bfloat16, nothing for 32 bits).
Quantised quantise(const Uniform& uniform, const SourceRows& rows, const PlaneCalibration& calibration);

/// The grids of a chunk without their symbols; reads what they depend on from the front of the scales.
Result<std::vector<SymbolGrid>> readGrids(const Uniform& uniform, const ChunkShape& shape, QuantisedSource& source);
Result<void> dequantise(const Uniform& uniform, std::span<const SymbolGrid> grids, QuantisedSource& source,
                        const TargetRows& rows);

} // namespace kvscope
