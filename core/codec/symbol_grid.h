// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/byte_stream.h"
#include "core/codec/chunk_codec.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kvscope {

/// Symbols [tokens][channels] that share an alphabet 0 .. alphabet - 1 (1 to 65536 letters).
struct SymbolGrid {
    std::int64_t tokens = 0;
    std::int64_t channels = 0;
    std::uint32_t alphabet = 1;
    std::vector<std::uint16_t> symbols;

    SymbolGrid() = default;
    /// All symbols 0.
    SymbolGrid(std::int64_t rows, std::int64_t columns, std::uint32_t letters)
        : tokens(rows)
        , channels(columns)
        , alphabet(letters)
        , symbols(static_cast<std::size_t>(rows * columns)) {}

    bool operator==(const SymbolGrid&) const = default;

    /// Bits that every symbol fits in; 0 for a single letter.
    [[nodiscard]] int bits() const { return static_cast<int>(std::bit_width(alphabet - 1)); }
};

/// Where an entropy coder writes. Blocks follow one another, so that several grids share one sink.
struct CodeSink {
    Bytes payload;
    Bytes tables;
    /// Payload bits of each channel, added up over grids; empty where the coder has no channels.
    std::vector<float> channelBits;
    /// Bytes within the payload that a coder with parts of its own spends on something else.
    PartBytes notPayload;
};

/// Where an entropy decoder reads.
struct CodeSource {
    ByteReader payload;
    ByteReader tables;
};

} // namespace kvscope
