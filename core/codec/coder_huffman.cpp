// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/coder_huffman.h"

#include "core/codec/bit_pack.h"
#include "core/codec/bit_stream.h"

#include <queue>

#include <algorithm>
#include <array>

namespace kvscope {

namespace {

constexpr int kMostBits = 24;
constexpr int kLengthBits = 5;

/// Code lengths of the optimal code; 0 for letters that do not occur and for a single one.
std::vector<std::uint16_t> treeDepths(const std::vector<std::uint64_t>& counts) {
    using Node = std::pair<std::uint64_t, std::size_t>;
    std::priority_queue<Node, std::vector<Node>, std::greater<>> open;
    std::vector<std::size_t> parent(counts.size(), 0);
    for (std::size_t letter = 0; letter < counts.size(); ++letter) {
        if (counts[letter] > 0)
            open.emplace(counts[letter], letter);
    }
    while (open.size() > 1) {
        const Node a = open.top();
        open.pop();
        const Node b = open.top();
        open.pop();
        parent[a.second] = parent[b.second] = parent.size();
        open.emplace(a.first + b.first, parent.size());
        parent.push_back(0);
    }
    // Parents follow their children, so depths are found from the root down.
    std::vector<std::uint16_t> depths(parent.size(), 0);
    for (std::size_t node = parent.size(); node-- > 0;) {
        if (parent[node] != 0)
            depths[node] = static_cast<std::uint16_t>(depths[parent[node]] + 1);
    }
    depths.resize(counts.size());
    return depths;
}

std::vector<std::uint16_t> codeLengths(std::vector<std::uint64_t> counts) {
    while (true) {
        auto lengths = treeDepths(counts);
        if (std::ranges::max(lengths) <= kMostBits)
            return lengths;
        for (std::uint64_t& count : counts)
            count = (count + 1) / 2;
    }
}

/// Canonical codes: by length, then by letter.
struct Canonical {
    std::array<std::uint64_t, kMostBits + 2> firstCode{};
    std::array<std::uint64_t, kMostBits + 2> count{};
    std::array<std::uint64_t, kMostBits + 2> offset{};
    std::vector<std::uint16_t> letters;

    explicit Canonical(std::span<const std::uint16_t> lengths) {
        for (const std::uint16_t length : lengths)
            count[length] += length > 0 ? 1 : 0;
        for (std::size_t length = 1; length <= kMostBits; ++length) {
            firstCode[length + 1] = (firstCode[length] + count[length]) << 1;
            offset[length + 1] = offset[length] + count[length];
        }
        letters.resize(offset[kMostBits + 1]);
        auto next = offset;
        for (std::size_t letter = 0; letter < lengths.size(); ++letter) {
            if (lengths[letter] > 0)
                letters[next[lengths[letter]]++] = static_cast<std::uint16_t>(letter);
        }
    }

    /// Every sequence of bits is a sequence of codes.
    [[nodiscard]] bool complete() const { return firstCode[kMostBits + 1] == 1U << (kMostBits + 1); }
};

std::uint32_t mirrored(std::uint32_t code, int bits) {
    std::uint32_t turned = 0;
    for (int i = 0; i < bits; ++i)
        turned |= (code >> i & 1U) << (bits - 1 - i);
    return turned;
}

} // namespace

Result<void> huffmanEncode(const SymbolGrid& grid, CodeSink& sink) {
    std::vector<std::uint64_t> counts(grid.alphabet);
    for (const std::uint16_t symbol : grid.symbols)
        ++counts[symbol];
    const auto lengths = codeLengths(counts);
    const auto [least, most] = std::ranges::minmax(grid.symbols);
    putVarint(sink.tables, least);
    putVarint(sink.tables, static_cast<std::uint64_t>(most - least));
    sink.channelBits.resize(static_cast<std::size_t>(grid.channels));
    if (least == most)
        return {};
    packBits(std::span(lengths).subspan(least, static_cast<std::size_t>(most - least) + 1), kLengthBits, sink.tables);
    const Canonical canonical(lengths);
    std::vector<std::uint32_t> codes(lengths.size());
    auto next = canonical.firstCode;
    for (const std::uint16_t letter : canonical.letters)
        codes[letter] = mirrored(static_cast<std::uint32_t>(next[lengths[letter]]++), lengths[letter]);
    Bytes payload;
    BitWriter bits(payload);
    for (std::size_t i = 0; i < grid.symbols.size(); ++i) {
        const std::uint16_t symbol = grid.symbols[i];
        bits.put(codes[symbol], lengths[symbol]);
        sink.channelBits[i % sink.channelBits.size()] += static_cast<float>(lengths[symbol]);
    }
    bits.finish();
    putBlock(sink.payload, payload);
    return {};
}

Result<void> huffmanDecode(CodeSource& source, SymbolGrid& grid) {
    KVSCOPE_ASSIGN(const auto least, source.tables.varintUpTo(grid.alphabet - 1));
    KVSCOPE_ASSIGN(const auto span, source.tables.varintUpTo(grid.alphabet - 1 - least));
    if (span == 0) {
        std::ranges::fill(grid.symbols, static_cast<std::uint16_t>(least));
        return {};
    }
    std::vector<std::uint16_t> lengths(static_cast<std::size_t>(span) + 1);
    KVSCOPE_ASSIGN(const auto packed, source.tables.take(packedSize(lengths.size(), kLengthBits)));
    unpackBits(packed, kLengthBits, lengths);
    if (std::ranges::max(lengths) > kMostBits)
        return source.tables.broken("hold a code that is too long");
    const Canonical canonical(lengths);
    if (!canonical.complete())
        return source.tables.broken("hold code lengths that make no code");
    KVSCOPE_ASSIGN(const auto payload, source.payload.block());
    BitReader bits(payload);
    for (std::uint16_t& symbol : grid.symbols) {
        std::uint64_t code = 0;
        std::size_t length = 0;
        do {
            code = code << 1 | bits.get(1);
            ++length;
        } while (code - canonical.firstCode[length] >= canonical.count[length]);
        symbol = static_cast<std::uint16_t>(
            least + canonical.letters[canonical.offset[length] + code - canonical.firstCode[length]]);
    }
    if (bits.overrun() || bits.bytesRead() != payload.size())
        return source.payload.broken("does not hold as many codes as the chunk has values");
    return {};
}

} // namespace kvscope
