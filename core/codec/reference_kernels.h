// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>

/// The loops that compare the rows of a chunk with each other, compiled for every instruction set and chosen at run
/// time. All give the same bits.
namespace kvscope {

/// Numbers of a row that take part.
inline constexpr std::size_t kSketchWidth = 64;
/// Cells of a sketch are within +- this.
inline constexpr int kMostCell = 127;

/// sizes[i] += |numbers[t][i]| for rows of kSketchWidth numbers within +-2^18.
void addSizes(const std::int32_t* numbers, std::size_t rows, std::int64_t* sizes);

/// cells[i] = numbers[i] * factors[i] / 256, rounded down, within +-kMostCell, for i < kSketchWidth; products fit 32
/// bits. Returns the sum of their squares.
std::int32_t sketchRow(const std::int32_t* numbers, const std::int32_t* factors, std::int16_t* cells);

/// sums[u] = sum over k of pairs[k][u][0] * a[2 k] + pairs[k][u][1] * a[2 k + 1] for u < count; pairs[k] has `stride` /
/// 2 places of two numbers. Reads and writes up to kProductSlack places more.
void pairProducts(const std::int16_t* a, std::size_t pairCount, const std::int16_t* pairs, std::size_t stride,
                  std::size_t count, std::int32_t* sums);
inline constexpr std::size_t kProductSlack = 64;

/// scores[u] = max(products[u], 0)^2 * shares[u] in float32; the largest of them and 0.
float scoreProducts(const std::int32_t* products, const float* shares, std::size_t count, float* scores);

/// same[u] = how many bytes of row u equal those of the row at `row`; rows have kLikenessWidth bytes.
inline constexpr std::size_t kLikenessWidth = 64;
void countSame(const std::uint8_t* row, const std::uint8_t* rows, std::size_t count, std::uint8_t* same);

} // namespace kvscope
