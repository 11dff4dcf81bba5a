// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/rans.h"
#include "core/codec/side_bits.h"
#include "core/codec/side_bytes.h"
#include "core/codec/symbol_bank.h"
#include "core/codec/symbol_parts.h"
#include "core/codec/symbol_plan.h"
#include "core/codec/symbol_plane.h"
#include "core/codec/symbol_predict.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace kvscope {

namespace {

/// Channels whose rms would exceed this give their low bits away.
constexpr std::int64_t kMostRms = 30;

/// log2(n!) and the like for entropies; n at least 0.
double logGamma2(double x) {
    constexpr double kLog2E = 1.4426950408889634;
    return std::lgamma(x) * kLog2E;
}

/// Order-0 entropy of `count` numbers and the length of their ideal adaptive code over the range that occurs.
struct ChannelEntropy {
    double entropy = 0;
    double adaptive = 0;
};

ChannelEntropy entropyOf(std::vector<std::int32_t>& numbers, bool adaptive) {
    std::ranges::sort(numbers);
    const auto total = static_cast<double>(numbers.size());
    ChannelEntropy result;
    if (numbers.empty())
        return result;
    const double range = static_cast<double>(numbers.back()) - numbers.front() + 1;
    for (std::size_t i = 0; i < numbers.size();) {
        std::size_t end = i;
        while (end < numbers.size() && numbers[end] == numbers[i])
            ++end;
        const auto count = static_cast<double>(end - i);
        result.entropy -= count * std::log2(count / total);
        if (adaptive)
            result.adaptive -= logGamma2(count + 0.5) - logGamma2(0.5);
        i = end;
    }
    if (adaptive)
        result.adaptive += logGamma2(total + range / 2) - logGamma2(range / 2);
    return result;
}

class Encoder {
public:
    Encoder(const SymbolPlane& plane, const SymbolOptions& options)
        : plane_(plane)
        , channels_(static_cast<std::size_t>(plane.channels))
        , options_(options)
        , layout_(planSymbols(plane, options.predictor))
        , groups_(rowGroups(layout_)) {}

    Result<EncodedSymbols> encode() {
        if (plane_.isNarrow)
            takeResiduals(std::span(plane_.narrow));
        else
            takeResiduals(std::span(plane_.wide));
        return assemble();
    }

private:
    template <class Number> void takeResiduals(std::span<const Number> numbers) {
        std::vector<std::uint32_t> order;
        for (const RowGroup& group : groups_)
            order.insert(order.end(), group.rows.begin(), group.rows.end());
        coded_.resize(channels_ * order.size());
        std::vector<std::int32_t> left(order.size());
        for (std::size_t c = 0; c < channels_; ++c) {
            SymbolChannel& channel = layout_.channels[c];
            const Number* column = numbers.data() + c;
            for (std::size_t i = 0; i < order.size(); ++i) {
                const auto t = static_cast<std::int64_t>(order[i]);
                const auto stride = static_cast<std::int64_t>(channels_);
                left[i] = minus(column[t * stride], predicted(channel, layout_.rows[order[i]], t, column, stride));
            }
            codeChannel(c, order, left);
        }
    }

    /// Chooses shift and class for what is left of a channel, and makes its symbols.
    void codeChannel(std::size_t c, const std::vector<std::uint32_t>& order, std::vector<std::int32_t>& left) {
        SymbolChannel& channel = layout_.channels[c];
        double squares = 0;
        for (const std::int32_t number : left)
            squares += static_cast<double>(number) * number;
        const auto count = static_cast<double>(left.size());
        while (squares > count * static_cast<double>(kMostRms * kMostRms) && channel.shift < kMostShift) {
            squares /= 4;
            ++channel.shift;
        }
        std::uint8_t* coded = coded_.data() + c * left.size();
        for (std::size_t i = 0; i < left.size(); ++i) {
            if (channel.shift > 0) {
                const std::int32_t half = 1 << (channel.shift - 1);
                const std::int32_t high = (left[i] + half) >> channel.shift;
                rawBits_.push_back(static_cast<std::uint32_t>(left[i] + half - (high << channel.shift)));
                left[i] = high;
            }
            coded[i] = static_cast<std::uint8_t>(std::clamp(left[i], 1 - kBankZero, kBankZero - 1) + kBankZero);
        }
        channel.bankClass = static_cast<std::uint8_t>(chooseClass(coded));
        for (std::size_t g = 0; g < groups_.size(); ++g) {
            const int most = SymbolBank::get().most(shiftedClass(channel.bankClass, layout_.offsets[g]));
            for (std::size_t i = groups_[g].first; i < groups_[g].first + groups_[g].rows.size(); ++i) {
                const std::int32_t nearest = std::clamp(left[i], -most, most);
                if (nearest == left[i])
                    continue;
                exceptions_.push_back(
                    {std::uint64_t{order[i]} * channels_ + c, static_cast<std::uint32_t>(std::abs(left[i] - nearest))});
                coded[i] = static_cast<std::uint8_t>(nearest + kBankZero);
            }
        }
        const ChannelEntropy entropy = entropyOf(left, options_.adaptiveBits);
        result_.entropyBits += entropy.entropy + count * channel.shift;
        result_.adaptiveBits += entropy.adaptive + count * channel.shift;
    }

    /// The class whose tables code the symbols of a channel in the fewest bits.
    int chooseClass(const std::uint8_t* coded) {
        const SymbolBank& bank = SymbolBank::get();
        // Shapes other than the most common one take more bits to name.
        constexpr std::uint32_t kShapeBits = 2 << 8;
        std::array<std::uint32_t, kBankClasses> costs{};
        for (int i = 1; i < kBankClasses; ++i)
            costs[static_cast<std::size_t>(i)] = (i - 1) % kBankShapes == 0 ? 0 : kShapeBits;
        bool allZero = true;
        for (std::size_t g = 0; g < groups_.size(); ++g) {
            RansCounts counts{};
            const RowGroup& group = groups_[g];
            for (std::size_t i = group.first; i < group.first + group.rows.size(); ++i)
                ++counts[coded[i]];
            allZero = allZero && counts[kBankZero] == group.rows.size();
            for (std::size_t symbol = 0; symbol < kRansSymbols; ++symbol) {
                if (counts[symbol] == 0)
                    continue;
                const auto& row = bank.costs(static_cast<std::uint8_t>(symbol));
                for (int i = 1; i < kBankClasses; ++i)
                    costs[static_cast<std::size_t>(i)] +=
                        counts[symbol] * row[static_cast<std::size_t>(shiftedClass(i, layout_.offsets[g]) - 1)];
            }
        }
        if (allZero)
            return 0;
        return static_cast<int>(std::min_element(costs.begin() + 1, costs.end()) - costs.begin());
    }

    Result<EncodedSymbols> assemble() {
        std::vector<std::byte> early;
        writeEarlyPart(layout_, early);
        std::vector<std::byte> late;
        writeLatePart(layout_, late);
        const std::size_t lateTables = late.size();
        writeRawBits(late);
        const std::size_t lateRaw = late.size() - lateTables;
        writeExceptions(late);

        std::vector<std::byte>& out = result_.bytes;
        out.push_back(static_cast<std::byte>(SymbolForm::Coded));
        putLeb128(early.size(), out);
        putLeb128(late.size(), out);
        result_.parts[BytePart::Header] = static_cast<std::int64_t>(out.size());
        out.insert(out.end(), early.begin(), early.end());

        const auto order = layout_.channelOrder();
        std::span<const std::byte> unsent = late;
        RansEncoder coder;
        std::vector<std::byte> blob;
        for (std::size_t g = 0; g < groups_.size(); ++g) {
            const auto rows = ransRows(g, order);
            const auto tokens = static_cast<std::int64_t>(groups_[g].rows.size());
            const auto room = static_cast<std::size_t>(ransPayloadCapacity(rows, tokens, layout_.streams));
            const auto payload = unsent.first(std::min(room, unsent.size()));
            unsent = unsent.subspan(payload.size());
            blob.clear();
            KVSCOPE_TRY(coder.encode(rows, tokens, layout_.streams, payload, blob));
            const std::size_t before = out.size();
            putLeb128(blob.size(), out);
            result_.parts[BytePart::Header] += static_cast<std::int64_t>(out.size() - before);
            result_.parts[BytePart::Payload] += static_cast<std::int64_t>(blob.size() - payload.size());
            out.insert(out.end(), blob.begin(), blob.end());
        }
        out.insert(out.end(), unsent.begin(), unsent.end());
        result_.parts[BytePart::Tables] = static_cast<std::int64_t>(early.size() + lateTables);
        result_.parts[BytePart::Payload] += static_cast<std::int64_t>(lateRaw);
        result_.parts[BytePart::Exceptions] = static_cast<std::int64_t>(late.size() - lateTables - lateRaw);
        countChannelBits();
        return std::move(result_);
    }

    std::vector<RansRow> ransRows(std::size_t g, const std::vector<std::uint32_t>& order) const {
        const SymbolBank& bank = SymbolBank::get();
        std::vector<RansRow> rows;
        rows.reserve(channels_);
        const std::size_t stride = codedRows(groups_);
        for (const std::uint32_t c : order)
            rows.push_back({&bank.table(shiftedClass(layout_.channels[c].bankClass, layout_.offsets[g])),
                            coded_.data() + c * stride + groups_[g].first});
        return rows;
    }

    void writeRawBits(std::vector<std::byte>& out) const {
        SideBitWriter writer(out);
        std::size_t next = 0;
        const std::size_t rows = codedRows(groups_);
        for (const SymbolChannel& channel : layout_.channels) {
            for (std::size_t i = 0; channel.shift > 0 && i < rows; ++i)
                writer.put(rawBits_[next++], channel.shift);
        }
        writer.finish();
    }

    void writeExceptions(std::vector<std::byte>& out) {
        putLeb128(exceptions_.size(), out);
        if (exceptions_.empty())
            return;
        std::ranges::sort(exceptions_, {}, &SymbolException::place);
        std::vector<std::uint32_t> gaps;
        std::vector<std::uint32_t> excesses;
        std::uint64_t next = 0;
        for (const SymbolException& exception : exceptions_) {
            gaps.push_back(static_cast<std::uint32_t>(exception.place - next));
            excesses.push_back(exception.excess - 1);
            next = exception.place + 1;
        }
        const int gapOrder = bestGolombOrder(gaps);
        const int excessOrder = bestGolombOrder(excesses);
        SideBitWriter writer(out);
        writer.put(static_cast<std::uint32_t>(gapOrder), kGolombOrderBits);
        writer.put(static_cast<std::uint32_t>(excessOrder), kGolombOrderBits);
        for (std::size_t i = 0; i < gaps.size(); ++i) {
            writer.putGolomb(gaps[i], gapOrder);
            writer.putGolomb(excesses[i], excessOrder);
        }
        writer.finish();
    }

    void countChannelBits() {
        const SymbolBank& bank = SymbolBank::get();
        const std::size_t rows = codedRows(groups_);
        result_.channelBits.assign(channels_, 0);
        for (std::size_t c = 0; c < channels_; ++c) {
            const SymbolChannel& channel = layout_.channels[c];
            double bits = static_cast<double>(rows) * channel.shift;
            for (std::size_t g = 0; g < groups_.size() && channel.bankClass > 0; ++g) {
                const auto& costs = bank.table(shiftedClass(channel.bankClass, layout_.offsets[g])).costs();
                std::uint64_t sum = 0;
                for (std::size_t i = groups_[g].first; i < groups_[g].first + groups_[g].rows.size(); ++i)
                    sum += costs[coded_[c * rows + i]];
                bits += static_cast<double>(sum) / 65536;
            }
            result_.channelBits[c] = static_cast<float>(bits);
        }
    }

    const SymbolPlane& plane_;
    std::size_t channels_;
    SymbolOptions options_;
    SymbolLayout layout_;
    std::vector<RowGroup> groups_;
    /// Symbols of the coded rows, [channel][coded row].
    std::vector<std::uint8_t> coded_;
    std::vector<std::uint32_t> rawBits_;
    std::vector<SymbolException> exceptions_;
    EncodedSymbols result_;
};

/// Bits of the range of the numbers.
template <class Number> int widthOf(std::span<const Number> numbers) {
    const auto [least, most] = std::ranges::minmax(numbers);
    return std::bit_width(static_cast<std::uint32_t>(most - least));
}

template <class Number> EncodedSymbols pack(std::span<const Number> numbers, const std::vector<std::int32_t>& means) {
    EncodedSymbols packed;
    packed.bytes.push_back(static_cast<std::byte>(SymbolForm::Packed));
    SideBitWriter writer(packed.bytes);
    std::vector<std::uint32_t> zigzags(means.size());
    std::ranges::transform(means, zigzags.begin(), zigzagOf);
    putNumbers(writer, zigzags);
    const std::size_t tables = packed.bytes.size();
    const Number least = std::ranges::min(numbers);
    const int width = widthOf(numbers);
    writer.put(static_cast<std::uint32_t>(width), kGolombOrderBits);
    writer.putGolomb(zigzagOf(least), 2);
    for (const Number number : numbers)
        writer.put(static_cast<std::uint32_t>(number - least), width);
    writer.finish();
    packed.parts[BytePart::Header] = 1;
    packed.parts[BytePart::Tables] = static_cast<std::int64_t>(tables) - 1;
    packed.parts[BytePart::Payload] = static_cast<std::int64_t>(packed.bytes.size() - tables);
    return packed;
}

} // namespace

Result<EncodedSymbols> encodePlane(const SymbolPlane& plane, const SymbolOptions& options) {
    if (plane.tokens == 0 || plane.channels == 0) {
        EncodedSymbols empty;
        empty.bytes.push_back(static_cast<std::byte>(SymbolForm::Packed));
        empty.parts[BytePart::Header] = 1;
        return empty;
    }
    KVSCOPE_ASSIGN(auto coded, Encoder(plane, options).encode());
    const int width = plane.isNarrow ? widthOf(std::span(plane.narrow)) : widthOf(std::span(plane.wide));
    const auto values = static_cast<std::uint64_t>(plane.tokens) * static_cast<std::uint64_t>(plane.channels);
    if (coded.bytes.size() * 8 <= values * static_cast<std::uint64_t>(width))
        return coded;
    auto packed =
        plane.isNarrow ? pack(std::span(plane.narrow), plane.means) : pack(std::span(plane.wide), plane.means);
    if (coded.bytes.size() <= packed.bytes.size())
        return coded;
    packed.entropyBits = coded.entropyBits;
    packed.adaptiveBits = coded.adaptiveBits;
    return packed;
}

} // namespace kvscope
