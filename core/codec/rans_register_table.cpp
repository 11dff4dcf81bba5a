// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/rans_register_table.h"

#include <algorithm>
#include <span>
#include <vector>

namespace kvscope {

namespace {

/// A frequency of which a bucket meets at most two others.
constexpr std::uint32_t kRare = RansRegisterTable::kBucketSlots / 2;
constexpr std::uint32_t kMostCorrections = 3;

/// How many symbols at most begin inside of one bucket behind the direct slots, ranks begun at `begin`.
std::uint32_t correctionsFrom(std::span<const std::uint16_t> frequencies, std::size_t begin) {
    std::array<std::uint32_t, kRansTotal / RansRegisterTable::kBucketSlots> inside{};
    std::uint32_t slot = 0;
    std::uint32_t most = 1;
    for (std::size_t i = 0; i < frequencies.size(); ++i) {
        if (slot >= RansRegisterTable::kDirectEntries && slot % RansRegisterTable::kBucketSlots != 0)
            most = std::max(most, ++inside[slot / RansRegisterTable::kBucketSlots]);
        slot += frequencies[(begin + i) % frequencies.size()];
    }
    return most;
}

bool isExact(std::span<const std::uint16_t> frequencies) {
    std::uint32_t slot = 0;
    for (const std::uint16_t frequency : frequencies) {
        const bool direct = slot < RansRegisterTable::kExactRange;
        if (slot % (direct ? RansRegisterTable::kExactSlots : RansRegisterTable::kBucketSlots) != 0)
            return false;
        slot += frequency;
    }
    return true;
}

} // namespace

RansRegisterTable makeRegisterTable(const std::array<std::uint16_t, 256>& frequencies) {
    RansRegisterTable table;
    std::vector<std::uint16_t> present;
    std::vector<std::uint8_t> symbols;
    for (std::size_t symbol = 0; symbol < frequencies.size(); ++symbol) {
        if (frequencies[symbol] == 0)
            continue;
        present.push_back(frequencies[symbol]);
        symbols.push_back(static_cast<std::uint8_t>(symbol));
    }
    if (present.size() > RansRegisterTable::kMostSymbols)
        return table;

    // Begin where the rare symbols do: those at both ends of a bell are neighbours here.
    const bool exact = isExact(present);
    std::size_t begin = 0;
    std::uint32_t corrections = exact ? 0 : correctionsFrom(present, 0);
    for (std::size_t i = 0; i < present.size() && !exact; ++i) {
        if (present[i] >= 2 * kRare || present[(i + present.size() - 1) % present.size()] < kRare)
            continue;
        const std::uint32_t here = correctionsFrom(present, i);
        if (here < corrections) {
            corrections = here;
            begin = i;
        }
    }
    if (corrections > kMostCorrections)
        return table;

    table.fits = true;
    table.corrections = static_cast<std::uint8_t>(corrections);
    for (std::size_t i = 0; i < begin; ++i)
        table.start = static_cast<std::uint16_t>(table.start + present[i]);
    const std::uint32_t entrySlots = exact ? RansRegisterTable::kExactSlots : 1;
    std::uint32_t slot = 0;
    for (std::size_t rank = 0; rank < present.size(); ++rank) {
        const std::size_t from = (begin + rank) % present.size();
        const std::uint32_t end = slot + present[from];
        table.symbol[rank] = symbols[from];
        table.frequency[rank] = present[from];
        table.first[rank] = static_cast<std::uint16_t>(slot);
        table.next[rank] = static_cast<std::uint16_t>(end);
        // Entries whose first slot the symbol has.
        const auto fill = [&](std::span<std::uint8_t> entries, std::uint32_t slots) {
            for (std::uint32_t at = (slot + slots - 1) / slots; at < entries.size() && at * slots < end; ++at)
                entries[at] = static_cast<std::uint8_t>(rank);
        };
        fill(table.direct, entrySlots);
        fill(table.bucket, RansRegisterTable::kBucketSlots);
        slot = end;
    }
    return table;
}

RansPushTable makePushTable(const std::array<std::uint16_t, 256>& frequencies) {
    RansPushTable table;
    const auto isPresent = [](std::uint16_t frequency) { return frequency > 0; };
    const auto first = std::ranges::find_if(frequencies, isPresent) - frequencies.begin();
    const auto behind = std::find_if(frequencies.rbegin(), frequencies.rend(), isPresent).base() - frequencies.begin();
    if (behind - first > RansPushTable::kEntries)
        return table;
    table.fits = true;
    table.firstSymbol = static_cast<std::uint8_t>(first);
    table.lastSymbol = static_cast<std::uint8_t>(behind - 1);
    std::uint32_t slot = 0;
    for (auto symbol = static_cast<std::size_t>(first); symbol < static_cast<std::size_t>(behind); ++symbol) {
        const std::uint32_t frequency = frequencies[symbol];
        const std::size_t entry = symbol % RansPushTable::kEntries;
        if (frequency == 0)
            continue;
        table.slots[entry] = frequency | slot << 16;
        table.reciprocal[entry] = 1.0F / static_cast<float>(frequency) * (1 - 0x1.8p-21F);
        slot += frequency;
    }
    return table;
}

} // namespace kvscope
