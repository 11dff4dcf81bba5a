// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/symbol_layout.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace kvscope {

/// A plane of integers [tokens][channels] as planSymbols sees it.
template <class Number> struct NumberPlane {
    /// Numbers are clamped to this before they are squared and summed.
    static constexpr std::int32_t kMost = 1 << 18;

    std::size_t tokens = 0;
    std::size_t channels = 0;
    std::span<const Number> numbers;

    [[nodiscard]] const Number* row(std::size_t t) const { return numbers.data() + t * channels; }
    [[nodiscard]] static std::int32_t clamped(Number number) {
        return number < -kMost ? -kMost : number > kMost ? kMost : number;
    }
};

/// What the references of a plane save.
struct ReferenceGain {
    /// What is left of each row, in squares of its sketch.
    std::vector<std::int64_t> left;
    /// Bits (times 2^8) that the references save where rows are coded as they are.
    std::int64_t saved = 0;
};

/// Finds the earlier row that each row resembles most, as far as that saves bits, and notes it in `layout`. Nothing
/// where the references do not save more than `worth` bits (times 2^8): what a sample of the rows says is enough for
/// that, and then `layout` stays as it is.
template <class Number>
std::optional<ReferenceGain> findReferences(const NumberPlane<Number>& plane, std::int64_t worth, SymbolLayout& layout);

/// Splits the rows that are coded into groups of similar size (`left`: squares of what is left of each), largest first,
/// at multiples of 32 rows.
void groupRows(const std::vector<std::int64_t>& left, std::size_t channels, SymbolLayout& layout);

/// What the states of a further group cost, in bits.
inline constexpr std::int64_t kGroupBits = 640;

} // namespace kvscope
