// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/quantised.h"

namespace kvscope {

/// Each token has the least power of two that brings its largest magnitude into the range of the format; symbols are
/// the bits of the rounded quotient. Error: 2^-4 (e4m3) or 2^-3 (e5m2) of the value, or half the smallest step of the
/// format (2^-10 or 2^-17) times the scale, whichever is larger.
Quantised quantise(const Float8& float8, const SourceRows& rows, const PlaneCalibration& calibration);

/// The grids of a chunk without their symbols; reads what they depend on from the front of the scales.
Result<std::vector<SymbolGrid>> readGrids(const Float8& float8, const ChunkShape& shape, QuantisedSource& source);
Result<void> dequantise(const Float8& float8, std::span<const SymbolGrid> grids, QuantisedSource& source,
                        const TargetRows& rows);

} // namespace kvscope
