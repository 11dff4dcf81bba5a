// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/class_kernels.h"
#include "core/codec/encode_kernels.h"
#include "core/codec/narrow_modes.h"
#include "core/codec/rans.h"
#include "core/codec/side_bits.h"
#include "core/codec/side_bytes.h"
#include "core/codec/symbol_bank.h"
#include "core/codec/symbol_parts.h"
#include "core/codec/symbol_plan.h"
#include "core/codec/symbol_plane.h"
#include "core/codec/symbol_predict.h"
#include "core/codec/symbol_terms.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>
#include <utility>

namespace kvscope {

namespace {

/// Channels whose rms would exceed this give their low bits away.
constexpr std::int64_t kMostRms = 30;
constexpr std::size_t kMostLebBytes = 10;

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

/// Adds up what the numbers of a channel tell, one distinct number after the other.
class EntropySum {
public:
    explicit EntropySum(bool adaptive)
        : adaptive_(adaptive) {}

    /// A number that occurs so often.
    void add(std::uint32_t count) {
        if (count == 0)
            return;
        const auto times = static_cast<double>(count);
        total_ += times;
        logs_ += times * std::log2(times);
        if (adaptive_)
            gammas_ += logGamma2(times + 0.5) - logGamma2(0.5);
    }

    /// The numbers lay within `range` neighbours.
    [[nodiscard]] ChannelEntropy result(double range) const {
        if (total_ == 0)
            return {};
        const double adaptive = adaptive_ ? logGamma2(total_ + range / 2) - logGamma2(range / 2) - gammas_ : 0;
        return {total_ * std::log2(total_) - logs_, adaptive};
    }

private:
    bool adaptive_;
    double total_ = 0;
    double logs_ = 0;
    double gammas_ = 0;
};

ChannelEntropy entropyOf(std::vector<std::int32_t>& numbers, bool adaptive) {
    if (numbers.empty())
        return {};
    std::ranges::sort(numbers);
    EntropySum sum(adaptive);
    for (std::size_t i = 0; i < numbers.size();) {
        std::size_t end = i;
        while (end < numbers.size() && numbers[end] == numbers[i])
            ++end;
        sum.add(static_cast<std::uint32_t>(end - i));
        i = end;
    }
    return sum.result(static_cast<double>(numbers.back()) - numbers.front() + 1);
}

class Encoder {
public:
    Encoder(const SymbolPlane& plane, SymbolLayout layout, const SymbolOptions& options)
        : plane_(plane)
        , channels_(static_cast<std::size_t>(plane.channels))
        , options_(options)
        , layout_(std::move(layout))
        , groups_(rowGroups(layout_)) {
        for (std::size_t c = 0; c < channels_; ++c)
            layout_.channels[c].mean = plane.means[c];
    }

    Result<EncodedSymbols> encode() {
        if (plane_.isNarrow && takeNarrow())
            return assemble();
        for (SymbolChannel& channel : layout_.channels)
            channel.usesTerms = false;
        rawBits_.clear();
        exceptions_.clear();
        result_ = {};
        if (plane_.isNarrow)
            takeResiduals(std::span(plane_.narrow));
        else
            takeResiduals(std::span(plane_.wide));
        return assemble();
    }

private:
    /// Symbols, classes and exceptions of a narrow plane; false when a channel needs a shift.
    bool takeNarrow() {
        const std::size_t rows = codedRows(groups_);
        const std::size_t stride = channels_ + 64;
        RawVector<std::uint8_t> symbols(rows * stride);
        std::vector<SymbolException> beyond;
        const NarrowModes modes(layout_.channels);
        for (const RowGroup& group : groups_) {
            for (std::size_t i = 0; i < group.rows.size(); ++i) {
                const std::size_t t = group.rows[i];
                const std::int16_t* now = plane_.narrow.data() + t * channels_;
                if (!symbolsOfRow(now, modes.factors(), modes.rows(layout_.rows[t], t, now, channels_), channels_,
                                  symbols.data() + (group.first + i) * stride))
                    takeBeyond(t, beyond);
            }
        }
        coded_.resize(channels_ * rows);
        transposeBytes(symbols.data(), stride, rows, channels_, coded_.data(), rows);
        // Rows beyond what the sums of squares hold are rare, and so are numbers beyond the symbols.
        constexpr std::size_t kMostTermRows = 65535;
        const bool mayUseTerms = options_.terms != nullptr && !options_.terms->empty() && beyond.empty() && rows > 0 &&
                                 rows <= kMostTermRows;
        if (!(mayUseTerms ? codeWithTerms(rows) : codeAll(rows)))
            return false;
        std::ranges::sort(exceptions_, {}, &SymbolException::place);
        mergeExceptions(beyond);
        return true;
    }

    bool codeAll(std::size_t rows) {
        for (std::size_t c = 0; c < channels_; ++c) {
            if (!codeNarrow(c, rows))
                return false;
        }
        return true;
    }

    /// The same, each channel less what its terms predict where that saves bits.
    bool codeWithTerms(std::size_t rows) {
        // What the decoder will have put back: without exceptions.
        RawVector<std::uint8_t> restored(coded_);
        RawVector<std::uint8_t> left(rows);
        const SymbolTerms terms(*options_.terms, groups_);
        layout_.groupUsesTerms = terms.chooseGroups(coded_.data());
        for (std::size_t c = 0; c < channels_; ++c) {
            std::uint8_t* coded = coded_.data() + c * rows;
            bool& uses = layout_.channels[c].usesTerms;
            uses = terms.take(c, layout_.groupUsesTerms, restored.data(), coded, left.data()) > 0;
            if (uses)
                std::ranges::copy(left, coded);
            const std::size_t exceptions = exceptions_.size();
            if (!codeNarrow(c, rows))
                return false;
            if (exceptions_.size() == exceptions)
                continue;
            std::copy_n(coded, rows, restored.data() + c * rows);
            if (uses)
                terms.putBack(c, layout_.groupUsesTerms, restored.data());
        }
        return true;
    }

    /// Notes what the symbols of a row cannot hold.
    void takeBeyond(std::size_t t, std::vector<SymbolException>& beyond) const {
        const auto stride = static_cast<std::int64_t>(channels_);
        for (std::size_t c = 0; c < channels_; ++c) {
            const std::int16_t* column = plane_.narrow.data() + c;
            const auto at = static_cast<std::int64_t>(t);
            const int left =
                minus(column[at * stride], predicted(layout_.channels[c], layout_.rows[t], at, column, stride));
            if (std::abs(left) >= kBankZero)
                beyond.push_back({t * channels_ + c, static_cast<std::uint32_t>(std::abs(left) - (kBankZero - 1))});
        }
    }

    /// Adds to the exceptions what lies beyond the symbols themselves.
    void mergeExceptions(std::vector<SymbolException>& beyond) {
        std::ranges::sort(beyond, {}, &SymbolException::place);
        std::vector<SymbolException> merged;
        merged.reserve(exceptions_.size() + beyond.size());
        std::ranges::merge(exceptions_, beyond, std::back_inserter(merged), {}, &SymbolException::place,
                           &SymbolException::place);
        exceptions_.clear();
        for (const SymbolException& one : merged) {
            if (!exceptions_.empty() && exceptions_.back().place == one.place)
                exceptions_.back().excess += one.excess;
            else
                exceptions_.push_back(one);
        }
    }

    /// Class and exceptions of a channel whose symbols are in place; false when it needs a shift.
    bool codeNarrow(std::size_t c, std::size_t rows) {
        SymbolChannel& channel = layout_.channels[c];
        std::uint8_t* coded = coded_.data() + c * rows;
        const SymbolBank& bank = SymbolBank::get();
        std::array<SymbolSizes, kMostRowGroups> sizes;
        std::uint64_t sum = 0;
        int most = 0;
        for (std::size_t g = 0; g < groups_.size(); ++g) {
            sizes[g] = sizesOf(coded + groups_[g].first, groups_[g].rows.size());
            sum += sizes[g].sum;
            most = std::max<int>(most, sizes[g].largest);
        }
        if (most > kMostRms && squaresOf(coded, rows) > static_cast<std::int64_t>(rows) * kMostRms * kMostRms)
            return false;
        channel.bankClass = most == 0 ? std::uint8_t{0} : classNear(coded, sizes, sum, rows);
        if (options_.statistics || options_.adaptiveBits)
            countEntropy(c, coded, rows);
        for (std::size_t g = 0; g < groups_.size(); ++g) {
            const int largest = bank.most(shiftedClass(channel.bankClass, layout_.offsets[g]));
            if (sizes[g].largest <= largest)
                continue;
            for (std::size_t i = groups_[g].first; i < groups_[g].first + groups_[g].rows.size(); ++i) {
                const int number = coded[i] - kBankZero;
                const int nearest = std::clamp(number, -largest, largest);
                if (nearest == number)
                    continue;
                exceptions_.push_back({std::uint64_t{groups_[g].rows[i - groups_[g].first]} * channels_ + c,
                                       static_cast<std::uint32_t>(std::abs(number - nearest))});
                coded[i] = static_cast<std::uint8_t>(nearest + kBankZero);
            }
        }
        return true;
    }

    static std::int64_t squaresOf(const std::uint8_t* coded, std::size_t rows) {
        return std::accumulate(coded, coded + rows, std::int64_t{0}, [](std::int64_t squares, std::uint8_t symbol) {
            const std::int64_t number = symbol - kBankZero;
            return squares + number * number;
        });
    }

    /// The cheapest class among those of a spread near the mean size of the symbols.
    [[nodiscard]] std::uint8_t classNear(const std::uint8_t* coded,
                                         const std::array<SymbolSizes, kMostRowGroups>& sizes, std::uint64_t sum,
                                         std::size_t rows) const {
        const std::uint64_t ratio = (sum << 16) / rows + 1;
        const int width = static_cast<int>(std::bit_width(ratio));
        // Four times the logarithm of the mean size, and a quarter octave for the spread above it.
        const int size = (width - 17) * 4 + static_cast<int>(std::rotr(ratio, width) >> 61 & 3U) + 1;
        // Rounding to zero hides small spreads.
        int scale = kBankUnitScale + (size >= -3    ? size
                                      : size >= -7  ? (size - 3) / 2
                                      : size >= -13 ? (size - 8) / 3
                                                    : (size - 15) / 4);
        // References shrink some groups: the class is that of group 0.
        for (std::size_t g = 1; g < groups_.size(); ++g)
            scale += static_cast<int>(-layout_.offsets[g] * static_cast<std::int64_t>(groups_[g].rows.size()) /
                                      static_cast<std::int64_t>(rows));
        constexpr int kScalesTried = 5;
        scale = std::clamp(scale - kScalesTried / 2, 0, kBankScales - kScalesTried);
        // Shapes other than the most common one take more bits to name.
        constexpr std::uint32_t kOther = 2 << 8;
        // The last is no class.
        constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max() / 2;
        static_assert(kScalesTried * kBankShapes == 15 && kBankShapes == 3);
        alignas(64) std::array<std::uint32_t, 16> costs{0,      kOther, kOther, 0,      kOther, kOther, 0,      kOther,
                                                        kOther, 0,      kOther, kOther, 0,      kOther, kOther, kNone};
        const SymbolBank& bank = SymbolBank::get();
        for (std::size_t g = 0; g < groups_.size() && rows > 0; ++g) {
            const int column = (scale + layout_.offsets[g]) * kBankShapes;
            addCosts(coded + groups_[g].first, groups_[g].rows.size(), sizes[g].largest, bank.costColumns(column),
                     SymbolBank::kCostColumns, costs.data());
        }
        costs.back() = kNone;
        return static_cast<std::uint8_t>(1 + scale * kBankShapes + cheapestOf(costs.data()));
    }

    /// Adds the entropies of a channel.
    void countEntropy(std::size_t c, const std::uint8_t* coded, std::size_t rows) {
        RansCounts counts{};
        for (std::size_t i = 0; i < rows; ++i)
            ++counts[coded[i]];
        const auto occurs = [](std::uint32_t count) { return count > 0; };
        const auto first = std::ranges::find_if(counts, occurs);
        if (first == counts.end())
            return;
        const auto behind = std::find_if(counts.rbegin(), counts.rend(), occurs).base();
        EntropySum entropy(options_.adaptiveBits);
        std::for_each(first, behind, [&](std::uint32_t count) { entropy.add(count); });
        addEntropy(c, entropy.result(static_cast<double>(behind - first)), 0);
    }

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
        if (!options_.statistics && !options_.adaptiveBits)
            return;
        addEntropy(c, entropyOf(left, options_.adaptiveBits), count * channel.shift);
    }

    /// Adds what a channel's symbols hold, and the bits below them that are stored as they are.
    void addEntropy(std::size_t c, const ChannelEntropy& entropy, double rawBits) {
        result_.entropyBits += entropy.entropy + rawBits;
        result_.adaptiveBits += entropy.adaptive + rawBits;
        result_.channelEntropyBits.resize(channels_);
        result_.channelEntropyBits[c] += static_cast<float>(entropy.entropy + rawBits);
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
            for (int symbol = 1; symbol < static_cast<int>(kRansSymbols); ++symbol) {
                const std::uint32_t count = counts[static_cast<std::size_t>(symbol)];
                for (int i = 1; i < kBankClasses && count > 0; ++i)
                    costs[static_cast<std::size_t>(i)] +=
                        count * bank.cost(std::abs(symbol - kBankZero), shiftedClass(i, layout_.offsets[g]));
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
        writeLatePart(layout_, options_.terms != nullptr ? *options_.terms : ChannelTerms(), late);
        const std::size_t lateTables = late.size();
        writeRawBits(late);
        const std::size_t lateRaw = late.size() - lateTables;
        writeExceptions(late);

        std::vector<std::byte>& out = result_.bytes;
        const std::size_t front = options_.front.size();
        out.assign(options_.front.begin(), options_.front.end());
        out.push_back(static_cast<std::byte>(SymbolForm::Coded));
        putLeb128(early.size(), out);
        putLeb128(late.size(), out);
        result_.parts[BytePart::Header] = static_cast<std::int64_t>(out.size() - front);
        out.insert(out.end(), early.begin(), early.end());

        const auto order = layout_.channelOrder();
        std::span<const std::byte> unsent = late;
        RansEncoder coder;
        for (std::size_t g = 0; g < groups_.size(); ++g) {
            const auto rows = ransRows(g, order);
            const auto tokens = static_cast<std::int64_t>(groups_[g].rows.size());
            const auto room = static_cast<std::size_t>(ransPayloadCapacity(rows, tokens, layout_.streams));
            const auto payload = unsent.first(std::min(room, unsent.size()));
            unsent = unsent.subspan(payload.size());
            KVSCOPE_ASSIGN(const auto length, coder.code(rows, tokens, layout_.streams, payload));
            if (g + 1 == groups_.size())
                out.reserve(out.size() + kMostLebBytes + length + unsent.size());
            const std::size_t before = out.size();
            putLeb128(length, out);
            result_.parts[BytePart::Header] += static_cast<std::int64_t>(out.size() - before);
            result_.parts[BytePart::Payload] +=
                static_cast<std::int64_t>(length) - static_cast<std::int64_t>(payload.size());
            coder.append(out);
        }
        out.insert(out.end(), unsent.begin(), unsent.end());
        result_.parts[BytePart::Tables] = static_cast<std::int64_t>(early.size() + lateTables);
        result_.parts[BytePart::Payload] += static_cast<std::int64_t>(lateRaw);
        result_.parts[BytePart::Exceptions] = static_cast<std::int64_t>(late.size() - lateTables - lateRaw);
        if (options_.statistics)
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
    RawVector<std::uint8_t> coded_;
    std::vector<std::uint32_t> rawBits_;
    std::vector<SymbolException> exceptions_;
    EncodedSymbols result_;
};

/// Bits of the range of the numbers.
template <class Number> int widthOf(std::span<const Number> numbers) {
    Number least = numbers.front();
    Number most = least;
    for (const Number number : numbers) {
        least = std::min(least, number);
        most = std::max(most, number);
    }
    return std::bit_width(static_cast<std::uint32_t>(most - least));
}

template <class Number>
EncodedSymbols pack(std::span<const Number> numbers, const std::vector<std::int32_t>& means,
                    std::span<const std::byte> front) {
    EncodedSymbols packed;
    packed.bytes.assign(front.begin(), front.end());
    packed.bytes.push_back(static_cast<std::byte>(SymbolForm::Packed));
    SideBitWriter writer(packed.bytes);
    std::vector<std::uint32_t> zigzags(means.size());
    std::ranges::transform(means, zigzags.begin(), zigzagOf);
    putNumbers(writer, zigzags);
    const std::size_t tables = writer.bytesBefore() - front.size();
    const Number least = std::ranges::min(numbers);
    const int width = widthOf(numbers);
    writer.put(static_cast<std::uint32_t>(width), kGolombOrderBits);
    writer.putGolomb(zigzagOf(least), 2);
    for (const Number number : numbers)
        writer.put(static_cast<std::uint32_t>(number - least), width);
    writer.finish();
    packed.parts[BytePart::Header] = 1;
    packed.parts[BytePart::Tables] = static_cast<std::int64_t>(tables) - 1;
    packed.parts[BytePart::Payload] = static_cast<std::int64_t>(packed.bytes.size() - front.size() - tables);
    return packed;
}

} // namespace

Result<EncodedSymbols> encodePlane(const SymbolPlane& plane, const SymbolOptions& options) {
    const bool empty = plane.tokens == 0 || plane.channels == 0;
    return encodePlane(plane, empty ? SymbolLayout() : planSymbols(plane, options.predictor).layout, options);
}

Result<EncodedSymbols> encodePlane(const SymbolPlane& plane, SymbolLayout layout, const SymbolOptions& options) {
    if (plane.tokens == 0 || plane.channels == 0) {
        EncodedSymbols empty;
        empty.bytes.assign(options.front.begin(), options.front.end());
        empty.bytes.push_back(static_cast<std::byte>(SymbolForm::Packed));
        empty.parts[BytePart::Header] = 1;
        return empty;
    }
    KVSCOPE_ASSIGN(auto coded, Encoder(plane, std::move(layout), options).encode());
    const auto values = static_cast<std::uint64_t>(plane.tokens) * static_cast<std::uint64_t>(plane.channels);
    // Some of the numbers usually say enough.
    constexpr std::size_t kSome = 1024;
    const auto widthOfSome = [&](std::size_t count) {
        return plane.isNarrow ? widthOf(std::span(plane.narrow).first(count))
                              : widthOf(std::span(plane.wide).first(count));
    };
    const auto few = static_cast<std::uint64_t>(widthOfSome(std::min<std::size_t>(kSome, values)));
    const std::size_t size = coded.bytes.size() - options.front.size();
    const auto width = size * 8 <= values * few ? few : static_cast<std::uint64_t>(widthOfSome(values));
    if (size * 8 <= values * width)
        return coded;
    auto packed = plane.isNarrow ? pack(std::span(plane.narrow), plane.means, options.front)
                                 : pack(std::span(plane.wide), plane.means, options.front);
    if (coded.bytes.size() <= packed.bytes.size())
        return coded;
    packed.entropyBits = coded.entropyBits;
    packed.channelEntropyBits = std::move(coded.channelEntropyBits);
    packed.adaptiveBits = coded.adaptiveBits;
    return packed;
}

} // namespace kvscope
