// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/codec/raw_vector.h"
#include "core/codec/symbol_coder.h"
#include "core/codec/symbol_layout.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace kvscope {

/// A plane of integers [tokens][channels] and a number for each channel that goes with it: what was taken from its
/// integers, in a unit that the caller knows.
struct SymbolPlane {
    std::int64_t tokens = 0;
    std::int64_t channels = 0;
    /// Integers within +-2^29, in one of the two: `narrow` when all are within +-kMostNarrow.
    RawVector<std::int16_t> narrow;
    RawVector<std::int32_t> wide;
    bool isNarrow = true;
    /// Within +-2^30.
    std::vector<std::int32_t> means;
};

/// Encodes integers and means: coded, or packed where that is shorter. Fails only for want of memory.
Result<EncodedSymbols> encodePlane(const SymbolPlane& plane, const SymbolOptions& options);
/// The same with a layout that planSymbols() made, for this plane or one much like it.
Result<EncodedSymbols> encodePlane(const SymbolPlane& plane, SymbolLayout layout, const SymbolOptions& options);

/// Decodes what encodePlane made with the same terms. Trusts nothing; errors name the part that is wrong.
Result<SymbolPlane> decodePlane(std::span<const std::byte> bytes, std::int64_t tokens, std::int64_t channels,
                                const ChannelTerms& terms = {});

} // namespace kvscope
