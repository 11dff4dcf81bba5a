// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/prefix_code.h"

#include <algorithm>
#include <bit>

namespace kvscope {

namespace {

constexpr int kCountBits = 6;
/// The length that the first symbol is expected to have.
constexpr int kUsualLength = 4;
constexpr std::uint32_t kWhole = 1U << kMostPrefixBits;

/// The share of all codes that begin with one of this length.
constexpr std::uint32_t shareOf(int length) {
    return kWhole >> length;
}

/// The low `length` bits of code in the order in which they are written.
std::uint32_t reversed(std::uint32_t code, int length) {
    std::uint32_t result = 0;
    for (int i = 0; i < length; ++i)
        result |= (code >> i & 1U) << (length - 1 - i);
    return result;
}

/// The codes, shorter ones before longer ones, equal lengths in the order of the symbols.
std::array<SideCode, kMostPrefixSymbols> codesOf(const PrefixLengths& lengths) {
    std::array<SideCode, kMostPrefixSymbols> codes{};
    std::uint32_t next = 0;
    for (int length = 1; length <= kMostPrefixBits; ++length) {
        next <<= 1;
        for (std::size_t symbol = 0; symbol < lengths.symbols(); ++symbol) {
            if (lengths[symbol] == length)
                codes[symbol] = {reversed(next++, length), length};
        }
    }
    return codes;
}

/// Numbers below 4 are sizes of their own; of the others there are two in each octave.
std::size_t sizeClass(std::uint32_t number) {
    if (number < 4)
        return number;
    const auto width = static_cast<std::size_t>(std::bit_width(number));
    return 2 * (width - 1) + (number >> (width - 2) & 1U);
}

/// Bits of a number that its size leaves open.
int openBits(std::size_t size) {
    return size < 4 ? 0 : static_cast<int>(size / 2) - 1;
}

/// The smallest number of a size.
std::uint32_t leastOf(std::size_t size) {
    return size < 4 ? static_cast<std::uint32_t>(size) : static_cast<std::uint32_t>(2 + size % 2) << openBits(size);
}

} // namespace

PrefixLengths PrefixLengths::of(std::span<const std::uint32_t> counts) {
    PrefixLengths result;
    result.symbols_ = counts.size();
    // Nodes of the tree: the symbols that occur, the rarest first, then pairs of nodes as they are joined.
    struct Node {
        std::uint64_t count = 0;
        std::size_t parent = 0;
    };
    std::array<std::size_t, kMostPrefixSymbols> order{};
    std::size_t used = 0;
    for (std::size_t symbol = 0; symbol < counts.size(); ++symbol) {
        if (counts[symbol] > 0)
            order[used++] = symbol;
    }
    if (used == 1)
        result.only_ = order[0];
    if (used < 2)
        return result;
    std::sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(used),
              [&](std::size_t a, std::size_t b) { return counts[a] != counts[b] ? counts[a] < counts[b] : a > b; });
    std::array<Node, 2 * kMostPrefixSymbols> nodes{};
    for (std::size_t i = 0; i < used; ++i)
        nodes[i].count = counts[order[i]];
    std::size_t leaf = 0;
    std::size_t pair = used;
    const std::size_t root = 2 * used - 2;
    for (std::size_t made = used; made <= root; ++made) {
        for (int child = 0; child < 2; ++child) {
            const bool takeLeaf = leaf < used && (pair == made || nodes[leaf].count <= nodes[pair].count);
            const std::size_t least = takeLeaf ? leaf++ : pair++;
            nodes[made].count += nodes[least].count;
            nodes[least].parent = made;
        }
    }
    std::array<int, 2 * kMostPrefixSymbols> depths{};
    std::uint32_t share = 0;
    for (std::size_t i = root; i-- > 0;) {
        depths[i] = depths[nodes[i].parent] + 1;
        if (i >= used)
            continue;
        depths[i] = std::min(depths[i], kMostPrefixBits);
        share += shareOf(depths[i]);
    }
    // Cutting lengths off has made codes overlap: rare symbols become longer until they do not, common ones shorter
    // where that leaves room.
    for (std::size_t i = 0; share > kWhole; i = (i + 1) % used) {
        if (depths[i] == kMostPrefixBits)
            continue;
        share -= shareOf(++depths[i]);
    }
    for (std::size_t i = used; i-- > 0;) {
        for (; depths[i] > 1 && share + shareOf(depths[i]) <= kWhole; --depths[i])
            share += shareOf(depths[i]);
    }
    for (std::size_t i = 0; i < used; ++i)
        result.lengths_[order[i]] = static_cast<std::uint8_t>(depths[i]);
    return result;
}

void PrefixLengths::write(SideBitWriter& writer) const {
    writer.put(only_ ? 1 : 0, 1);
    if (only_)
        return writer.put(static_cast<std::uint32_t>(*only_), kCountBits);
    std::size_t end = symbols_;
    while (end > 0 && lengths_[end - 1] == 0)
        --end;
    writer.put(static_cast<std::uint32_t>(end - 1), kCountBits);
    int expected = kUsualLength;
    for (std::size_t symbol = 0; symbol < end; ++symbol) {
        const int length = lengths_[symbol];
        writer.put(length > 0 ? 1 : 0, 1);
        if (length == 0)
            continue;
        writer.putGolomb(zigzagOf(length - expected), 0);
        expected = length;
    }
}

std::optional<PrefixLengths> PrefixLengths::read(SideBitReader& reader, std::size_t symbols) {
    PrefixLengths result;
    result.symbols_ = symbols;
    const bool one = reader.get(1) != 0;
    const std::size_t last = reader.get(kCountBits);
    if (last >= symbols)
        return {};
    if (one) {
        result.only_ = last;
        return result;
    }
    std::uint32_t share = 0;
    int expected = kUsualLength;
    for (std::size_t symbol = 0; symbol <= last; ++symbol) {
        if (reader.get(1) == 0)
            continue;
        const std::uint32_t step = reader.getGolomb(0);
        const int length = step <= 2 * kMostPrefixBits ? expected + fromZigzag(step) : 0;
        if (length < 1 || length > kMostPrefixBits)
            return {};
        result.lengths_[symbol] = static_cast<std::uint8_t>(length);
        share += shareOf(length);
        expected = length;
    }
    return share == kWhole ? std::optional(result) : std::nullopt;
}

PrefixEncoder::PrefixEncoder(const PrefixLengths& lengths)
    : codes_(codesOf(lengths)) {}

PrefixDecoder::PrefixDecoder(const PrefixLengths& lengths) {
    if (const auto only = lengths.only()) {
        entries_.fill({static_cast<std::uint8_t>(*only), 0});
        return;
    }
    const auto codes = codesOf(lengths);
    for (std::size_t symbol = 0; symbol < lengths.symbols(); ++symbol) {
        const SideCode code = codes[symbol];
        for (std::size_t i = code.bits; code.length > 0 && i < entries_.size(); i += std::size_t{1} << code.length)
            entries_[i] = {static_cast<std::uint8_t>(symbol), static_cast<std::uint8_t>(code.length)};
    }
}

void putSized(SideBitWriter& writer, std::span<const std::uint32_t> numbers) {
    std::array<std::uint32_t, kMostPrefixSymbols> counts{};
    for (const std::uint32_t number : numbers)
        ++counts[sizeClass(number)];
    const auto lengths = PrefixLengths::of(counts);
    lengths.write(writer);
    const PrefixEncoder codes(lengths);
    for (const std::uint32_t number : numbers) {
        const std::size_t size = sizeClass(number);
        writer.put(codes.codeOf(size));
        writer.put(number - leastOf(size), openBits(size));
    }
}

bool getSized(SideBitReader& reader, std::span<std::uint32_t> numbers) {
    const auto lengths = PrefixLengths::read(reader, kMostPrefixSymbols);
    if (!lengths)
        return false;
    const PrefixDecoder codes(*lengths);
    for (std::uint32_t& number : numbers) {
        const std::size_t size = codes.get(reader);
        number = leastOf(size) + reader.get(openBits(size));
    }
    return true;
}

} // namespace kvscope
