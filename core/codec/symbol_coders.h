// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/pipeline.h"
#include "core/codec/symbol_grid.h"

namespace kvscope {

/// Codes a grid with any coder. Gear takes high and low bytes apart; GearDelta does so after taking the token
/// before from each symbol (modulo the power of two that holds the alphabet); byte coders see one byte a symbol, or two
/// past 256 letters; Raw packs. A grid without symbols takes no bytes.
Result<void> encodeGrid(const Pipeline& pipeline, const SymbolGrid& grid, CodeSink& sink);

/// Fills the symbols of a grid whose shape and alphabet are set. Every symbol is checked against the alphabet.
Result<void> decodeGrid(const Pipeline& pipeline, CodeSource& source, SymbolGrid& grid);

/// Order-0 entropy of each channel's symbols, in bits, added to `channelBits` (one for each channel).
void addChannelEntropy(const SymbolGrid& grid, std::span<float> channelBits);

} // namespace kvscope
