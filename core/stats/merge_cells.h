// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/cell_sums.h"

#include <cstddef>

namespace kvscope {

/// target[i] gains source[i].
void mergeCells(CellSumsView target, CellSumsView source, std::size_t cells);

/// target[i] gains source[i], which saw `count` values.
void mergeBlock(CellSumsView target, BlockSums source, std::size_t cells, std::size_t count);

/// target[i] gains source[i * run] ... source[i * run + run - 1].
void mergeRuns(CellSumsView target, CellSumsView source, std::size_t cells, std::size_t run);

} // namespace kvscope
