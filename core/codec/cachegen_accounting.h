// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/symbol_grid.h"
#include "core/kv/dtype.h"

namespace kvscope {

/// Bytes that CacheGen's released code makes of the symbols of one plane in one call: for each channel and 256 tokens a
/// stream of its binary arithmetic coder (32-bit low and high, 16-bit probabilities) and an int32 length, for each
/// channel the int16[33] cumulative frequencies of all tokens, and each token's largest magnitude in the input's dtype.
/// Past 64 bins, its 8-bit baseline: one byte a value and the magnitudes. Chunks of at most 65535 tokens.
std::int64_t cachegenReleasedBytes(const SymbolGrid& grid, DType dtype, int bins);

} // namespace kvscope
