// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/coder_context_rans.h"

#include "core/codec/bit_pack.h"
#include "core/codec/gamma_code.h"
#include "core/codec/rans_step.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace kvscope {

namespace {

constexpr int kCodedBits = 10;
constexpr std::size_t kMostClasses = 16;

/// Frequencies of the letters first .. that add up to kRansTotal; empty for a class that never occurs.
struct ClassTable {
    std::uint32_t first = 0;
    std::vector<std::uint32_t> frequencies;
    std::vector<std::uint32_t> sums;
    /// Letter (less first) of each slot.
    std::vector<std::uint16_t> letterOfSlot;

    void finish() {
        sums.assign(frequencies.size() + 1, 0);
        std::partial_sum(frequencies.begin(), frequencies.end(), sums.begin() + 1);
        letterOfSlot.clear();
        for (std::size_t letter = 0; letter < frequencies.size(); ++letter)
            letterOfSlot.insert(letterOfSlot.end(), frequencies[letter], static_cast<std::uint16_t>(letter));
    }
};

/// The grid's symbols without the bits that are packed, and which class each letter falls in.
struct Coded {
    int rawBits = 0;
    std::uint32_t letters = 1;
    /// First letter of each class but the first, rising.
    std::vector<std::uint32_t> cuts;
    std::vector<std::uint8_t> classOfLetter;

    explicit Coded(const SymbolGrid& grid)
        : rawBits(std::max(0, grid.bits() - kCodedBits))
        , letters(((grid.alphabet - 1) >> rawBits) + 1) {}

    void spreadClasses() {
        classOfLetter.assign(letters, 0);
        for (const std::uint32_t cut : cuts) {
            for (std::size_t letter = cut; letter < letters; ++letter)
                ++classOfLetter[letter];
        }
    }
    /// Tables: one for each class, and one for the first token.
    [[nodiscard]] std::size_t tables() const { return cuts.size() + 2; }
    /// The table of the symbol at `i`; `symbols` are letters.
    [[nodiscard]] std::size_t tableOf(std::span<const std::uint16_t> symbols, std::size_t i,
                                      std::size_t channels) const {
        return i < channels ? tables() - 1 : classOfLetter[symbols[i - channels]];
    }
};

/// Cuts the letters into stretches of about equal weight.
std::vector<std::uint32_t> equalCuts(std::span<const std::uint16_t> symbols, std::uint32_t letters) {
    std::vector<std::size_t> counts(letters);
    for (const std::uint16_t symbol : symbols)
        ++counts[symbol];
    std::vector<std::uint32_t> cuts;
    std::size_t seen = 0;
    for (std::uint32_t letter = 0; letter + 1 < letters && cuts.size() + 1 < kMostClasses; ++letter) {
        seen += counts[letter];
        if (counts[letter] > 0 && seen < symbols.size() && seen * kMostClasses >= symbols.size() * (cuts.size() + 1))
            cuts.push_back(letter + 1);
    }
    return cuts;
}

/// Frequencies of 12 bits, at least 1 for each letter that occurs; what rounding leaves over goes to the most frequent.
ClassTable normalised(std::span<const std::uint32_t> counts) {
    ClassTable table;
    const auto total = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
    if (total == 0)
        return table;
    const auto occurs = [](std::uint32_t count) { return count > 0; };
    const auto first = std::ranges::find_if(counts, occurs);
    const auto last = std::find_if(counts.rbegin(), counts.rend(), occurs).base();
    table.first = static_cast<std::uint32_t>(first - counts.begin());
    std::int64_t left = kRansTotal;
    for (auto at = first; at != last; ++at) {
        const auto share = static_cast<std::uint32_t>(*at * std::uint64_t{kRansTotal} / total);
        table.frequencies.push_back(*at > 0 ? std::max(1U, share) : 0);
        left -= table.frequencies.back();
    }
    // At most 1024 letters were raised to 1, so that the frequent ones have enough to give.
    while (left != 0) {
        auto most = std::ranges::max_element(table.frequencies);
        const std::int64_t change =
            left > 0 ? left : std::max<std::int64_t>(left, 1 - (static_cast<std::int64_t>(*most) + 1) / 2);
        *most = static_cast<std::uint32_t>(*most + change);
        left -= change;
    }
    table.finish();
    return table;
}

void putTable(BitWriter& bits, const ClassTable& table) {
    putGamma(bits, static_cast<std::uint32_t>(table.frequencies.size()));
    if (table.frequencies.empty())
        return;
    putGamma(bits, table.first);
    for (std::size_t i = 0; i + 1 < table.frequencies.size(); ++i)
        putGamma(bits, table.frequencies[i]);
}

std::optional<ClassTable> readTable(BitReader& bits, std::uint32_t letters) {
    ClassTable table;
    const auto size = readGamma(bits, letters);
    if (!size || *size == 0)
        return size ? std::optional(table) : std::nullopt;
    const auto first = readGamma(bits, letters - *size);
    if (!first)
        return std::nullopt;
    table.first = *first;
    std::uint32_t left = kRansTotal;
    for (std::uint32_t i = 0; i + 1 < *size; ++i) {
        const auto frequency = readGamma(bits, left);
        if (!frequency)
            return std::nullopt;
        table.frequencies.push_back(*frequency);
        left -= *frequency;
    }
    table.frequencies.push_back(left);
    table.finish();
    return table;
}

} // namespace

Result<void> contextRansEncode(const SymbolGrid& grid, CodeSink& sink) {
    Coded coded(grid);
    const auto channels = static_cast<std::size_t>(grid.channels);
    std::vector<std::uint16_t> symbols(grid.symbols.size());
    std::ranges::transform(grid.symbols, symbols.begin(),
                           [&](std::uint16_t symbol) { return static_cast<std::uint16_t>(symbol >> coded.rawBits); });
    coded.cuts = equalCuts(symbols, coded.letters);
    coded.spreadClasses();
    std::vector<std::vector<std::uint32_t>> counts(coded.tables(), std::vector<std::uint32_t>(coded.letters));
    for (std::size_t i = 0; i < symbols.size(); ++i)
        ++counts[coded.tableOf(symbols, i, channels)][symbols[i]];
    Bytes tableBytes;
    BitWriter bits(tableBytes);
    putGamma(bits, static_cast<std::uint32_t>(coded.cuts.size()));
    std::uint32_t before = 0;
    for (const std::uint32_t cut : coded.cuts) {
        putGamma(bits, cut - before - 1);
        before = cut;
    }
    std::vector<ClassTable> tables;
    for (const auto& count : counts) {
        tables.push_back(normalised(count));
        putTable(bits, tables.back());
    }
    bits.finish();
    putBlock(sink.tables, tableBytes);

    sink.channelBits.resize(channels);
    std::vector<std::uint16_t> words;
    std::uint32_t state = kRansStateLow;
    for (std::size_t i = symbols.size(); i-- > 0;) {
        const ClassTable& table = tables[coded.tableOf(symbols, i, channels)];
        const std::size_t letter = symbols[i] - table.first;
        const std::uint32_t frequency = table.frequencies[letter];
        if (ransMustSpill(state, frequency)) {
            words.push_back(static_cast<std::uint16_t>(state & 0xFFFFU));
            state >>= kRansWordBits;
        }
        state = ransPush(state, frequency, table.sums[letter]);
        sink.channelBits[i % channels] +=
            static_cast<float>(kRansProbabilityBits - std::log2(static_cast<double>(frequency)) + coded.rawBits);
    }
    Bytes payload;
    putNumber(payload, state);
    for (std::size_t i = words.size(); i-- > 0;)
        putNumber(payload, words[i]);
    putBlock(sink.payload, payload);
    packBits(grid.symbols, coded.rawBits, sink.payload);
    return {};
}

Result<void> contextRansDecode(CodeSource& source, SymbolGrid& grid) {
    Coded coded(grid);
    const auto channels = static_cast<std::size_t>(grid.channels);
    KVSCOPE_ASSIGN(const auto tableBytes, source.tables.block());
    BitReader bits(tableBytes);
    const auto cutCount = readGamma(bits, kMostClasses - 1);
    if (!cutCount)
        return source.tables.broken("hold too many classes");
    std::uint32_t before = 0;
    for (std::uint32_t i = 0; i < *cutCount; ++i) {
        const auto gap = readGamma(bits, coded.letters);
        if (!gap || before + *gap + 1 >= coded.letters)
            return source.tables.broken("cut the letters outside the alphabet");
        before += *gap + 1;
        coded.cuts.push_back(before);
    }
    coded.spreadClasses();
    std::vector<ClassTable> tables;
    for (std::size_t i = 0; i < coded.tables(); ++i) {
        auto table = readTable(bits, coded.letters);
        if (!table)
            return source.tables.broken("hold frequencies that make no table");
        tables.push_back(std::move(*table));
    }
    if (bits.bytesRead() != tableBytes.size())
        return source.tables.broken("are longer than their frequencies");

    KVSCOPE_ASSIGN(const auto block, source.payload.block());
    ByteReader words(block, "payload");
    KVSCOPE_ASSIGN(auto state, words.number<std::uint32_t>());
    for (std::size_t i = 0; i < grid.symbols.size(); ++i) {
        const ClassTable& table = tables[coded.tableOf(grid.symbols, i, channels)];
        if (table.frequencies.empty())
            return source.payload.broken("needs a table that is not there");
        const std::uint32_t slot = ransSlot(state);
        const std::uint16_t letter = table.letterOfSlot[slot];
        state = table.frequencies[letter] * (state >> kRansProbabilityBits) + slot - table.sums[letter];
        if (ransNeedsWord(state)) {
            KVSCOPE_ASSIGN(const auto word, words.number<std::uint16_t>());
            state = ransRefill(state, word);
        }
        grid.symbols[i] = static_cast<std::uint16_t>(table.first + letter);
    }
    KVSCOPE_TRY(words.finish());
    if (state != kRansStateLow)
        return source.payload.broken("does not end with the chunk's last value");
    KVSCOPE_ASSIGN(const auto packed, source.payload.take(packedSize(grid.symbols.size(), coded.rawBits)));
    std::vector<std::uint16_t> raw(grid.symbols.size());
    unpackBits(packed, coded.rawBits, raw);
    for (std::size_t i = 0; i < raw.size(); ++i)
        grid.symbols[i] = static_cast<std::uint16_t>(grid.symbols[i] << coded.rawBits | raw[i]);
    return {};
}

} // namespace kvscope
