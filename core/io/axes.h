// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/io/tensor_table.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kvscope {

/// One axis of a tensor, with its meaning: a letter as in OpenOptions::axes.
struct TensorAxis {
    char letter = '?';
    std::int64_t size = 1;
    /// In elements.
    std::int64_t stride = 0;
};

/// A tensor's axes under one reading of its shape.
struct AxisReading {
    std::vector<TensorAxis> axes;

    /// The axis, or null when this reading has none of that letter.
    [[nodiscard]] const TensorAxis* find(char letter) const;
    /// Size along the letter; 1 where there is no such axis.
    [[nodiscard]] std::int64_t size(char letter) const;
    /// Stride along the letter; 0 where there is no such axis.
    [[nodiscard]] std::int64_t stride(char letter) const;
};

/// Whether the letters make sense as axes: each of SLXHTDC at most once, T there, and either D (with or without H) or
/// C. The error says which rule they break.
Result<void> checkAxisLetters(std::string_view letters);

/// Matches letters with the axes of a tensor, outermost first. One letter more than there are axes is allowed where X
/// stands before D or C: then one stored axis holds K's half and V's half ("THXD" reads [T, H, 2D], "TXC" [T, 2C]).
Result<AxisReading> readAxes(const StoredTensor& tensor, std::string_view letters);

/// "LXHTD" in words: "[layer, K/V, head, token, dim]".
std::string describeAxes(std::string_view letters);

} // namespace kvscope
