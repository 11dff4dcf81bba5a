// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/pipeline.h"
#include "core/codec/symbol_layout.h"
#include "core/codec/symbol_plane.h"

#include <cstdint>

namespace kvscope {

/// Chooses references, row groups and modes for a plane, by modelled bits; in integers and single IEEE
/// operations, so that every machine chooses alike. Classes and shifts are left to the coder, which knows what remains.
SymbolLayout planSymbols(const SymbolPlane& plane, Predictor predictor);

/// Bits (times 2^8) of `count` numbers whose squares add up to `squares`, up to a constant for each number.
std::int64_t modelledBits(std::int64_t count, std::uint64_t squares);

} // namespace kvscope
