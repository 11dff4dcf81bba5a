// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/rans_step.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace kvscope {

/// A table of at most 64 symbols laid out for permutations of registers, which take the place of memory lookups when
/// decoding (on some processors a gather takes longer than all the rest). Symbols are known by rank: their order by
/// slot, begun at one whose rare neighbours all fall in the first 128 slots. Those are looked up one by one, the
/// others by 32-slot buckets, whose first symbol is right or at most three short.
///
/// An *exact* table looks up the first 512 slots by fours and is never short: symbols that begin there begin at
/// multiples of 4, others at multiples of 32. normaliseForRegisters() makes such tables.
struct RansRegisterTable {
    static constexpr std::size_t kMostSymbols = 64;
    static constexpr std::uint32_t kDirectEntries = 128;
    static constexpr std::uint32_t kBucketSlots = 32;
    /// Slots of an entry of an exact table.
    static constexpr std::uint32_t kExactSlots = 4;
    static constexpr std::uint32_t kExactRange = kDirectEntries * kExactSlots;

    alignas(64) std::array<std::uint8_t, kDirectEntries> direct{};
    alignas(64) std::array<std::uint8_t, kRansTotal / kBucketSlots> bucket{};
    alignas(64) std::array<std::uint16_t, kMostSymbols> frequency{};
    /// First slot of each rank, counted from `start`, and of the rank after it.
    alignas(64) std::array<std::uint16_t, kMostSymbols> first{};
    alignas(64) std::array<std::uint16_t, kMostSymbols> next{};
    alignas(64) std::array<std::uint8_t, kMostSymbols> symbol{};
    /// The slot that counts as the first; 0 in an exact table.
    std::uint16_t start = 0;
    /// Whether the table fits this layout.
    bool fits = false;
    /// How many ranks a bucket's symbol may be short, at most 3; 0 in an exact table alone.
    std::uint8_t corrections = 0;
};

/// Lays out a table of these frequencies (sum kRansTotal, none of them kRansTotal).
RansRegisterTable makeRegisterTable(const std::array<std::uint16_t, 256>& frequencies);

/// What encoding looks up, for tables whose symbols lie within 32 neighbours: entry symbol % 32.
struct RansPushTable {
    static constexpr int kEntries = 32;

    /// Frequency | first slot << 16; 0 for symbols that the table does not have.
    alignas(64) std::array<std::uint32_t, kEntries> slots{};
    /// 1 / frequency, too small by 2^-21 to 2^-20 of it: quotients of states in float32 come out right or one short.
    alignas(64) std::array<float, kEntries> reciprocal{};
    std::uint8_t firstSymbol = 0;
    std::uint8_t lastSymbol = 0;
    bool fits = false;
};

/// Lays out a table of these frequencies, at least two of which are not 0.
RansPushTable makePushTable(const std::array<std::uint16_t, 256>& frequencies);

} // namespace kvscope
