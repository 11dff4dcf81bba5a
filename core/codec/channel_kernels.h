// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/channel_terms.h"

#include <cstddef>
#include <cstdint>
#include <span>

/// The loops of prediction between channels, compiled for every instruction set and chosen at run time. All give the
/// same bits. Symbols are 128 + number, [channel][row], channels `stride` bytes apart.
namespace kvscope {

/// row[i] += what the terms predict, modulo 2^8.
void addTerms(std::span<const ChannelTerm> terms, const std::uint8_t* symbols, std::size_t stride, std::size_t rows,
              std::uint8_t* row);

/// Numbers and what terms leave of them.
struct TermSquares {
    std::uint64_t before = 0;
    std::uint64_t after = 0;
    /// Whether everything that is left is within +-127.
    bool within = true;
};

/// left[i] = row[i] less what the terms predict, within +-127, and the sums of squares of both.
TermSquares takeTerms(std::span<const ChannelTerm> terms, const std::uint8_t* symbols, std::size_t stride,
                      std::size_t rows, const std::uint8_t* row, std::uint8_t* left);

/// products[j] = sum over rows of a[row] * b[j * stride + row], for `count` b's. Magnitudes up to 127, up to 65,536
/// rows.
void multiplyRows(const std::int16_t* a, const std::int16_t* b, std::size_t stride, std::size_t count, std::size_t rows,
                  std::int32_t* products);

} // namespace kvscope
