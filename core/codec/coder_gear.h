// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/gear_fields.h"

namespace kvscope {

/// Gears and mantissas of stored values, zstd on each.
Result<void> gearEncode(DType type, std::span<const std::byte> words, int level, CodeSink& sink);
Result<void> gearDecode(DType type, CodeSource& source, std::span<std::byte> words);

/// Symbols of up to 16 bits: high bytes apart from low bytes, zstd on each.
Result<void> gearEncodeSymbols(const SymbolGrid& grid, int level, CodeSink& sink);
Result<void> gearDecodeSymbols(CodeSource& source, SymbolGrid& grid);

} // namespace kvscope
