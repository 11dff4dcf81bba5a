// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/pipeline.h"
#include "core/codec/symbol_layout.h"
#include "core/codec/symbol_plane.h"

#include <cstdint>
#include <vector>

namespace kvscope {

/// How a plane is to be coded.
struct SymbolPlan {
    SymbolLayout layout;
    /// Sums of squares of each channel's numbers, large ones clamped; only for Predictor::Best, as what follows.
    std::vector<double> squares;
    /// What the modes leave of the rows of each group: sums of squares of each channel, and how many rows there are.
    struct Left {
        std::vector<double> squares;
        std::int64_t rows = 0;
    };
    std::vector<Left> left;
};

/// Chooses references, row groups and modes for a plane, by modelled bits; in integers and single IEEE
/// operations, so that every machine chooses alike. Classes and shifts are left to the coder, which knows what remains.
SymbolPlan planSymbols(const SymbolPlane& plane, Predictor predictor);

/// Bits (times 2^8) of `count` numbers whose squares add up to `squares`, up to a constant for each number.
std::int64_t modelledBits(std::int64_t count, std::uint64_t squares);

} // namespace kvscope
