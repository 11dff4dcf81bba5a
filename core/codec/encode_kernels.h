// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/symbol_kernels.h"
#include "core/kv/dtype.h"

#include <cstddef>
#include <cstdint>

/// The loops over all values when a chunk is encoded, compiled for every instruction set and chosen at run time. All
/// give the same bits.
namespace kvscope {

/// Adds rows of values [rows][channels] of type F32, F16 or BF16 to sums[c], one row after the other; whether every
/// magnitude is at most `most`, which NaN is not.
bool addRows(DType type, const std::byte* values, std::size_t rows, std::size_t channels, float most, float* sums);

/// numbers[c] = stepsOf(values[c], inverse, offsets[c]) for values of type F32, F16 or BF16; whether all are within
/// +-kMostNarrow, without which the numbers mean nothing.
bool stepsRow(DType type, const std::byte* values, const float* offsets, float inverse, std::size_t channels,
              std::int16_t* numbers);

/// symbols[c] = 128 + what the prediction leaves of numbers[c], clamped to +-127; whether none had to be clamped.
bool symbolsOfRow(const std::int16_t* numbers, const ModeFactors& factors, const ModeRows& rows, std::size_t channels,
                  std::uint8_t* symbols);

/// Differences beyond this count as this much in sums of squares.
inline constexpr std::int16_t kMostInNarrowMoments = 2047;

/// Sums over some rows, one for each channel: squares of the numbers, of the numbers before, of the differences from
/// the anchor and from the weighted reference, and products with the numbers before.
struct MomentSums {
    std::int32_t* own = nullptr;
    std::int32_t* lagged = nullptr;
    std::int32_t* product = nullptr;
    std::int32_t* anchor = nullptr;
    std::int32_t* reference = nullptr;
};
/// Rows that fit into MomentSums.
inline constexpr int kMomentRows = 256;

/// Adds a row. A null row before counts as nothing; without an anchor or a reference the number itself counts, and with
/// sums.reference null references are left out.
void addMoments(const std::int16_t* numbers, const ModeRows& rows, std::size_t channels, const MomentSums& sums);

/// Rows of a plane that planeMoments() takes at a time, whole groups of anchors, unless all that is left are
/// kMomentRows or less.
inline constexpr int kPlaneMomentRows = 250;

/// What `rows` consecutive rows add to `own`, `product` and `anchor` of MomentSums (lagged and reference are left
/// alone), set rather than added; the first row is an anchor. `before`: the row before, or null.
void planeMoments(const std::int16_t* numbers, int rows, std::size_t channels, const std::int16_t* before,
                  const MomentSums& sums);

} // namespace kvscope
