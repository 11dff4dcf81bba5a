// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/cell_sum.h"
#include "core/stats/cell_sums.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace kvscope {

/// Bytes of an encoded group of cells: scale and checksum, then min, max, mean and standard deviation as binary16.
constexpr std::int64_t encodedBytes(std::int64_t cells) {
    return 8 + cells * 8;
}

/// Writes a group of cells as binary16, scaled by a power of two that fits the group's largest magnitude: min rounded
/// down, max rounded up, mean and standard deviation to nearest. NaN in min and max marks a cell without finite values,
/// a negative standard deviation one that saw a NaN or infinity. `out` holds encodedBytes(cells).
void encodeCells(CellSumsView sums, std::size_t cells, std::span<std::byte> out);

/// The same, to the bit, for the cells of a block that saw `count` values each.
void encodeCells(BlockSums sums, std::size_t cells, std::size_t count, std::span<std::byte> out);

/// A group of encoded cells, read in place.
class EncodedCells {
public:
    /// Nothing when the bytes do not agree with their checksum or size.
    static std::optional<EncodedCells> open(std::span<const std::byte> bytes, std::size_t cells);

    /// Cell `index` as a sum of `values` values.
    [[nodiscard]] CellSum cell(std::size_t index, std::int64_t values) const;

private:
    EncodedCells(const std::byte* halves, std::size_t cells, float unit)
        : halves_(halves)
        , cells_(cells)
        , unit_(unit) {}

    const std::byte* halves_;
    std::size_t cells_;
    /// What a stored 1 stands for.
    float unit_;
};

} // namespace kvscope
