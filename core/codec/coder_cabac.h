// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/symbol_grid.h"

namespace kvscope {

/// Context-adaptive binary arithmetic code: each symbol becomes up to nine binary decisions, its high bits from the
/// top, each coded with a probability that adapts to its place in the tree and to the channel's symbol at the token
/// before (or, at the first token, to the channel before). Bits below the nine are coded at one bit each. No tables.
/// Payload: a block.
Result<void> cabacEncode(const SymbolGrid& grid, CodeSink& sink);

/// Fills the symbols of a grid whose shape and alphabet are set. Trusts nothing; symbols stay within 16 bits.
Result<void> cabacDecode(CodeSource& source, SymbolGrid& grid);

} // namespace kvscope
