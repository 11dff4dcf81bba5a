// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/codec/channel_terms.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// How a coded plane of integers is arranged: which row resembles which, what each channel is predicted from, which
/// tables code the rest. FORMAT.md, section "kvz chunk".
namespace kvscope {

/// What a number, less its channel's mean, is expressed against.
enum class SymbolMode : std::uint8_t {
    /// Nothing.
    Mean,
    /// The row's reference, times the row's weight.
    Reference,
    /// The token before, times the channel's weight.
    Previous,
    /// The first token of each group of ten.
    Anchor,
};
inline constexpr std::size_t kSymbolModes = 4;
inline constexpr std::int64_t kAnchorGroup = 10;
/// Weights are in eighths, 1..8.
inline constexpr int kWholeWeight = 8;
inline constexpr std::int64_t kMostReferenceDistance = 512;
/// Rows are coded in up to so many groups, each with tables that are `offset` scales away from its channels' classes.
inline constexpr std::size_t kMostRowGroups = 4;
inline constexpr int kMostShift = 28;
/// Layouts are narrow when all numbers less their means are within this: eight times as much fits 16 bits.
inline constexpr std::int32_t kMostNarrow = 4095;

/// A row of the plane.
struct SymbolRow {
    /// How many rows before lies the one that it resembles; 0: none.
    std::uint16_t distance = 0;
    std::uint8_t weight = kWholeWeight;
    std::uint8_t group = 0;
    /// The row equals its reference in every channel and is not coded.
    bool copy = false;

    bool operator==(const SymbolRow&) const = default;
};

/// A channel of the plane.
struct SymbolChannel {
    std::int32_t mean = 0;
    SymbolMode mode = SymbolMode::Mean;
    /// Of Previous.
    std::uint8_t weight = kWholeWeight;
    /// Low bits that are stored as they are.
    std::uint8_t shift = 0;
    /// Class of the bank for rows of group 0.
    std::uint8_t bankClass = 0;
    /// What the mode leaves is predicted from what it leaves of other channels.
    bool usesTerms = false;

    bool operator==(const SymbolChannel&) const = default;
};

struct SymbolLayout {
    /// Arithmetic is modulo 2^16 instead of 2^32.
    bool narrow = true;
    int streams = 1;
    std::size_t groups = 1;
    /// Of each group against group 0, in scales of the bank.
    std::array<int, kMostRowGroups> offsets{};
    /// Row groups in which the channels with usesTerms are predicted; in the others their symbols stand as they are.
    std::array<bool, kMostRowGroups> groupUsesTerms{};
    /// Whether rows have references, groups or copies.
    bool hasReferences = false;
    std::vector<SymbolRow> rows;
    std::vector<SymbolChannel> channels;

    /// Indices of the rows of each group, in order.
    [[nodiscard]] std::array<std::vector<std::uint32_t>, kMostRowGroups> groupRows() const;
    /// Channels by class, those of a class in order.
    [[nodiscard]] std::vector<std::uint32_t> channelOrder() const;
};

/// What a decoder needs before the symbols: rows' groups and references, channels' classes.
void writeEarlyPart(const SymbolLayout& layout, std::vector<std::byte>& out);
Result<SymbolLayout> readEarlyPart(std::span<const std::byte> bytes, std::int64_t tokens, std::int64_t channels);

/// What it needs after the symbols: modes, weights, means, shifts, and which channels use their terms.
void writeLatePart(const SymbolLayout& layout, const ChannelTerms& terms, std::vector<std::byte>& out);
/// Reads the late part from the front of the bytes and returns its length.
Result<std::size_t> readLatePart(std::span<const std::byte> bytes, const ChannelTerms& terms, SymbolLayout& layout);

/// The error of a damaged part of a chunk.
tl::unexpected<Error> damagedChunk(std::string part, std::string what);

} // namespace kvscope
