// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/cachegen_accounting.h"

#include <algorithm>
#include <array>

namespace kvscope {

namespace {

/// Letters of the released tables, whatever the bins.
constexpr std::uint32_t kTableLetters = 32;
constexpr std::int64_t kTableBytes = (kTableLetters + 1) * 2;
constexpr std::int64_t kLengthBytes = 4;
constexpr std::int64_t kStreamTokens = 256;
constexpr int kMostCodedBins = 64;

using Cumulative = std::vector<std::uint32_t>;

/// The released table of a channel: cumulative counts scaled to 65535 - letters, plus one for each letter before.
Cumulative tableOf(const SymbolGrid& grid, std::size_t channel, std::uint32_t letters) {
    Cumulative sums(letters + 1);
    for (std::size_t i = channel; i < grid.symbols.size(); i += static_cast<std::size_t>(grid.channels))
        ++sums[grid.symbols[i] + 1U];
    for (std::size_t i = 1; i < sums.size(); ++i)
        sums[i] += sums[i - 1];
    const std::uint64_t total = sums.back();
    for (std::uint32_t i = 0; i <= letters; ++i)
        sums[i] = static_cast<std::uint32_t>(std::uint64_t{0xFFFF - letters} * sums[i] / total) + i;
    sums.back() = 0x10000;
    return sums;
}

/// Counts the bits of the coder without keeping them.
class BitCount {
public:
    void code(std::uint32_t below, std::uint32_t upTo) {
        const std::uint64_t span = std::uint64_t{high_} - low_ + 1;
        high_ = low_ - 1 + static_cast<std::uint32_t>(span * upTo >> 16);
        low_ += static_cast<std::uint32_t>(span * below >> 16);
        while (true) {
            constexpr std::uint32_t kHalf = 0x80000000U;
            constexpr std::uint32_t kQuarter = 0x40000000U;
            if (high_ < kHalf || low_ >= kHalf) {
                bits_ += 1 + pending_;
                pending_ = 0;
                low_ <<= 1;
                high_ = high_ << 1 | 1U;
            } else if (low_ >= kQuarter && high_ < kHalf + kQuarter) {
                ++pending_;
                low_ = low_ << 1 & (kHalf - 1);
                high_ = high_ << 1 | kHalf | 1U;
            } else {
                return;
            }
        }
    }

    /// Whole bytes, with the last bit and those that waited for it.
    [[nodiscard]] std::int64_t bytes() const { return (bits_ + pending_ + 2 + 7) / 8; }

private:
    std::uint32_t low_ = 0;
    std::uint32_t high_ = 0xFFFFFFFFU;
    std::int64_t bits_ = 0;
    std::int64_t pending_ = 0;
};

} // namespace

std::int64_t cachegenReleasedBytes(const SymbolGrid& grid, DType dtype, int bins) {
    const std::int64_t magnitudes = grid.tokens * sizeOf(dtype);
    if (bins > kMostCodedBins)
        return grid.tokens * grid.channels + magnitudes;
    const std::uint32_t letters = std::max(kTableLetters, grid.alphabet);
    const auto channels = static_cast<std::size_t>(grid.channels);
    std::int64_t bytes = magnitudes;
    for (std::size_t channel = 0; channel < channels; ++channel) {
        bytes += kTableBytes;
        const Cumulative table = tableOf(grid, channel, letters);
        for (std::int64_t begin = 0; begin < grid.tokens; begin += kStreamTokens) {
            const std::int64_t end = std::min(grid.tokens, begin + kStreamTokens);
            BitCount coder;
            for (std::int64_t token = begin; token < end; ++token) {
                const std::uint16_t symbol = grid.symbols[static_cast<std::size_t>(token) * channels + channel];
                coder.code(table[symbol], table[symbol + 1U]);
            }
            bytes += kLengthBytes + coder.bytes();
        }
    }
    return bytes;
}

} // namespace kvscope
