// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/quantised.h"

namespace kvscope {

/// Quantisers as the pipeline names them; each as its own header says.
Result<Quantised> quantiseRows(const Quantiser& quantiser, const SourceRows& rows, const PlaneCalibration& calibration);
Result<std::vector<SymbolGrid>> readGrids(const Quantiser& quantiser, const ChunkShape& shape, QuantisedSource& source);
Result<void> dequantiseRows(const Quantiser& quantiser, std::span<const SymbolGrid> grids, QuantisedSource& source,
                            const TargetRows& rows);

} // namespace kvscope
