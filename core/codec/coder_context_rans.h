// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/symbol_grid.h"

namespace kvscope {

/// rANS (32-bit state, 16-bit words, 12-bit frequencies) whose table depends on the class of the channel's symbol at
/// the token before; the first token has a table of its own. Classes cut the letters into at most 16 stretches of about
/// equal weight. Of symbols past 10 bits the low bits are packed behind. Tables: a block of bits in Elias gamma code;
/// payload: a block of the final state and the words, and the packed bits.
Result<void> contextRansEncode(const SymbolGrid& grid, CodeSink& sink);

/// Fills the symbols of a grid whose shape and alphabet are set. Trusts nothing; symbols stay within 16 bits.
Result<void> contextRansDecode(CodeSource& source, SymbolGrid& grid);

} // namespace kvscope
