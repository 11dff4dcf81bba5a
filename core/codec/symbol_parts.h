// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/symbol_layout.h"

#include <cstddef>
#include <cstdint>
#include <vector>

/// What encoder and decoder of planes share.
namespace kvscope {

/// First byte of an encoded plane.
enum class SymbolForm : std::uint8_t { Packed = 1, Coded = 2 };

/// A number beyond what its table can code: the table codes the nearest that it can.
struct SymbolException {
    /// token * channels + channel.
    std::uint64_t place = 0;
    std::uint32_t excess = 0;
};

/// Rows of a group: which they are, and where they lie among the coded rows.
struct RowGroup {
    std::vector<std::uint32_t> rows;
    std::size_t first = 0;
};

std::vector<RowGroup> rowGroups(const SymbolLayout& layout);

/// How many rows are coded.
inline std::size_t codedRows(const std::vector<RowGroup>& groups) {
    return groups.back().first + groups.back().rows.size();
}

} // namespace kvscope
