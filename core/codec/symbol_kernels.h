// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>

/// The loops over all values of kvz chunks, compiled for every instruction set and chosen at run time (Highway). All
/// give the same bits.
namespace kvscope {

/// out[j][i] = in[i][j] for `rows` x `columns` bytes; strides in bytes.
void transposeBytes(const std::uint8_t* in, std::size_t inStride, std::size_t rows, std::size_t columns,
                    std::uint8_t* out, std::size_t outStride);

/// What the channels of a narrow plane are predicted from, as factors of the rows' numbers.
struct ModeFactors {
    /// All ones for channels that follow the row's reference.
    const std::int16_t* reference = nullptr;
    /// Weight of the row before; 0 for channels that do not follow it.
    const std::int16_t* previous = nullptr;
    /// All ones for channels that follow the anchor.
    const std::int16_t* anchor = nullptr;
};

/// Rows that a row is predicted from; null where the row has none or no channel follows it.
struct ModeRows {
    const std::int16_t* reference = nullptr;
    std::int16_t weight = 0;
    const std::int16_t* previous = nullptr;
    const std::int16_t* anchor = nullptr;
};

/// numbers[c] = symbols[c] - 128 + prediction, modulo 2^16 (symbol_predict.h).
void restoreRow(const std::uint8_t* symbols, const ModeFactors& factors, const ModeRows& rows, std::size_t channels,
                std::int16_t* numbers);

/// values[c] = (numbers[c] + offsets[c]) * step (kvz_step.h), rounded to float32, binary16 (no larger than its largest
/// finite value) or bfloat16.
void stepsToFloat(const std::int16_t* numbers, const float* offsets, float step, std::size_t channels, float* values);
void stepsToHalf(const std::int16_t* numbers, const float* offsets, float step, std::size_t channels,
                 std::uint16_t* values);
void stepsToBfloat(const std::int16_t* numbers, const float* offsets, float step, std::size_t channels,
                   std::uint16_t* values);

/// How the channels of a chunk with trellises are put back (trellis_step.h), in quarters of a step.
struct TrellisRows {
    const float* offsets = nullptr;
    const float* steps = nullptr;
    /// All ones for channels with a trellis, 0 for the others.
    const std::int16_t* uses = nullptr;
    /// Of the channels at the row; left as those of the next.
    std::int16_t* states = nullptr;
};

/// The same for a chunk with trellises, whose rows must come one after the other.
void trellisToFloat(const std::int16_t* numbers, const TrellisRows& rows, std::size_t channels, float* values);
void trellisToHalf(const std::int16_t* numbers, const TrellisRows& rows, std::size_t channels, std::uint16_t* values);
void trellisToBfloat(const std::int16_t* numbers, const TrellisRows& rows, std::size_t channels, std::uint16_t* values);

/// words[i] = (high[i] << 8 | low[i]) rotated right by one bit.
void joinRotated(const std::uint8_t* high, const std::uint8_t* low, std::size_t count, std::uint16_t* words);

/// The inverse for words that lie anywhere, or for their differences, once rotated, from others (unless null).
void splitRotated(const std::byte* words, const std::byte* others, std::size_t count, std::uint8_t* high,
                  std::uint8_t* low);

/// Adds bit b of bytes[c] to ones[b * count + c].
void countBitsOf(const std::uint8_t* bytes, std::size_t count, std::uint8_t* ones);

} // namespace kvscope
