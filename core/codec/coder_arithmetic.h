// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/symbol_grid.h"

namespace kvscope {

/// Arithmetic code (32-bit range, carries propagated) with one static table for each channel, channel after channel in
/// one stream. Tables: a block of bits; for each channel the first letter that occurs and how many follow up to the
/// last, then the count of each but the last, all in Elias gamma code of the number plus one; counts add up to the
/// tokens. At most 2^20 tokens.
Result<void> arithmeticEncode(const SymbolGrid& grid, CodeSink& sink);

/// Fills the symbols of a grid whose shape and alphabet are set. Trusts nothing; symbols stay within 16 bits.
Result<void> arithmeticDecode(CodeSource& source, SymbolGrid& grid);

} // namespace kvscope
