// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/rans_table.h"

#include <array>
#include <cstddef>
#include <cstdint>

/// The tables that the coder of integers chooses from: distributions of known shape and spread, the same for every
/// reader and writer, so that a channel names its table in one small number instead of sending it.
namespace kvscope {

/// Gauss, Laplace and a heavy tail (density 1 / (1 + x^2)^2).
inline constexpr int kBankShapes = 3;
/// Standard deviations 2^((scale - kBankUnitScale) / 4).
inline constexpr int kBankScales = 33;
inline constexpr int kBankUnitScale = 12;
/// Class 0: all zeros, not coded. Class 1 + scale * kBankShapes + shape: a table.
inline constexpr int kBankClasses = 1 + kBankShapes * kBankScales;
/// Symbol of the number 0; symbols are numbers plus this.
inline constexpr int kBankZero = 128;

constexpr int bankClass(int scale, int shape) {
    return 1 + scale * kBankShapes + shape;
}

/// The class `offset` scales further, within the bank; class 0 stays.
constexpr int shiftedClass(int bankClass, int offset) {
    if (bankClass == 0)
        return 0;
    const int shape = (bankClass - 1) % kBankShapes;
    int scale = (bankClass - 1) / kBankShapes + offset;
    scale = scale < 0 ? 0 : scale >= kBankScales ? kBankScales - 1 : scale;
    return 1 + scale * kBankShapes + shape;
}

/// Immutable; made once a process.
class SymbolBank {
public:
    static const SymbolBank& get();

    [[nodiscard]] const RansTable& table(int bankClass) const { return tables_[static_cast<std::size_t>(bankClass)]; }
    /// The largest number that the class can code; the smallest is its negative. 0 for class 0.
    [[nodiscard]] int most(int bankClass) const { return most_[static_cast<std::size_t>(bankClass)]; }

    /// What a number costs in each class in units of 2^-8 bit, classes 1 and up at columns 0 and up; numbers that a
    /// class cannot code cost what an exception takes. Tables are even but for a slot here and there: numbers of a size
    /// cost the mean of both signs.
    /// Columns before the first and behind the last repeat the scales at the ends.
    static constexpr std::size_t kCostColumns = 320;
    using CostRow = std::array<std::uint32_t, kCostColumns>;
    /// The column of class 1 + `column` of size 0, from -kColumnsBefore.
    [[nodiscard]] const std::uint32_t* costColumns(int column) const {
        return costs_[0].data() + (column + kColumnsBefore);
    }
    [[nodiscard]] std::uint32_t cost(int size, int bankClass) const {
        return costs_[static_cast<std::size_t>(size)][static_cast<std::size_t>(bankClass) + (kColumnsBefore - 1)];
    }

private:
    static constexpr int kColumnsBefore = kBankShapes * kBankScales;

    SymbolBank();

    std::vector<RansTable> tables_;
    std::array<int, kBankClasses> most_{};
    alignas(64) std::array<CostRow, kBankZero> costs_{};
};

} // namespace kvscope
