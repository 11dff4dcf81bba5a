// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/symbol_grid.h"

namespace kvscope {

/// Replaces each symbol by its difference to the same channel of the token before, modulo 2^grid.bits(); the first
/// token stays.
void subtractTokenBefore(SymbolGrid& grid);

/// Undoes subtractTokenBefore().
void addTokenBefore(SymbolGrid& grid);

/// The same for stored words of 1, 2, 4 or 8 bytes, `channels` a token, modulo their size.
void subtractTokenBefore(std::span<std::byte> words, std::size_t wordSize, std::size_t channels);
void addTokenBefore(std::span<std::byte> words, std::size_t wordSize, std::size_t channels);

} // namespace kvscope
