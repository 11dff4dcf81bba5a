// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/side_bits.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

/// Prefix codes of small alphabets among the side bits of a chunk (Huffman, Proc. IRE 40(9), 1952; canonical).
/// FORMAT.md, "prefix code".
namespace kvscope {

inline constexpr std::size_t kMostPrefixSymbols = 64;
inline constexpr int kMostPrefixBits = 8;

/// How many bits each symbol of an alphabet takes: 0 for those that do not occur, and for the only one that does.
class PrefixLengths {
public:
    /// Lengths for symbols that occur so often, at most kMostPrefixSymbols; at least one of them occurs.
    static PrefixLengths of(std::span<const std::uint32_t> counts);

    void write(SideBitWriter& writer) const;
    /// Reads those of an alphabet; nothing when they are no code.
    static std::optional<PrefixLengths> read(SideBitReader& reader, std::size_t symbols);

    [[nodiscard]] std::size_t symbols() const { return symbols_; }
    [[nodiscard]] int operator[](std::size_t symbol) const { return lengths_[symbol]; }
    /// The only symbol that occurs.
    [[nodiscard]] std::optional<std::size_t> only() const { return only_; }

private:
    std::size_t symbols_ = 0;
    std::array<std::uint8_t, kMostPrefixSymbols> lengths_{};
    std::optional<std::size_t> only_;
};

/// Writes symbols.
class PrefixEncoder {
public:
    explicit PrefixEncoder(const PrefixLengths& lengths);

    [[nodiscard]] SideCode codeOf(std::size_t symbol) const { return codes_[symbol]; }

private:
    std::array<SideCode, kMostPrefixSymbols> codes_{};
};

/// Reads them.
class PrefixDecoder {
public:
    explicit PrefixDecoder(const PrefixLengths& lengths);

    [[nodiscard]] std::size_t get(SideBitReader& reader) const {
        const Entry entry = entries_[reader.peek(kMostPrefixBits)];
        reader.drop(entry.length);
        return entry.symbol;
    }

private:
    struct Entry {
        std::uint8_t symbol = 0;
        std::uint8_t length = 0;
    };
    std::array<Entry, std::size_t{1} << kMostPrefixBits> entries_{};
};

/// Appends numbers, their sizes in half octaves by a prefix code, the bits below as they are.
void putSized(SideBitWriter& writer, std::span<const std::uint32_t> numbers);

/// Reads them; false when there is no code for them.
bool getSized(SideBitReader& reader, std::span<std::uint32_t> numbers);

} // namespace kvscope
