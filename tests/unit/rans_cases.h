// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/rans_table.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace kvscope::test {

using Random = std::mt19937;

inline std::uint32_t below(Random& random, std::uint32_t bound) {
    return static_cast<std::uint32_t>((std::uint64_t{random()} * bound) >> 32);
}

/// Counts of one of several kinds: one symbol, few, a bell, a steep slope, all equal, one giant among dwarfs.
inline RansCounts randomCounts(Random& random) {
    RansCounts counts{};
    switch (below(random, 6)) {
    case 0:
        counts[below(random, 256)] = 7;
        break;
    case 1:
        for (int i = 0; i < 3; ++i)
            counts[below(random, 256)] += 1 + below(random, 1000);
        break;
    case 2: {
        const double sigma = std::exp2(below(random, 60) / 10.0);
        for (int i = 0; i < 256; ++i)
            counts[static_cast<std::size_t>(i)] =
                static_cast<std::uint32_t>(1e6 * std::exp(-(i - 128) * (i - 128) / (2 * sigma * sigma)));
        break;
    }
    case 3:
        for (std::uint32_t i = 0, count = 1U << 30; i < 256; ++i, count /= 2)
            counts[(i * 7) % 256] = count;
        break;
    case 4:
        counts.fill(1 + below(random, 100));
        break;
    default:
        counts.fill(1);
        counts[below(random, 256)] = 100'000'000;
    }
    return counts;
}

inline RansTable tableOf(const RansCounts& counts) {
    return RansTable::fromFrequencies(normaliseCounts(counts).value()).value();
}

/// A symbol with the probability that the table gives it, or (one in `wild`) any that it has.
inline std::uint8_t drawSymbol(const RansTable& table, Random& random, std::uint32_t wild) {
    if (table.isConstant())
        return table.firstSymbol();
    if (below(random, wild) == 0) {
        for (;;) {
            const auto symbol = static_cast<std::uint8_t>(random());
            if (table.has(symbol))
                return symbol;
        }
    }
    return ransSymbol(table.entries()[below(random, kRansTotal)]);
}

inline std::vector<std::byte> randomBytes(std::size_t count, Random& random) {
    std::vector<std::byte> bytes(count);
    for (std::byte& byte : bytes)
        byte = static_cast<std::byte>(random() & 0xFFU);
    return bytes;
}

} // namespace kvscope::test
