// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/kvz_trellis.h"

#include "core/codec/fixed_log.h"
#include "core/codec/side_bits.h"
#include "core/codec/trellis_kernels.h"
#include "core/codec/trellis_step.h"

#include <algorithm>
#include <cstdlib>

namespace kvscope {

namespace {

/// Channels of less variance, in squares of a trellis' step, are mostly zeros, which only whole steps have.
constexpr double kLeastVariance = 0.5;
constexpr double kMostSquares = (kMostTrellisSteps - 1) * (kMostTrellisSteps - 1);
/// A trellis takes time for all channels: a part of them must have a use for it.
constexpr std::size_t kLeastShare = 8;
/// Shorter chunks are not worth it; the search keeps some bytes for each row of longer ones.
constexpr std::int64_t kLeastTokens = 17;
constexpr std::int64_t kMostTokens = 65536;
/// Mean squared error of a trellis in squares of its step: where bits cost as much as they do at that error, values of
/// a Gaussian are best pulled by this share of it over their variance.
constexpr double kTrellisError = 0.065;
constexpr double kMostPull = 0.25;

double varianceOf(const SymbolPlan& plan, std::size_t channel, std::int64_t tokens) {
    constexpr double kStep = kTrellisStep;
    return plan.squares[channel] / (static_cast<double>(tokens) * kStep * kStep);
}

/// What a row that would be a copy takes for each value with a trellis.
constexpr double kCopiedBits = 1.2;

/// Bits that a trellis adds to what prediction leaves of a channel: steps are larger, but the points of a state lie a
/// quarter of a step off, those of the value and of what predicts it.
double extraBits(const SymbolPlan& plan, std::size_t channel) {
    constexpr double kLarger = 1 / (static_cast<double>(kTrellisStep) * kTrellisStep);
    constexpr double kTwelfth = 12;
    constexpr double kOff = 0.047;
    const double off = plan.layout.channels[channel].mode != SymbolMode::Mean ? 2 * kOff : kOff;
    double bits = 0;
    for (const SymbolPlan::Left& left : plan.left) {
        if (left.rows == 0)
            continue;
        const auto rows = static_cast<double>(left.rows);
        const double variance = left.squares[channel] / rows;
        // Half the logarithm of what it becomes over what it is, both in twelfths, of which rounding adds one.
        const auto more = realLog2Q8((variance * kLarger + off) * kTwelfth + 1) - realLog2Q8(variance * kTwelfth + 1);
        bits += rows * static_cast<double>(more) / 512;
    }
    return bits;
}

} // namespace

TrellisUse chooseTrellises(const SymbolPlane& plane, const SymbolPlan& plan) {
    if (!plane.isNarrow || plan.left.empty() || plane.tokens < kLeastTokens || plane.tokens > kMostTokens)
        return {};
    const auto copies = static_cast<double>(std::ranges::count_if(plan.layout.rows, &SymbolRow::copy));
    const std::size_t channels = plan.layout.channels.size();
    TrellisUse uses(channels);
    double bits = 0;
    std::size_t count = 0;
    for (std::size_t c = 0; c < channels; ++c) {
        // No number can be larger than the root of the sum of all squares.
        if (varianceOf(plan, c, plane.tokens) < kLeastVariance || plan.squares[c] > kMostSquares ||
            std::abs(plane.means[c]) > kMostTrellisOffset * kOffsetParts)
            continue;
        const double more = copies * kCopiedBits + extraBits(plan, c);
        if (more >= 0)
            continue;
        uses[c] = true;
        ++count;
        bits += more;
    }
    // Only whole rows are copies.
    const bool pays = copies == 0 || bits + copies * kCopiedBits * static_cast<double>(channels - count) < 0;
    return pays && count * kLeastShare >= channels ? uses : TrellisUse();
}

void uncopy(SymbolLayout& layout) {
    const auto smallest = std::min_element(layout.offsets.begin(), layout.offsets.begin() + layout.groups);
    for (SymbolRow& row : layout.rows) {
        if (!row.copy)
            continue;
        row.copy = false;
        row.group = static_cast<std::uint8_t>(smallest - layout.offsets.begin());
    }
}

void putTrellises(const TrellisUse& uses, const SymbolPlan& plan, const TrellisSource& source, float step,
                  SymbolPlane& plane) {
    const std::size_t channels = uses.size();
    const float factor = static_cast<float>(kTrellisParts) / (step * kTrellisStep);
    std::vector<float> factors(channels);
    std::vector<float> rounders(channels);
    std::vector<std::int16_t> pulls(channels);
    std::vector<std::int16_t> masks(channels);
    for (std::size_t c = 0; c < channels; ++c) {
        if (!uses[c])
            continue;
        factors[c] = factor;
        rounders[c] = kTrellisRounder - offsetSteps(source.offsets[c]) * static_cast<float>(kTrellisParts);
        constexpr double kWholePull = 0x1p15;
        pulls[c] = static_cast<std::int16_t>(std::min(kTrellisError / varianceOf(plan, c, plane.tokens), kMostPull) *
                                             kWholePull);
        masks[c] = -1;
        plane.means[c] = source.offsets[c];
    }
    searchTrellises(source.type, source.rows.data(), static_cast<std::size_t>(plane.tokens), channels,
                    {factors.data(), rounders.data(), pulls.data(), masks.data()}, plane.narrow.data());
}

void writeTrellisUse(const TrellisUse& uses, std::vector<std::byte>& out) {
    SideBitWriter writer(out);
    const bool all = std::ranges::all_of(uses, [](bool one) { return one; });
    writer.put(all ? 1 : 0, 1);
    for (std::size_t c = 0; c < uses.size() && !all; ++c)
        writer.put(uses[c] ? 1 : 0, 1);
    writer.finish();
}

Result<TrellisUse> readTrellisUse(SideBytes& reader, std::size_t channels) {
    const auto first = reader.rest();
    const bool all = !first.empty() && (std::to_integer<unsigned>(first.front()) & 1U) != 0;
    const std::size_t bits = all ? 1 : 1 + channels;
    KVSCOPE_ASSIGN(const auto bytes, reader.take((bits + 7) / 8, "trellises"));
    SideBitReader source(bytes);
    source.get(1);
    TrellisUse uses(channels, all);
    for (std::size_t c = 0; c < channels && !all; ++c)
        uses[c] = source.get(1) != 0;
    if (!source.atEnd())
        return damagedChunk("trellises", "there are more than channels");
    return uses;
}

TrellisReader::TrellisReader(const TrellisUse& uses, std::span<const float> offsets, float step)
    : offsets_(uses.size())
    , steps_(uses.size())
    , uses_(uses.size())
    , states_(uses.size()) {
    constexpr float kQuarter = 0.25F;
    for (std::size_t c = 0; c < uses.size(); ++c) {
        offsets_[c] = offsets[c] / kQuarter;
        steps_[c] = (uses[c] ? step * kTrellisStep : step) * kQuarter;
        uses_[c] = uses[c] ? -1 : 0;
    }
}

} // namespace kvscope
