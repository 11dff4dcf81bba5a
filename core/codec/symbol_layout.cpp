// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/symbol_layout.h"

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

/// Values by how often they occur, the most frequent first, ties by value.
template <std::size_t Size> std::array<std::uint8_t, Size> byFrequency(const std::array<std::size_t, Size>& counts) {
    std::array<std::uint8_t, Size> order{};
    std::iota(order.begin(), order.end(), std::uint8_t{0});
    std::ranges::stable_sort(order, [&](std::uint8_t a, std::uint8_t b) { return counts[a] > counts[b]; });
    return order;
}

template <std::size_t Size>
void putOrder(SideBitWriter& writer, const std::array<std::uint8_t, Size>& order, int bits) {
    for (const std::uint8_t value : order)
        writer.put(value, bits);
}

/// Reads a permutation of 0..Size-1.
template <std::size_t Size> bool getOrder(SideBitReader& reader, std::array<std::uint8_t, Size>& order, int bits) {
    std::uint32_t seen = 0;
    for (std::uint8_t& value : order) {
        value = static_cast<std::uint8_t>(reader.get(bits));
        seen |= 1U << value;
    }
    return seen == (1U << Size) - 1;
}

template <std::size_t Size> std::uint32_t rankOf(const std::array<std::uint8_t, Size>& order, std::uint8_t value) {
    return static_cast<std::uint32_t>(std::ranges::find(order, value) - order.begin());
}

/// Codes weights by how often they occur.
class WeightCode {
public:
    void count(std::uint8_t weight) { ++counts_[weight - 1U]; }

    void putHeader(SideBitWriter& writer) {
        order_ = byFrequency(counts_);
        // The one weight of all needs no codes.
        single_ = counts_[order_[0]] == std::accumulate(counts_.begin(), counts_.end(), std::size_t{0});
        writer.put(single_ ? 1 : 0, 1);
        if (single_)
            writer.put(order_[0], kWeightBits);
        else
            putOrder(writer, order_, kWeightBits);
    }
    /// No bits for the one weight of all.
    [[nodiscard]] SideCode codeOf(std::uint8_t weight) const {
        return single_ ? SideCode{} : golombCode(rankOf(order_, static_cast<std::uint8_t>(weight - 1)), 0);
    }

    [[nodiscard]] bool getHeader(SideBitReader& reader) {
        single_ = reader.get(1) != 0;
        if (!single_)
            return getOrder(reader, order_, kWeightBits);
        order_[0] = static_cast<std::uint8_t>(reader.get(kWeightBits));
        return true;
    }
    /// 0 when there is no such weight.
    [[nodiscard]] std::uint8_t get(SideBitReader& reader) const {
        const std::uint32_t rank = single_ ? 0 : reader.getGolomb(0);
        return rank < order_.size() ? static_cast<std::uint8_t>(order_[rank] + 1) : std::uint8_t{0};
    }

private:
    static constexpr int kWeightBits = 3;
    std::array<std::size_t, kWholeWeight> counts_{};
    std::array<std::uint8_t, kWholeWeight> order_{};
    bool single_ = false;
};

/// Bits of a distance of the row at index t (at least 1).
int distanceBits(std::size_t t) {
    return static_cast<int>(std::bit_width(std::min<std::size_t>(t, kMostReferenceDistance) - 1));
}

int groupBits(std::size_t groups) {
    return static_cast<int>(std::bit_width(groups - 1));
}

void putRows(SideBitWriter& writer, const SymbolLayout& layout) {
    writer.put(static_cast<std::uint32_t>(layout.groups - 1), 2);
    for (std::size_t g = 1; g < layout.groups; ++g)
        writer.putGolomb(zigzagOf(layout.offsets[g]), 2);
    WeightCode weights;
    for (const SymbolRow& row : layout.rows) {
        if (row.distance > 0 && !row.copy)
            weights.count(row.weight);
    }
    weights.putHeader(writer);
    for (std::size_t t = 0; t < layout.rows.size(); ++t) {
        const SymbolRow& row = layout.rows[t];
        if (t > 0)
            writer.put(row.distance > 0 ? 1 : 0, 1);
        if (row.distance > 0) {
            writer.put(row.distance - 1U, distanceBits(t));
            writer.put(row.copy ? 1 : 0, 1);
            if (row.copy)
                continue;
            writer.put(weights.codeOf(row.weight));
        }
        writer.put(row.group, groupBits(layout.groups));
    }
}

Result<void> getRows(SideBitReader& reader, SymbolLayout& layout) {
    layout.groups = reader.get(2) + 1;
    for (std::size_t g = 1; g < layout.groups; ++g)
        layout.offsets[g] = std::clamp(fromZigzag(reader.getGolomb(2)), -kBankScales, kBankScales);
    WeightCode weights;
    if (!weights.getHeader(reader))
        return damagedChunk("rows", "the weights are not in an order");
    for (std::size_t t = 0; t < layout.rows.size() && reader.good(); ++t) {
        SymbolRow& row = layout.rows[t];
        if (t > 0 && reader.get(1) != 0) {
            row.distance = static_cast<std::uint16_t>(reader.get(distanceBits(t)) + 1);
            if (row.distance > t)
                return damagedChunk("rows", "a row refers to one before the chunk");
            row.copy = reader.get(1) != 0;
            if (row.copy)
                continue;
            row.weight = weights.get(reader);
            if (row.weight == 0)
                return damagedChunk("rows", "a weight is not there");
        }
        row.group = static_cast<std::uint8_t>(reader.get(groupBits(layout.groups)));
        if (row.group >= layout.groups)
            return damagedChunk("rows", "a row is in a group that is not there");
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

void putClasses(SideBitWriter& writer, const std::vector<SymbolChannel>& channels) {
    std::array<std::size_t, kBankShapes> counts{};
    std::vector<std::uint32_t> steps;
    steps.reserve(channels.size());
    LevelModel model;
    for (const SymbolChannel& channel : channels) {
        const int level = levelOf(channel.bankClass);
        steps.push_back(zigzagOf(level - model.expected()));
        if (level > 0)
            ++counts[(channel.bankClass - 1) % kBankShapes];
        model.update(level);
    }
    const auto order = byFrequency(counts);
    putOrder(writer, order, 2);
    const int golomb = bestGolombOrder(steps, 4);
    writer.put(static_cast<std::uint32_t>(golomb), 3);
    // Of class 0, then of the shapes.
    std::array<SideCode, 1 + kBankShapes> shapeCodes;
    for (std::uint8_t shape = 0; shape < kBankShapes; ++shape)
        shapeCodes[shape + 1U] = golombCode(rankOf(order, shape), 0);
    for (std::size_t c = 0; c < channels.size(); ++c) {
        // Both together take less than 32 bits.
        const int bankClass = channels[c].bankClass;
        const std::size_t shape = bankClass > 0 ? static_cast<std::size_t>((bankClass - 1) % kBankShapes + 1) : 0;
        writer.put(golombCode(steps[c], golomb).then(shapeCodes[shape]));
    }
}

Result<void> getClasses(SideBitReader& reader, std::vector<SymbolChannel>& channels) {
    std::array<std::uint8_t, kBankShapes> order{};
    if (!getOrder(reader, order, 2))
        return damagedChunk("table classes", "the shapes are not in an order");
    const int golomb = static_cast<int>(reader.get(3));
    LevelModel model;
    for (SymbolChannel& channel : channels) {
        const std::uint32_t step = reader.getGolomb(golomb);
        if (!reader.good() || step > 4 * kBankScales)
            return damagedChunk("table classes", "a class is out of range");
        const int level = model.expected() + fromZigzag(step);
        model.update(level);
        if (level < 0 || level > kBankScales)
            return damagedChunk("table classes", "a class is out of range");
        if (level == 0)
            continue;
        const std::uint32_t rank = reader.getGolomb(0);
        if (rank >= kBankShapes)
            return damagedChunk("table classes", "a shape is not there");
        channel.bankClass = static_cast<std::uint8_t>(bankClass(level - 1, order[rank]));
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
    std::array<std::size_t, kSymbolModes> counts{};
    for (const SymbolChannel& channel : layout.channels)
        ++counts[static_cast<std::size_t>(channel.mode)];
    const auto order = byFrequency(counts);
    const bool uniform = counts[order[0]] == layout.channels.size();
    writer.put(uniform ? 1 : 0, 1);
    if (uniform)
        writer.put(order[0], 2);
    else
        putOrder(writer, order, 2);
    WeightCode weights;
    for (const SymbolChannel& channel : layout.channels) {
        if (channel.mode == SymbolMode::Previous)
            weights.count(channel.weight);
    }
    weights.putHeader(writer);
    // Of the modes, and of the one before with each weight.
    std::array<std::array<SideCode, kWholeWeight + 1>, kSymbolModes> codes;
    for (std::size_t mode = 0; mode < kSymbolModes; ++mode) {
        const auto named = uniform ? SideCode{} : golombCode(rankOf(order, static_cast<std::uint8_t>(mode)), 0);
        codes[mode].fill(named);
        for (std::uint8_t weight = 1; mode == static_cast<std::size_t>(SymbolMode::Previous) && weight <= kWholeWeight;
             ++weight)
            codes[mode][weight] = named.then(weights.codeOf(weight));
    }
    std::vector<std::uint32_t> numbers;
    numbers.reserve(layout.channels.size());
    for (const SymbolChannel& channel : layout.channels) {
        writer.put(codes[static_cast<std::size_t>(channel.mode)][channel.weight]);
        numbers.push_back(zigzagOf(channel.mean));
    }
    putNumbers(writer, numbers);
    std::ranges::transform(layout.channels, numbers.begin(), [](const auto& channel) { return channel.shift; });
    putNumbers(writer, numbers);
    putUses(writer, layout, terms);
    writer.finish();
}

Result<std::size_t> readLatePart(std::span<const std::byte> bytes, const ChannelTerms& terms, SymbolLayout& layout) {
    SideBitReader reader(bytes);
    const bool uniform = reader.get(1) != 0;
    std::array<std::uint8_t, kSymbolModes> order{};
    if (uniform)
        order.fill(static_cast<std::uint8_t>(reader.get(2)));
    else if (!getOrder(reader, order, 2))
        return damagedChunk("predictors", "they are not in an order");
    WeightCode weights;
    if (!weights.getHeader(reader))
        return damagedChunk("predictors", "the weights are not in an order");
    for (SymbolChannel& channel : layout.channels) {
        const std::uint32_t rank = uniform ? 0 : reader.getGolomb(0);
        if (rank >= kSymbolModes)
            return damagedChunk("predictors", "a predictor is not there");
        channel.mode = static_cast<SymbolMode>(order[rank]);
        if (channel.mode == SymbolMode::Previous)
            channel.weight = weights.get(reader);
        if (channel.weight == 0)
            return damagedChunk("predictors", "a weight is not there");
    }
    getNumbers(reader, layout.channels.size(),
               [&](std::size_t c, std::uint32_t number) { layout.channels[c].mean = fromZigzag(number); });
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
