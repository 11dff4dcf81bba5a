// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/trellis_step.h"
#include "core/kv/dtype.h"

#include <cstddef>
#include <cstdint>

/// The search for the best walks through the trellises of a chunk (trellis_step.h), compiled for every instruction set
/// and chosen at run time. All give the same numbers.
namespace kvscope {

/// Values are measured in so many parts of a trellis' step.
inline constexpr int kTrellisParts = 64;
/// The search holds values of up to so many steps from their channel's offset, and offsets of up to so many steps.
inline constexpr double kMostTrellisSteps = 480;
inline constexpr double kMostTrellisOffset = 0x1p15;
/// No value is pulled towards its channel's offset by more parts than this.
inline constexpr int kMostTrellisPull = kTrellisParts / 4;

/// Adding this to a number of parts leaves the nearest integer in the low bits, from where set 0 of points begins:
/// those of state 0 lie kTrellisShift below whole numbers.
inline constexpr float kTrellisRounder = 0x1.8p23F + kTrellisShift * kTrellisParts;

/// How the values of each channel are measured; all 0 for channels without a trellis.
struct TrellisMeasure {
    /// kTrellisParts / step.
    const float* factors = nullptr;
    /// kTrellisRounder less the channel's offset in parts.
    const float* rounders = nullptr;
    /// The share of its distance from the offset by which a value is pulled towards it, times 2^15: small numbers cost
    /// less.
    const std::int16_t* pulls = nullptr;
    /// All ones for channels with a trellis.
    const std::int16_t* uses = nullptr;
};

/// Sets the numbers [row][channel] of the channels with a trellis to those whose points are nearest to the values
/// (F32, F16 or BF16), by squared error over all rows of a channel, as far as a quarter of kTrellisParts tell
/// (Viterbi's algorithm). Values must be within kMostTrellisSteps.
void searchTrellises(DType type, const std::byte* values, std::size_t rows, std::size_t channels,
                     const TrellisMeasure& measure, std::int16_t* numbers);

} // namespace kvscope
