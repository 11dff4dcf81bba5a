// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace kvscope {

/// How the rows of a chunk are related: rows that equal an earlier one are not coded, rows that are like an earlier one
/// are coded as differences.
struct RowRelations {
    std::vector<std::uint32_t> twins;
    std::vector<std::uint32_t> likes;

    /// Rows that are coded as they are (false) or as differences (true).
    [[nodiscard]] std::vector<std::uint32_t> rows(bool differences) const {
        std::vector<std::uint32_t> chosen;
        for (std::size_t t = 0; t < twins.size(); ++t) {
            if (twins[t] == t && (likes[t] != t) == differences)
                chosen.push_back(static_cast<std::uint32_t>(t));
        }
        return chosen;
    }
};

/// For every row of stored values the earlier one that it equals, or itself.
std::vector<std::uint32_t> findTwins(std::span<const std::byte> native, std::size_t tokens);

/// For every row that equals no other the earlier one that shares most of its leading bytes, as far as these are many;
/// else itself. `rotate`: the sign goes from the top of a value to its bottom first.
std::vector<std::uint32_t> findLikes(std::span<const std::byte> native, std::size_t valueBytes, bool rotate,
                                     const std::vector<std::uint32_t>& twins);

/// Whether any row is related to another.
bool anyOther(const std::vector<std::uint32_t>& relation);

/// Appends the relations; whole bytes.
void putRelations(const RowRelations& relations, std::vector<std::byte>& out);

struct ReadRelations {
    RowRelations relations;
    std::size_t bytes = 0;
};

/// Reads the relations of `tokens` rows from the front of the bytes. Fails when a row is related to a later one.
Result<ReadRelations> getRelations(std::span<const std::byte> bytes, std::size_t tokens);

} // namespace kvscope
