// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/codec/side_bytes.h"
#include "core/codec/symbol_kernels.h"
#include "core/codec/symbol_plan.h"
#include "core/codec/symbol_plane.h"
#include "core/kv/dtype.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// Trellises of kvz chunks (trellis_step.h): which channels have one, their numbers, and the way back to values.
namespace kvscope {

/// Which channels of a chunk have a trellis.
using TrellisUse = std::vector<bool>;

/// Channels to which a trellis is of use, by what rounding to whole steps made of them and how that is predicted; none
/// at all where it would not pay.
TrellisUse chooseTrellises(const SymbolPlane& plane, const SymbolPlan& plan);
/// Turns rows that are copies into rows that are predicted: walks through trellises do not repeat themselves.
void uncopy(SymbolLayout& layout);

/// Rows [token][channel] of finite values of type F32, F16 or BF16, and what is taken from each channel, in quarters of
/// a trellis' step.
struct TrellisSource {
    DType type = DType::F32;
    std::span<const std::byte> rows;
    std::span<const std::int32_t> offsets;
};

/// Puts the numbers and offsets of channels with a trellis into a plane that was rounded with `step`.
void putTrellises(const TrellisUse& uses, const SymbolPlan& plan, const TrellisSource& source, float step,
                  SymbolPlane& plane);

/// Appends which channels have a trellis.
void writeTrellisUse(const TrellisUse& uses, std::vector<std::byte>& out);
/// Reads it for so many channels; trusts nothing.
Result<TrellisUse> readTrellisUse(SideBytes& reader, std::size_t channels);

/// Puts back the values of a chunk, row by row.
class TrellisReader {
public:
    /// `offsets` are in steps of their channels; `step` is that of channels without a trellis.
    TrellisReader(const TrellisUse& uses, std::span<const float> offsets, float step);

    /// For the loops of symbol_kernels.h.
    [[nodiscard]] TrellisRows rows() { return {offsets_.data(), steps_.data(), uses_.data(), states_.data()}; }

private:
    std::vector<float> offsets_;
    std::vector<float> steps_;
    std::vector<std::int16_t> uses_;
    std::vector<std::int16_t> states_;
};

} // namespace kvscope
