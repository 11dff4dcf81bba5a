// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/codec/rans_table.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace kvscope {

/// Tables that are sent, and which of them each row uses.
struct LearntTables {
    std::vector<RansTable> tables;
    /// For each row 0: stored as it is, else 1 + index of its table.
    std::vector<std::uint8_t> classes;
};

inline constexpr std::size_t kMostLearntTables = 16;

/// Bits a byte of what these are samples of.
double entropyOfSome(const RansCounts& counts);

/// Groups rows of bytes that look alike and makes a table for each group, as far as that saves more than the tables
/// take. `counts` holds 256 counts for each row. In integers, so that every machine makes the same tables.
Result<LearntTables> learnTables(std::span<const std::uint16_t> counts, std::size_t rows);

/// Appends tables and classes; whole bytes.
void writeLearntTables(const LearntTables& learnt, std::vector<std::byte>& out);

struct ReadLearntTables {
    LearntTables learnt;
    /// How many bytes they took.
    std::size_t bytes = 0;
};

/// Reads tables and the classes of `rows` rows from the front of the bytes.
Result<ReadLearntTables> readLearntTables(std::span<const std::byte> bytes, std::size_t rows);

} // namespace kvscope
