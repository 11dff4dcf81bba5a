// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/rans_table.h"

#include "core/codec/bit_stream.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

namespace kvscope {

namespace {

/// log2(value) in units of 2^-16, truncated; value in 1..2^16. Integers only: what it decides ends in files.
std::uint32_t log2Fixed(std::uint32_t value) {
    const int whole = static_cast<int>(std::bit_width(value)) - 1;
    // The mantissa in [1, 2) with 31 fraction bits; each squaring yields the next bit of the logarithm.
    std::uint64_t mantissa = static_cast<std::uint64_t>(value) << (31 - whole);
    std::uint32_t result = static_cast<std::uint32_t>(whole);
    for (int bit = 0; bit < 16; ++bit) {
        mantissa = mantissa * mantissa >> 31;
        const bool carry = mantissa >= std::uint64_t{1} << 32;
        result = result << 1 | (carry ? 1U : 0U);
        mantissa >>= carry ? 1 : 0;
    }
    return result;
}

/// Whether one more slot for a symbol (count a, frequency fa) saves more than one for the other (b, fb). The saving
/// log(1 + 1/f) is 2 / (2f + 1) to well under a percent.
bool savesMore(std::uint64_t a, std::uint64_t fa, std::uint64_t b, std::uint64_t fb) {
    return a * (2 * fb + 1) > b * (2 * fa + 1);
}

/// Shares `slots` out among the symbols that occur, at least one each, for the fewest bits.
RansFrequencies shareSlots(const RansCounts& counts, std::uint32_t slots) {
    RansFrequencies frequencies{};
    const std::uint64_t total =
        std::max<std::uint64_t>(1, std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}));
    std::vector<std::size_t> present;
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        if (counts[i] == 0)
            continue;
        present.push_back(i);
        const std::uint64_t nearest = (counts[i] * std::uint64_t{slots} + total / 2) / total;
        frequencies[i] = static_cast<std::uint16_t>(std::max<std::uint64_t>(nearest, 1));
        sum += frequencies[i];
    }
    // Bits are concave in each frequency: when no single slot is better elsewhere, no set of slots is.
    const auto mostSaving = [&] {
        std::size_t best = present.front();
        for (const std::size_t i : present) {
            if (savesMore(counts[i], frequencies[i], counts[best], frequencies[best]))
                best = i;
        }
        return best;
    };
    const auto leastMissed = [&] {
        std::size_t best = kRansSymbols;
        for (const std::size_t i : present) {
            if (frequencies[i] > 1 && (best == kRansSymbols ||
                                       savesMore(counts[best], frequencies[best] - 1U, counts[i], frequencies[i] - 1U)))
                best = i;
        }
        return best;
    };
    for (; sum < slots; ++sum)
        ++frequencies[mostSaving()];
    for (; sum > slots; --sum)
        --frequencies[leastMissed()];
    for (;;) {
        const std::size_t to = mostSaving();
        const std::size_t from = leastMissed();
        if (from == kRansSymbols || from == to ||
            !savesMore(counts[to], frequencies[to], counts[from], frequencies[from] - 1U))
            return frequencies;
        ++frequencies[to];
        --frequencies[from];
    }
}

/// What a table takes off kRansProbabilityBits a symbol, in 2^-16 bits.
std::uint64_t savedBits(const RansCounts& counts, const RansFrequencies& frequencies) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        if (counts[i] > 0)
            sum += std::uint64_t{counts[i]} * log2Fixed(frequencies[i]);
    }
    return sum;
}

/// An exact table may cost this part of the bits saved.
constexpr std::uint64_t kWorthExactness = 500;

/// Chooses the Rice parameter from the mean of the numbers before, which it forgets by and by.
class RiceModel {
public:
    [[nodiscard]] int parameter() const {
        int parameter = 0;
        while (parameter < 12 && (count_ << parameter) < sum_)
            ++parameter;
        return parameter;
    }

    void update(std::uint32_t value) {
        sum_ += value;
        if (++count_ == 8) {
            count_ /= 2;
            sum_ /= 2;
        }
    }

private:
    std::uint32_t count_ = 1;
    std::uint32_t sum_ = 8;
};

/// Quotients this long are followed by the plain number.
constexpr int kRiceEscape = 12;
constexpr int kPlainBits = 14;

void putRice(BitWriter& writer, std::uint32_t value, int parameter) {
    const std::uint32_t quotient = value >> parameter;
    if (quotient >= kRiceEscape) {
        writer.put((1U << kRiceEscape) - 1, kRiceEscape);
        writer.put(value, kPlainBits);
        return;
    }
    writer.put((1U << quotient) - 1, static_cast<int>(quotient) + 1);
    writer.put(value, parameter);
}

/// Nothing when the number could have been shorter.
std::optional<std::uint32_t> getRice(BitReader& reader, int parameter) {
    std::uint32_t quotient = 0;
    while (quotient < kRiceEscape && reader.get(1) != 0)
        ++quotient;
    if (quotient == kRiceEscape) {
        const std::uint32_t value = reader.get(kPlainBits);
        return value >> parameter < kRiceEscape ? std::nullopt : std::optional(value);
    }
    return quotient << parameter | reader.get(parameter);
}

/// Maps 0, -1, 1, -2, ... to 0, 1, 2, 3, ...
std::uint32_t zigzag(std::int32_t value) {
    return value < 0 ? static_cast<std::uint32_t>(-value) * 2 - 1 : static_cast<std::uint32_t>(value) * 2;
}

std::int32_t unzigzag(std::uint32_t value) {
    const auto half = static_cast<std::int32_t>(value / 2);
    return value % 2 != 0 ? -half - 1 : half;
}

auto badTable(std::string what) {
    return fail(std::move(what), "frequency table", "The data is damaged; get it again.");
}

} // namespace

Result<RansFrequencies> normaliseCounts(const RansCounts& counts) {
    if (std::ranges::all_of(counts, [](std::uint32_t count) { return count == 0; }))
        return fail("there is no symbol to make a frequency table of", "frequency table");
    return shareSlots(counts, kRansTotal);
}

Result<RansFrequencies> normaliseForRegisters(const RansCounts& counts) {
    KVSCOPE_ASSIGN(const auto best, normaliseCounts(counts));
    std::vector<std::size_t> present;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        if (counts[i] > 0)
            present.push_back(i);
    }
    // The rare symbols share the range of small entries, the others all buckets behind it. Where the border lies best
    // depends on the distribution, but it is near where both have their due.
    constexpr std::uint32_t kRange = RansRegisterTable::kExactRange;
    constexpr std::uint32_t kSmall = RansRegisterTable::kExactSlots;
    constexpr std::uint32_t kLarge = RansRegisterTable::kBucketSlots;
    RansFrequencies chosen = best;
    std::uint64_t most = savedBits(counts, best);
    most -= most / kWorthExactness;
    std::uint32_t due = 0;
    for (std::size_t rare = 1; rare < present.size() && due < kRange + kLarge; ++rare) {
        due += best[present[rare - 1]];
        const bool room = rare <= kRange / kSmall && present.size() - rare <= (kRansTotal - kRange) / kLarge;
        if (due + kLarge < kRange || !room)
            continue;
        const auto border = static_cast<std::ptrdiff_t>(present[rare]);
        RansCounts low{};
        RansCounts high{};
        std::copy(counts.begin(), counts.begin() + border, low.begin());
        std::copy(counts.begin() + border, counts.end(), high.begin() + border);
        const RansFrequencies entries = shareSlots(low, kRange / kSmall);
        const RansFrequencies buckets = shareSlots(high, (kRansTotal - kRange) / kLarge);
        RansFrequencies frequencies{};
        for (const std::size_t i : present)
            frequencies[i] = static_cast<std::uint16_t>(entries[i] * kSmall + buckets[i] * kLarge);
        if (const std::uint64_t saved = savedBits(counts, frequencies); saved > most) {
            most = saved;
            chosen = frequencies;
        }
    }
    return chosen;
}

Result<RansTable> RansTable::fromFrequencies(const RansFrequencies& frequencies, const RansNames* names) {
    const std::uint32_t sum = std::accumulate(frequencies.begin(), frequencies.end(), 0U);
    if (sum != kRansTotal)
        return badTable("frequencies add up to " + std::to_string(sum) + " instead of " + std::to_string(kRansTotal));
    auto lookup = std::make_shared<Lookup>();
    lookup->frequency = frequencies;
    lookup->firstSymbol = 255;
    lookup->firstSymbolButZero = 255;
    std::uint32_t slot = 0;
    for (std::uint32_t symbol = 0; symbol < kRansSymbols; ++symbol) {
        const std::uint32_t frequency = frequencies[symbol];
        lookup->first[symbol] = static_cast<std::uint16_t>(slot);
        if (names == nullptr)
            lookup->cost[symbol] =
                frequency == 0 ? kNoCost : (std::uint32_t{kRansProbabilityBits} << 16) - log2Fixed(frequency);
        if (frequency == 0)
            continue;
        lookup->firstSymbol = std::min(lookup->firstSymbol, static_cast<std::uint8_t>(symbol));
        if (symbol > 0)
            lookup->firstSymbolButZero = std::min(lookup->firstSymbolButZero, static_cast<std::uint8_t>(symbol));
        lookup->lastSymbol = static_cast<std::uint8_t>(symbol);
        if (frequency == kRansTotal)
            continue;
        const std::uint32_t name = names != nullptr ? (*names)[symbol] : symbol;
        for (std::uint32_t offset = 0; offset < frequency; ++offset)
            lookup->entries[slot++] = ransEntry(frequency, offset, name);
    }
    lookup->isConstant = lookup->firstSymbol == lookup->lastSymbol;
    if (!lookup->isConstant)
        lookup->registers = makeRegisterTable(frequencies);
    if (!lookup->isConstant && names == nullptr)
        lookup->push = makePushTable(frequencies);
    if (names != nullptr) {
        for (std::uint8_t& symbol : lookup->registers.symbol)
            symbol = (*names)[symbol];
        lookup->firstSymbol = (*names)[lookup->firstSymbol];
    }
    return RansTable(std::move(lookup));
}

std::uint64_t RansTable::costOf(const RansCounts& counts, std::uint32_t escapeCost) const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < counts.size(); ++i)
        sum += std::uint64_t{counts[i]} * std::min(lookup_->cost[i], escapeCost);
    return sum;
}

void writeRansTable(const RansTable& table, std::vector<std::byte>& out) {
    BitWriter writer(out);
    writer.put(table.firstSymbol(), 8);
    writer.put(table.lastSymbol(), 8);
    RiceModel model;
    std::int32_t before = 0;
    for (std::size_t symbol = table.firstSymbol(); symbol < table.lastSymbol(); ++symbol) {
        const std::int32_t frequency = table.frequencies()[symbol];
        const std::uint32_t value = zigzag(frequency - before);
        putRice(writer, value, model.parameter());
        model.update(value);
        before = frequency;
    }
    writer.finish();
}

Result<ReadRansTable> readRansTable(std::span<const std::byte> bytes, const RansNames* names) {
    BitReader reader(bytes);
    const std::uint32_t first = reader.get(8);
    const std::uint32_t last = reader.get(8);
    if (last < first)
        return badTable("the smallest symbol is larger than the largest");
    RansFrequencies frequencies{};
    RiceModel model;
    std::int32_t before = 0;
    std::int32_t sum = 0;
    for (std::size_t symbol = first; symbol < last; ++symbol) {
        const auto value = getRice(reader, model.parameter());
        if (!value)
            return badTable("a frequency table is not in its shortest form");
        model.update(*value);
        const std::int32_t frequency = before + unzigzag(*value);
        sum += frequency;
        if (frequency < 0 || sum >= static_cast<std::int32_t>(kRansTotal))
            return badTable("frequencies are negative or add up to too much");
        frequencies[symbol] = static_cast<std::uint16_t>(frequency);
        before = frequency;
    }
    if (reader.overrun())
        return badTable("the bytes end inside a frequency table");
    if (reader.rest() != 0 || (first < last && frequencies[first] == 0))
        return badTable("a frequency table is not in its shortest form");
    frequencies[last] = static_cast<std::uint16_t>(static_cast<std::int32_t>(kRansTotal) - sum);
    KVSCOPE_ASSIGN(auto table, RansTable::fromFrequencies(frequencies, names));
    return ReadRansTable{std::move(table), reader.bytesRead()};
}

} // namespace kvscope
