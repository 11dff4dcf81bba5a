// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/symbol_layout.h"

#include "core/codec/prefix_code.h"
#include "core/codec/side_bits.h"
#include "core/codec/symbol_bank.h"
#include "core/codec/symbol_parts.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <string>
#include <utility>

namespace kvscope {

namespace {

/// Bits of a distance of the row at index t (at least 1).
int distanceBits(std::size_t t) {
    return static_cast<int>(std::bit_width(std::min<std::size_t>(t, kMostReferenceDistance) - 1));
}

/// What a row is, in one symbol: its group, and its weight if it has a reference.
constexpr std::size_t kRowKinds = 1 + kWholeWeight;
constexpr std::size_t kCopySymbol = kMostRowGroups * kRowKinds;
constexpr std::size_t kRowSymbols = kCopySymbol + 1;

std::size_t symbolOf(const SymbolRow& row) {
    return row.copy ? kCopySymbol : row.group * kRowKinds + (row.distance > 0 ? row.weight : 0U);
}

/// The distances of the rows before, the last first: texts that repeat themselves do so at the same distance.
class RecentDistances {
public:
    static constexpr std::size_t kCount = 4;

    /// Where a distance is among them; kCount if nowhere.
    [[nodiscard]] std::size_t find(std::uint16_t distance) const {
        return static_cast<std::size_t>(std::ranges::find(distances_, distance) - distances_.begin());
    }
    [[nodiscard]] std::uint16_t operator[](std::size_t place) const { return distances_[place]; }
    /// Moves a distance that was at this place (kCount: nowhere) to the front.
    void take(std::uint16_t distance, std::size_t place) {
        for (std::size_t i = std::min(place, kCount - 1); i > 0; --i)
            distances_[i] = distances_[i - 1];
        distances_[0] = distance;
    }

private:
    std::array<std::uint16_t, kCount> distances_{};
};
constexpr std::size_t kDistanceSymbols = RecentDistances::kCount + 1;

void putRows(SideBitWriter& writer, const SymbolLayout& layout) {
    writer.put(static_cast<std::uint32_t>(layout.groups - 1), 2);
    for (std::size_t g = 1; g < layout.groups; ++g)
        writer.putGolomb(zigzagOf(layout.offsets[g]), 2);
    std::array<std::uint32_t, kRowSymbols> rowCounts{};
    std::array<std::uint32_t, kDistanceSymbols> distanceCounts{};
    std::vector<std::uint8_t> places;
    places.reserve(layout.rows.size());
    RecentDistances recent;
    for (const SymbolRow& row : layout.rows) {
        ++rowCounts[symbolOf(row)];
        if (row.distance == 0)
            continue;
        const std::size_t place = recent.find(row.distance);
        ++distanceCounts[place];
        recent.take(row.distance, place);
        places.push_back(static_cast<std::uint8_t>(place));
    }
    const auto rowLengths = PrefixLengths::of(rowCounts);
    rowLengths.write(writer);
    // A plane may say that its rows have references though none has.
    if (places.empty())
        ++distanceCounts.back();
    const auto distanceLengths = PrefixLengths::of(distanceCounts);
    distanceLengths.write(writer);
    const PrefixEncoder rowCodes(rowLengths);
    const PrefixEncoder distanceCodes(distanceLengths);
    auto place = places.begin();
    for (std::size_t t = 0; t < layout.rows.size(); ++t) {
        const SymbolRow& row = layout.rows[t];
        writer.put(rowCodes.codeOf(symbolOf(row)));
        if (row.distance == 0)
            continue;
        writer.put(distanceCodes.codeOf(*place));
        if (*place++ == RecentDistances::kCount)
            writer.put(row.distance - 1U, distanceBits(t));
    }
}

Result<void> getRows(SideBitReader& reader, SymbolLayout& layout) {
    layout.groups = reader.get(2) + 1;
    for (std::size_t g = 1; g < layout.groups; ++g)
        layout.offsets[g] = std::clamp(fromZigzag(reader.getGolomb(2)), -kBankScales, kBankScales);
    const auto rowLengths = PrefixLengths::read(reader, kRowSymbols);
    const auto distanceLengths = rowLengths ? PrefixLengths::read(reader, kDistanceSymbols) : std::nullopt;
    if (!distanceLengths)
        return damagedChunk("rows", "there is no code for them");
    const PrefixDecoder rowCodes(*rowLengths);
    const PrefixDecoder distanceCodes(*distanceLengths);
    RecentDistances recent;
    for (std::size_t t = 0; t < layout.rows.size() && reader.good(); ++t) {
        SymbolRow& row = layout.rows[t];
        const std::size_t symbol = rowCodes.get(reader);
        row.copy = symbol == kCopySymbol;
        row.group = static_cast<std::uint8_t>(row.copy ? 0 : symbol / kRowKinds);
        if (row.group >= layout.groups)
            return damagedChunk("rows", "a row is in a group that is not there");
        const std::size_t weight = row.copy ? kWholeWeight : symbol % kRowKinds;
        if (weight == 0)
            continue;
        if (t == 0)
            return damagedChunk("rows", "a row refers to one before the chunk");
        row.weight = static_cast<std::uint8_t>(weight);
        const std::size_t place = distanceCodes.get(reader);
        row.distance = place < RecentDistances::kCount ? recent[place]
                                                       : static_cast<std::uint16_t>(reader.get(distanceBits(t)) + 1);
        if (row.distance == 0 || row.distance > t)
            return damagedChunk("rows", "a row refers to one before the chunk");
        recent.take(row.distance, place);
    }
    return {};
}

/// 0 for class 0, else the scale plus 1.
int levelOf(int bankClass) {
    return bankClass == 0 ? 0 : (bankClass - 1) / kBankShapes + 1;
}

/// Expects each level near those before.
class LevelModel {
public:
    [[nodiscard]] int expected() const { return (eighths_ + 4) >> 3; }
    void update(int level) {
        if (level > 0)
            eighths_ += level - expected();
    }

private:
    int eighths_ = 8 * kBankUnitScale;
};

/// A level and a shape in one symbol: how far the level is from the expected one, up to a most that says that more
/// follows.
constexpr std::size_t kMostLevelStep = 7;
constexpr std::size_t kClassSymbols = (kMostLevelStep + 1) * kBankShapes;

void putClasses(SideBitWriter& writer, const std::vector<SymbolChannel>& channels) {
    std::vector<std::uint32_t> steps;
    steps.reserve(channels.size());
    const auto symbolAt = [&](std::size_t c) {
        const int bankClass = channels[c].bankClass;
        const auto shape = static_cast<std::size_t>(bankClass > 0 ? (bankClass - 1) % kBankShapes : 0);
        return std::min<std::size_t>(steps[c], kMostLevelStep) * kBankShapes + shape;
    };
    std::array<std::uint32_t, kClassSymbols> counts{};
    LevelModel model;
    for (std::size_t c = 0; c < channels.size(); ++c) {
        const int level = levelOf(channels[c].bankClass);
        steps.push_back(zigzagOf(level - model.expected()));
        model.update(level);
        ++counts[symbolAt(c)];
    }
    const auto lengths = PrefixLengths::of(counts);
    lengths.write(writer);
    const PrefixEncoder codes(lengths);
    for (std::size_t c = 0; c < channels.size(); ++c) {
        writer.put(codes.codeOf(symbolAt(c)));
        if (steps[c] >= kMostLevelStep)
            writer.putGolomb(static_cast<std::uint32_t>(steps[c] - kMostLevelStep), 2);
    }
}

Result<void> getClasses(SideBitReader& reader, std::vector<SymbolChannel>& channels) {
    const auto lengths = PrefixLengths::read(reader, kClassSymbols);
    if (!lengths)
        return damagedChunk("table classes", "there is no code for them");
    const PrefixDecoder codes(*lengths);
    LevelModel model;
    for (SymbolChannel& channel : channels) {
        const std::size_t symbol = codes.get(reader);
        auto step = static_cast<std::uint32_t>(symbol / kBankShapes);
        if (step == kMostLevelStep)
            step += std::min(reader.getGolomb(2), 4U * kBankScales);
        const int level = model.expected() + fromZigzag(step);
        model.update(level);
        const auto shape = static_cast<int>(symbol % kBankShapes);
        if (!reader.good() || level < 0 || level > kBankScales || (level == 0 && shape > 0))
            return damagedChunk("table classes", "a class is out of range");
        if (level > 0)
            channel.bankClass = static_cast<std::uint8_t>(bankClass(level - 1, shape));
    }
    return {};
}

/// A mode, and the weight of the one before.
constexpr std::size_t kModeSymbols = kSymbolModes - 1 + kWholeWeight;

std::size_t symbolOf(const SymbolChannel& channel) {
    return channel.mode == SymbolMode::Previous ? kSymbolModes - 2 + channel.weight
           : channel.mode == SymbolMode::Anchor ? std::size_t{2}
                                                : static_cast<std::size_t>(channel.mode);
}

void putModes(SideBitWriter& writer, const std::vector<SymbolChannel>& channels) {
    std::array<std::uint32_t, kModeSymbols> counts{};
    for (const SymbolChannel& channel : channels)
        ++counts[symbolOf(channel)];
    const auto lengths = PrefixLengths::of(counts);
    lengths.write(writer);
    const PrefixEncoder codes(lengths);
    for (const SymbolChannel& channel : channels)
        writer.put(codes.codeOf(symbolOf(channel)));
}

Result<void> getModes(SideBitReader& reader, std::vector<SymbolChannel>& channels) {
    const auto lengths = PrefixLengths::read(reader, kModeSymbols);
    if (!lengths)
        return damagedChunk("predictors", "there is no code for them");
    const PrefixDecoder codes(*lengths);
    constexpr std::array kModes{SymbolMode::Mean, SymbolMode::Reference, SymbolMode::Anchor};
    for (SymbolChannel& channel : channels) {
        const std::size_t symbol = codes.get(reader);
        channel.mode = symbol < kModes.size() ? kModes[symbol] : SymbolMode::Previous;
        if (symbol >= kModes.size())
            channel.weight = static_cast<std::uint8_t>(symbol - kModes.size() + 1);
    }
    return {};
}

/// One bit a channel that has terms; two bits say that none or all use them. Nothing for planes without terms.
void putUses(SideBitWriter& writer, const SymbolLayout& layout, const ChannelTerms& terms) {
    if (terms.empty())
        return;
    const auto& channels = layout.channels;
    std::size_t have = 0;
    std::size_t use = 0;
    for (std::size_t c = 0; c < channels.size(); ++c) {
        have += terms.of(c).empty() ? 0 : 1;
        use += channels[c].usesTerms ? 1 : 0;
    }
    writer.put(use > 0 ? 1 : 0, 1);
    if (use == 0)
        return;
    for (std::size_t g = 0; g < layout.groups && layout.groups > 1; ++g)
        writer.put(layout.groupUsesTerms[g] ? 1 : 0, 1);
    writer.put(use == have ? 1 : 0, 1);
    for (std::size_t c = 0; c < channels.size() && use != have; ++c) {
        if (!terms.of(c).empty())
            writer.put(channels[c].usesTerms ? 1 : 0, 1);
    }
}

void getUses(SideBitReader& reader, SymbolLayout& layout, const ChannelTerms& terms) {
    if (terms.empty() || reader.get(1) == 0)
        return;
    for (std::size_t g = 0; g < layout.groups; ++g)
        layout.groupUsesTerms[g] = layout.groups == 1 || reader.get(1) != 0;
    auto& channels = layout.channels;
    const bool all = reader.get(1) != 0;
    for (std::size_t c = 0; c < channels.size(); ++c)
        channels[c].usesTerms = !terms.of(c).empty() && (all || reader.get(1) != 0);
}

} // namespace

tl::unexpected<Error> damagedChunk(std::string part, std::string what) {
    return fail(std::move(what), std::move(part), "The chunk is damaged; get it again.");
}

std::array<std::vector<std::uint32_t>, kMostRowGroups> SymbolLayout::groupRows() const {
    std::array<std::vector<std::uint32_t>, kMostRowGroups> result;
    for (std::size_t t = 0; t < rows.size(); ++t) {
        if (!rows[t].copy)
            result[rows[t].group].push_back(static_cast<std::uint32_t>(t));
    }
    return result;
}

std::vector<std::uint32_t> SymbolLayout::channelOrder() const {
    std::array<std::uint32_t, 257> starts{};
    for (const SymbolChannel& channel : channels)
        ++starts[channel.bankClass + 1U];
    std::partial_sum(starts.begin(), starts.end(), starts.begin());
    std::vector<std::uint32_t> order(channels.size());
    for (std::size_t c = 0; c < channels.size(); ++c)
        order[starts[channels[c].bankClass]++] = static_cast<std::uint32_t>(c);
    return order;
}

void writeEarlyPart(const SymbolLayout& layout, std::vector<std::byte>& out) {
    SideBitWriter writer(out);
    writer.put(layout.narrow ? 1 : 0, 1);
    writer.put(static_cast<std::uint32_t>(std::countr_zero(static_cast<unsigned>(layout.streams))), 2);
    writer.put(layout.hasReferences ? 1 : 0, 1);
    if (layout.hasReferences)
        putRows(writer, layout);
    putClasses(writer, layout.channels);
    writer.finish();
}

Result<SymbolLayout> readEarlyPart(std::span<const std::byte> bytes, std::int64_t tokens, std::int64_t channels) {
    SymbolLayout layout;
    layout.rows.resize(static_cast<std::size_t>(tokens));
    layout.channels.resize(static_cast<std::size_t>(channels));
    SideBitReader reader(bytes);
    layout.narrow = reader.get(1) != 0;
    const std::uint32_t streams = reader.get(2);
    if (streams > 2)
        return damagedChunk("header", "there are eight streams");
    layout.streams = 1 << streams;
    layout.hasReferences = reader.get(1) != 0;
    if (layout.hasReferences)
        KVSCOPE_TRY(getRows(reader, layout));
    KVSCOPE_TRY(getClasses(reader, layout.channels));
    if (!reader.atEnd())
        return damagedChunk("table classes", "they are longer or shorter than the header says");
    return layout;
}

void writeLatePart(const SymbolLayout& layout, const ChannelTerms& terms, std::vector<std::byte>& out) {
    SideBitWriter writer(out);
    putModes(writer, layout.channels);
    std::vector<std::uint32_t> numbers;
    numbers.reserve(layout.channels.size());
    for (const SymbolChannel& channel : layout.channels)
        numbers.push_back(zigzagOf(channel.mean));
    putSized(writer, numbers);
    std::ranges::transform(layout.channels, numbers.begin(), [](const auto& channel) { return channel.shift; });
    putNumbers(writer, numbers);
    putUses(writer, layout, terms);
    writer.finish();
}

Result<std::size_t> readLatePart(std::span<const std::byte> bytes, const ChannelTerms& terms, SymbolLayout& layout) {
    SideBitReader reader(bytes);
    KVSCOPE_TRY(getModes(reader, layout.channels));
    std::vector<std::uint32_t> means(layout.channels.size());
    if (!getSized(reader, means))
        return damagedChunk("means", "there is no code for them");
    for (std::size_t c = 0; c < means.size(); ++c)
        layout.channels[c].mean = fromZigzag(means[c]);
    bool good = true;
    getNumbers(reader, layout.channels.size(), [&](std::size_t c, std::uint32_t number) {
        good = good && number <= kMostShift;
        layout.channels[c].shift = static_cast<std::uint8_t>(number);
    });
    if (!good)
        return damagedChunk("means", "a shift is out of range");
    getUses(reader, layout, terms);
    if (!reader.good())
        return damagedChunk("means", "they end too early");
    return reader.bytesRead();
}

std::vector<RowGroup> rowGroups(const SymbolLayout& layout) {
    auto rows = layout.groupRows();
    std::vector<RowGroup> groups(layout.groups);
    std::size_t first = 0;
    for (std::size_t g = 0; g < layout.groups; ++g) {
        groups[g].rows = std::move(rows[g]);
        groups[g].first = first;
        first += groups[g].rows.size();
    }
    return groups;
}

} // namespace kvscope
