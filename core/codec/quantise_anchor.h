// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/quantised.h"

namespace kvscope {

/// Two grids: anchors (the first token of each group, counted from the start of the chunk) with 2^anchorBits bins over
/// their largest magnitude, and the differences of the other tokens to the decoded anchor, in steps of `step` standard
/// deviations of the plane's differences. Differences beyond 127 steps are kept exactly. Error: at most half a step of
/// each.
Quantised quantise(const AnchorDelta& anchors, const SourceRows& rows, const PlaneCalibration& calibration);

/// The grids of a chunk without their symbols; reads what they depend on from the front of the scales.
Result<std::vector<SymbolGrid>> readGrids(const AnchorDelta& anchors, const ChunkShape& shape, QuantisedSource& source);
Result<void> dequantise(const AnchorDelta& anchors, std::span<const SymbolGrid> grids, QuantisedSource& source,
                        const TargetRows& rows);

} // namespace kvscope
