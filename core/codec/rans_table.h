// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/codec/rans_register_table.h"
#include "core/codec/rans_step.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace kvscope {

inline constexpr std::size_t kRansSymbols = 256;
using RansCounts = std::array<std::uint32_t, kRansSymbols>;
/// Frequencies that add up to kRansTotal.
using RansFrequencies = std::array<std::uint16_t, kRansSymbols>;

/// The frequencies (sum 4096, at least 1 for every symbol that occurs) that code these counts in the fewest bits, found
/// in integers. Fails when nothing was counted.
Result<RansFrequencies> normaliseCounts(const RansCounts& counts);

/// The same for counts that never fall from one symbol that occurs to the next, of symbols that a register table
/// holds: frequencies that make this table exact (rans_register_table.h), unless they would cost much.
Result<RansFrequencies> normaliseForRegisters(const RansCounts& counts);

/// What symbols are decoded as.
using RansNames = std::array<std::uint8_t, kRansSymbols>;

/// What the rANS coder knows about the symbols of a row. Immutable; 19 KiB on the heap.
class RansTable {
public:
    /// Fails unless the frequencies add up to 4096. With `names`, one for each possible symbol, symbol i is decoded as
    /// names[i]; such a table is for decoding only.
    static Result<RansTable> fromFrequencies(const RansFrequencies& frequencies, const RansNames* names = nullptr);

    /// A row whose symbols are all the same costs nothing and touches no state.
    [[nodiscard]] bool isConstant() const { return lookup_->isConstant; }
    /// The smallest and the largest symbol that has a frequency.
    [[nodiscard]] std::uint8_t firstSymbol() const { return lookup_->firstSymbol; }
    [[nodiscard]] std::uint8_t lastSymbol() const { return lookup_->lastSymbol; }
    /// The smallest symbol other than 0, the bank's escape, that has a frequency.
    [[nodiscard]] std::uint8_t firstSymbolButZero() const { return lookup_->firstSymbolButZero; }
    [[nodiscard]] bool has(std::uint8_t symbol) const { return lookup_->frequency[symbol] != 0; }
    [[nodiscard]] const RansFrequencies& frequencies() const { return lookup_->frequency; }
    /// First slot of each symbol.
    [[nodiscard]] const RansFrequencies& firstSlots() const { return lookup_->first; }
    /// ransEntry() of each slot; all zero for a constant table.
    [[nodiscard]] std::span<const std::uint32_t, kRansTotal> entries() const { return lookup_->entries; }

    [[nodiscard]] const RansRegisterTable& registerTable() const { return lookup_->registers; }
    /// Not of tables with names.
    [[nodiscard]] const RansPushTable& pushTable() const { return lookup_->push; }

    /// Bits of each symbol in units of 2^-16 bit; kNoCost for a symbol that the table cannot code. Not
    /// of tables with names.
    [[nodiscard]] const std::array<std::uint32_t, kRansSymbols>& costs() const { return lookup_->cost; }
    static constexpr std::uint32_t kNoCost = ~0U;

    /// Bits (times 2^16) that symbols of these counts take; `escapeCost` for each that the table cannot code.
    [[nodiscard]] std::uint64_t costOf(const RansCounts& counts, std::uint32_t escapeCost = kNoCost) const;

private:
    struct Lookup {
        alignas(64) std::array<std::uint32_t, kRansTotal> entries{};
        alignas(64) RansFrequencies frequency{};
        alignas(64) RansFrequencies first{};
        RansRegisterTable registers;
        RansPushTable push;
        std::array<std::uint32_t, kRansSymbols> cost{};
        bool isConstant = false;
        std::uint8_t firstSymbol = 0;
        std::uint8_t firstSymbolButZero = 0;
        std::uint8_t lastSymbol = 0;
    };

    explicit RansTable(std::shared_ptr<const Lookup> lookup)
        : lookup_(std::move(lookup)) {}

    std::shared_ptr<const Lookup> lookup_;
};

/// Appends the table: the smallest and the largest symbol (8 bits each), then the differences between neighbouring
/// frequencies in an adaptive Rice code; the last follows from the sum. Whole bytes; two for a constant table.
void writeRansTable(const RansTable& table, std::vector<std::byte>& out);

struct ReadRansTable {
    RansTable table;
    /// How many bytes it took.
    std::size_t bytes = 0;
};

/// Reads a table from the front of the bytes; fails when they are no table. `names`: as for fromFrequencies().
Result<ReadRansTable> readRansTable(std::span<const std::byte> bytes, const RansNames* names = nullptr);

} // namespace kvscope
