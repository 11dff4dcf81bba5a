// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/channel_terms.h"

#include "core/codec/side_bits.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>

namespace kvscope {

namespace {

/// Sizes of weights are told by how far they are from this.
constexpr int kUsualWeight = 2;

/// The Golomb order for the gaps between `count` terms of a channel.
int gapOrder(std::size_t channel, std::size_t count) {
    const std::size_t gap = channel % kTermBlock / (count + 1);
    return std::max(0, static_cast<int>(std::bit_width(gap)) - 1);
}

} // namespace

void ChannelTerms::add(std::span<const ChannelTerm> terms) {
    terms_.insert(terms_.end(), terms.begin(), terms.end());
    ends_.push_back(static_cast<std::uint32_t>(terms_.size()));
}

std::span<const ChannelTerm> ChannelTerms::of(std::size_t channel) const {
    if (channel >= ends_.size())
        return {};
    const std::uint32_t begin = channel > 0 ? ends_[channel - 1] : 0;
    return std::span(terms_).subspan(begin, ends_[channel] - begin);
}

std::size_t ChannelTerms::storedBytes() const {
    std::vector<std::byte> bytes;
    writeChannelTerms(*this, bytes);
    return bytes.size();
}

double bitsOfTerms(std::size_t channel, std::size_t count) {
    constexpr double kWeightBits = 3.5;
    const double gap = static_cast<double>(channel % kTermBlock) / static_cast<double>(count + 1);
    return static_cast<double>(count) * (kWeightBits + 1 + std::log2(gap + 1));
}

void writeChannelTerms(const ChannelTerms& terms, std::vector<std::byte>& out) {
    if (terms.empty())
        return;
    SideBitWriter writer(out);
    std::vector<std::uint32_t> counts;
    for (std::size_t c = 0; c < terms.channels(); ++c)
        counts.push_back(static_cast<std::uint32_t>(terms.of(c).size()));
    putNumbers(writer, counts);
    for (std::size_t c = 0; c < terms.channels(); ++c) {
        auto next = static_cast<std::uint32_t>(c / kTermBlock * kTermBlock);
        for (const ChannelTerm& term : terms.of(c)) {
            writer.putGolomb(term.channel - next, gapOrder(c, counts[c]));
            writer.putGolomb(zigzagOf(std::abs(term.weight) - kUsualWeight), 0);
            writer.put(term.weight < 0 ? 1 : 0, 1);
            next = term.channel + 1;
        }
    }
    writer.finish();
}

bool readChannelTerms(std::span<const std::byte> bytes, std::size_t channels, ChannelTerms& terms) {
    terms = {};
    if (bytes.empty())
        return true;
    SideBitReader reader(bytes);
    std::vector<std::uint32_t> counts(channels);
    bool good = true;
    getNumbers(reader, channels, [&](std::size_t c, std::uint32_t count) {
        good = good && count <= std::min(kMostTerms, c % kTermBlock);
        counts[c] = count;
    });
    std::vector<ChannelTerm> own;
    for (std::size_t c = 0; c < channels && good && reader.good(); ++c) {
        own.clear();
        std::uint64_t next = c / kTermBlock * kTermBlock;
        for (std::uint32_t i = 0; i < counts[c] && good; ++i) {
            const std::uint64_t from = next + reader.getGolomb(gapOrder(c, counts[c]));
            const std::uint32_t beyond = reader.getGolomb(0);
            const int size = kUsualWeight + fromZigzag(std::min(beyond, 4U * kMostTermWeight));
            const bool negative = reader.get(1) != 0;
            good = from < c && size >= 1 && size <= kMostTermWeight;
            own.push_back({static_cast<std::uint32_t>(from), static_cast<std::int8_t>(negative ? -size : size)});
            next = from + 1;
        }
        terms.add(own);
    }
    return good && reader.atEnd() && !terms.empty();
}

} // namespace kvscope
