// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/symbol_grid.h"

namespace kvscope {

/// Canonical Huffman code of the whole grid, at most 24 bits a letter. Tables: varints of the first letter that occurs
/// and of how many follow up to the last, then 5 bits of code length for each (0: does not occur), least significant
/// bit first. A single letter takes no payload. Payload: a block; codes with their first bit first.
Result<void> huffmanEncode(const SymbolGrid& grid, CodeSink& sink);

/// Fills the symbols of a grid whose shape and alphabet are set. Trusts nothing; symbols stay within 16 bits.
Result<void> huffmanDecode(CodeSource& source, SymbolGrid& grid);

} // namespace kvscope
