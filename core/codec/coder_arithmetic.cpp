// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/coder_arithmetic.h"

#include "core/codec/gamma_code.h"
#include "core/codec/range_coder.h"

#include <algorithm>
#include <cmath>

namespace kvscope {

namespace {

constexpr std::int64_t kMostTokens = 1 << 20;

/// Counts of the letters first .. first + counts.size() - 1 of one channel.
struct ChannelTable {
    std::uint32_t first = 0;
    std::vector<std::uint32_t> counts;

    /// Counts below each letter, and the total.
    [[nodiscard]] std::vector<std::uint32_t> sums() const {
        std::vector<std::uint32_t> sums(counts.size() + 1);
        for (std::size_t i = 0; i < counts.size(); ++i)
            sums[i + 1] = sums[i] + counts[i];
        return sums;
    }
};

ChannelTable countChannel(const SymbolGrid& grid, std::size_t channel) {
    const auto stride = static_cast<std::size_t>(grid.channels);
    std::uint16_t least = grid.symbols[channel];
    std::uint16_t most = least;
    for (std::size_t i = channel; i < grid.symbols.size(); i += stride) {
        least = std::min(least, grid.symbols[i]);
        most = std::max(most, grid.symbols[i]);
    }
    ChannelTable table{least, std::vector<std::uint32_t>(static_cast<std::size_t>(most - least) + 1)};
    for (std::size_t i = channel; i < grid.symbols.size(); i += stride)
        ++table.counts[static_cast<std::size_t>(grid.symbols[i] - least)];
    return table;
}

void putTable(BitWriter& bits, const ChannelTable& table) {
    putGamma(bits, table.first);
    putGamma(bits, static_cast<std::uint32_t>(table.counts.size() - 1));
    for (std::size_t i = 0; i + 1 < table.counts.size(); ++i)
        putGamma(bits, table.counts[i]);
}

std::optional<ChannelTable> readTable(BitReader& bits, std::uint32_t alphabet, std::uint32_t tokens) {
    const auto first = readGamma(bits, alphabet - 1);
    const auto more = first ? readGamma(bits, alphabet - 1 - *first) : std::nullopt;
    if (!more)
        return std::nullopt;
    ChannelTable table{*first, std::vector<std::uint32_t>(*more + 1)};
    std::uint32_t left = tokens;
    for (std::size_t i = 0; i < *more; ++i) {
        const auto count = readGamma(bits, left);
        if (!count)
            return std::nullopt;
        table.counts[i] = *count;
        left -= *count;
    }
    table.counts.back() = left;
    return table;
}

} // namespace

Result<void> arithmeticEncode(const SymbolGrid& grid, CodeSink& sink) {
    if (grid.tokens > kMostTokens)
        return fail("has more tokens than the arithmetic coder counts", "coder", "Use smaller chunks");
    Bytes tables;
    BitWriter bits(tables);
    RangeEncoder coder;
    const auto channels = static_cast<std::size_t>(grid.channels);
    const auto tokens = static_cast<std::uint32_t>(grid.tokens);
    sink.channelBits.resize(channels);
    for (std::size_t channel = 0; channel < channels; ++channel) {
        const ChannelTable table = countChannel(grid, channel);
        putTable(bits, table);
        const auto sums = table.sums();
        for (std::size_t i = channel; i < grid.symbols.size(); i += channels) {
            const std::size_t letter = grid.symbols[i] - table.first;
            coder.encode(sums[letter], table.counts[letter], tokens);
            sink.channelBits[channel] -=
                static_cast<float>(std::log2(static_cast<double>(table.counts[letter]) / static_cast<double>(tokens)));
        }
    }
    bits.finish();
    putBlock(sink.tables, tables);
    putBlock(sink.payload, coder.finish());
    return {};
}

Result<void> arithmeticDecode(CodeSource& source, SymbolGrid& grid) {
    if (grid.tokens > kMostTokens)
        return source.tables.broken("cannot be those of so many tokens");
    KVSCOPE_ASSIGN(const auto tables, source.tables.block());
    KVSCOPE_ASSIGN(const auto payload, source.payload.block());
    BitReader bits(tables);
    RangeDecoder coder(payload);
    const auto channels = static_cast<std::size_t>(grid.channels);
    const auto tokens = static_cast<std::uint32_t>(grid.tokens);
    for (std::size_t channel = 0; channel < channels; ++channel) {
        const auto table = readTable(bits, grid.alphabet, tokens);
        if (!table)
            return source.tables.broken("hold counts that make no table");
        const auto sums = table->sums();
        for (std::size_t i = channel; i < grid.symbols.size(); i += channels) {
            const std::uint32_t place = coder.place(tokens);
            const auto letter = static_cast<std::size_t>(std::ranges::upper_bound(sums, place) - sums.begin()) - 1;
            coder.take(sums[letter], table->counts[letter]);
            grid.symbols[i] = static_cast<std::uint16_t>(table->first + letter);
        }
    }
    if (bits.bytesRead() != tables.size())
        return source.tables.broken("are longer than their counts");
    if (!coder.usedAll())
        return source.payload.broken("does not end with the chunk's last value");
    return {};
}

} // namespace kvscope
