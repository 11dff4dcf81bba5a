// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/symbol_plan.h"

#include "core/codec/encode_kernels.h"
#include "core/codec/fixed_log.h"
#include "core/codec/reference_search.h"
#include "core/codec/side_bits.h"
#include "core/codec/symbol_predict.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <numeric>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace kvscope {

namespace {

/// Sums of squares of what the modes leave of every channel; whole numbers.
struct Moments {
    explicit Moments(std::size_t channels)
        : own(channels)
        , lagged(channels)
        , product(channels)
        , anchor(channels)
        , reference(channels) {}

    std::vector<double> own;
    /// Squares of the rows before, products with them.
    std::vector<double> lagged;
    std::vector<double> product;
    std::vector<double> anchor;
    std::vector<double> reference;
    std::int64_t count = 0;
};

/// modelledBits() of so many numbers.
class BitModel {
public:
    explicit BitModel(std::int64_t count)
        : count_(count)
        , factor_(count > 0 ? 96 / static_cast<double>(count) : 0) {}

    [[nodiscard]] std::int64_t bits(double squares) const {
        // Rounding adds a twelfth to the variance.
        return count_ * realLog2Q8(squares * factor_ + 8) / 2;
    }

private:
    std::int64_t count_;
    double factor_;
};

template <class Number>
void addRow(const NumberPlane<Number>& plane, const SymbolRow& row, std::size_t t, Moments& moments) {
    const std::int32_t* now = plane.row(t);
    const std::int32_t* before = t > 0 ? plane.row(t - 1) : nullptr;
    const std::int32_t* anchor = t % kAnchorGroup != 0 ? plane.row(t - t % kAnchorGroup) : nullptr;
    const std::int32_t* reference = row.distance > 0 ? plane.row(t - row.distance) : nullptr;
    ++moments.count;
    for (std::size_t c = 0; c < plane.channels; ++c) {
        const double number = plane.clamped(now[c]);
        const auto squared = [](double x) { return x * x; };
        moments.own[c] += squared(number);
        if (before != nullptr) {
            moments.lagged[c] += squared(plane.clamped(before[c]));
            moments.product[c] += number * plane.clamped(before[c]);
        }
        moments.anchor[c] += squared(anchor != nullptr ? number - plane.clamped(anchor[c]) : number);
        moments.reference[c] +=
            squared(reference != nullptr ? number - plane.clamped(weighted(reference[c], row.weight)) : number);
    }
}

ModeRows modeRows(const NumberPlane<std::int16_t>& plane, const SymbolRow& row, std::size_t t) {
    ModeRows rows;
    rows.weight = row.weight;
    rows.reference = row.distance > 0 ? plane.row(t - row.distance) : nullptr;
    rows.previous = t > 0 ? plane.row(t - 1) : nullptr;
    rows.anchor = t % kAnchorGroup != 0 ? plane.row(t - t % kAnchorGroup) : nullptr;
    return rows;
}

/// Adds all rows of a plane without references.
void addPlainRows(const NumberPlane<std::int16_t>& plane, Moments& moments) {
    const std::size_t channels = plane.channels;
    std::vector<std::int32_t> sums(3 * channels);
    MomentSums part;
    part.own = sums.data();
    part.product = sums.data() + channels;
    part.anchor = sums.data() + 2 * channels;
    std::size_t rows = 0;
    for (std::size_t first = 0; first < plane.tokens; first += rows) {
        const std::size_t left = plane.tokens - first;
        rows = left <= kMomentRows ? left : kPlaneMomentRows;
        planeMoments(plane.row(first), static_cast<int>(rows), channels, first > 0 ? plane.row(first - 1) : nullptr,
                     part);
        for (std::size_t c = 0; c < channels; ++c) {
            moments.own[c] += part.own[c];
            moments.product[c] += part.product[c];
            moments.anchor[c] += part.anchor[c];
        }
    }
    // Every row but the last is the one before another.
    const std::int16_t* last = plane.row(plane.tokens - 1);
    for (std::size_t c = 0; c < channels; ++c) {
        const int number = std::clamp<int>(last[c], -kMostInNarrowMoments, kMostInNarrowMoments);
        moments.lagged[c] = moments.own[c] - number * number;
        moments.reference[c] = moments.own[c];
    }
    moments.count = static_cast<std::int64_t>(plane.tokens);
}

/// Adds the rows of the groups with the loops for narrow planes.
void addRows(const NumberPlane<std::int16_t>& plane, const SymbolLayout& layout, std::vector<Moments>& moments) {
    if (!layout.hasReferences)
        return addPlainRows(plane, moments.front());
    constexpr std::size_t kSums = 5;
    const std::size_t channels = plane.channels;
    std::vector<std::int32_t> sums(kSums * channels);
    const MomentSums own{sums.data(), sums.data() + channels, sums.data() + 2 * channels, sums.data() + 3 * channels,
                         layout.hasReferences ? sums.data() + 4 * channels : nullptr};
    for (std::size_t g = 0; g < moments.size(); ++g) {
        int pending = 0;
        const auto flush = [&] {
            for (std::size_t c = 0; c < channels; ++c) {
                moments[g].own[c] += own.own[c];
                moments[g].lagged[c] += own.lagged[c];
                moments[g].product[c] += own.product[c];
                moments[g].anchor[c] += own.anchor[c];
                moments[g].reference[c] += sums[4 * channels + c];
            }
            std::ranges::fill(sums, 0);
            pending = 0;
        };
        for (std::size_t t = 0; t < plane.tokens; ++t) {
            const SymbolRow& row = layout.rows[t];
            if (row.copy || row.group != g)
                continue;
            addMoments(plane.row(t), modeRows(plane, row, t), channels, own);
            ++moments[g].count;
            if (++pending == kMomentRows)
                flush();
        }
        flush();
    }
}

void addRows(const NumberPlane<std::int32_t>& plane, const SymbolLayout& layout, std::vector<Moments>& moments) {
    for (std::size_t t = 0; t < plane.tokens; ++t) {
        const SymbolRow& row = layout.rows[t];
        if (!row.copy)
            addRow(plane, row, t, moments[row.group]);
    }
}

struct ModeChoice {
    SymbolMode mode = SymbolMode::Mean;
    std::uint8_t weight = kWholeWeight;
    std::int64_t bits = std::numeric_limits<std::int64_t>::max();
    /// Of the numbers as they are.
    std::int64_t ownBits = 0;
};

/// What naming a mode takes, in bits times 2^8, with the weight of the row before.
constexpr std::int64_t kMeanBits = std::int64_t{1} * 256;
constexpr std::int64_t kReferenceBits = std::int64_t{1} * 256;
constexpr std::int64_t kPreviousBits = std::int64_t{5} * 256;
constexpr std::int64_t kAnchorBits = std::int64_t{3} * 256;

/// The weight that leaves least of numbers with these products with those before, whose squares are `lagged` > 0.
std::uint8_t weightOf(double product, double lagged) {
    return static_cast<std::uint8_t>(
        std::clamp(product * kWholeWeight / lagged + 0.5, 1.0, static_cast<double>(kWholeWeight)));
}

/// Squares of what the row before with this weight leaves.
double afterPrevious(const Moments& moments, std::size_t channel, int weight) {
    const double part = static_cast<double>(weight) / kWholeWeight;
    const double gain = moments.product[channel] * (2 * part) - moments.lagged[channel] * (part * part);
    return std::max(moments.own[channel] - gain, 0.0);
}

/// The cheapest mode of a channel whose rows are in one group without references.
ModeChoice choosePlainMode(const Moments& moments, const BitModel& model, std::size_t channel) {
    ModeChoice best;
    best.bits = best.ownBits = model.bits(moments.own[channel]) + kMeanBits;
    const auto consider = [&](SymbolMode mode, std::uint8_t weight, std::int64_t bits) {
        const bool better = bits < best.bits;
        best.mode = better ? mode : best.mode;
        best.weight = better ? weight : best.weight;
        best.bits = better ? bits : best.bits;
    };
    if (moments.lagged[channel] > 0) {
        const std::uint8_t weight = weightOf(moments.product[channel], moments.lagged[channel]);
        consider(SymbolMode::Previous, weight, model.bits(afterPrevious(moments, channel, weight)) + kPreviousBits);
    }
    consider(SymbolMode::Anchor, kWholeWeight, model.bits(moments.anchor[channel]) + kAnchorBits);
    return best;
}

/// The cheapest mode of a channel; `groups` hold the sums of the rows of each group.
ModeChoice chooseMode(std::span<const Moments> groups, std::span<const BitModel> models, std::size_t channel) {
    ModeChoice best;
    const auto consider = [&](SymbolMode mode, std::uint8_t weight, std::int64_t extraBits, auto squaresOf) {
        std::int64_t bits = extraBits;
        for (std::size_t g = 0; g < groups.size(); ++g)
            bits += models[g].bits(squaresOf(groups[g]));
        if (bits < best.bits)
            best = {mode, weight, bits, best.ownBits};
    };
    consider(SymbolMode::Mean, kWholeWeight, kMeanBits, [&](const Moments& m) { return m.own[channel]; });
    best.ownBits = best.bits;
    consider(SymbolMode::Reference, kWholeWeight, kReferenceBits,
             [&](const Moments& m) { return m.reference[channel]; });
    double product = 0;
    double lagged = 0;
    for (const Moments& moments : groups) {
        product += moments.product[channel];
        lagged += moments.lagged[channel];
    }
    if (product > 0 && lagged > 0) {
        const std::uint8_t weight = weightOf(product, lagged);
        consider(SymbolMode::Previous, weight, kPreviousBits,
                 [&](const Moments& m) { return afterPrevious(m, channel, weight); });
    }
    consider(SymbolMode::Anchor, kWholeWeight, kAnchorBits, [&](const Moments& m) { return m.anchor[channel]; });
    return best;
}

struct ModeBits {
    std::int64_t chosen = 0;
    /// Of the numbers as they are.
    std::int64_t own = 0;
    /// Sums of squares of the channels' numbers as they are.
    std::vector<double> squares;
    /// What the modes leave.
    std::vector<SymbolPlan::Left> left;
};

/// Squares of what a mode leaves.
double leftBy(const Moments& moments, std::size_t channel, SymbolMode mode, int weight) {
    switch (mode) {
    case SymbolMode::Mean:
        break;
    case SymbolMode::Reference:
        return moments.reference[channel];
    case SymbolMode::Previous:
        return afterPrevious(moments, channel, weight);
    case SymbolMode::Anchor:
        return moments.anchor[channel];
    }
    return moments.own[channel];
}

template <class Number>
ModeBits chooseModes(const NumberPlane<Number>& plane, std::size_t groups, SymbolLayout& layout) {
    std::vector<Moments> moments(groups, Moments(plane.channels));
    addRows(plane, layout, moments);
    std::vector<BitModel> models;
    models.reserve(moments.size());
    for (const Moments& one : moments)
        models.emplace_back(one.count);
    ModeBits bits;
    bits.squares.resize(plane.channels);
    for (const Moments& one : moments)
        bits.left.push_back({std::vector<double>(plane.channels), one.count});
    for (std::size_t c = 0; c < plane.channels; ++c) {
        const ModeChoice choice =
            layout.hasReferences ? chooseMode(moments, models, c) : choosePlainMode(moments.front(), models.front(), c);
        layout.channels[c].mode = choice.mode;
        layout.channels[c].weight = choice.weight;
        bits.chosen += choice.bits;
        bits.own += choice.ownBits;
        for (std::size_t g = 0; g < moments.size(); ++g) {
            bits.squares[c] += moments[g].own[c];
            bits.left[g].squares[c] = leftBy(moments[g], c, choice.mode, choice.weight);
        }
    }
    return bits;
}

int streamsFor(std::size_t values) {
    return values < 32768 ? 1 : values < 131072 ? 2 : 4;
}

template <class Number> SymbolPlan plan(const NumberPlane<Number>& plane, Predictor predictor) {
    SymbolLayout layout;
    layout.narrow = sizeof(Number) == sizeof(std::int16_t);
    layout.rows.resize(plane.tokens);
    layout.channels.resize(plane.channels);
    layout.streams = streamsFor(plane.numbers.size());
    switch (predictor) {
    case Predictor::None:
    case Predictor::ChannelMean:
        return {std::move(layout), {}, {}};
    case Predictor::Anchor:
        for (SymbolChannel& channel : layout.channels)
            channel.mode = SymbolMode::Anchor;
        return {std::move(layout), {}, {}};
    case Predictor::Previous:
        for (SymbolChannel& channel : layout.channels)
            channel.mode = SymbolMode::Previous;
        return {std::move(layout), {}, {}};
    case Predictor::Best:
        break;
    }

    SymbolLayout plain = layout;
    ModeBits plainBits = chooseModes(plane, 1, plain);
    // References that save less than modes without them do, or next to nothing, are not worth a closer look.
    const auto gain = findReferences(plane, std::max(plainBits.own - plainBits.chosen, plainBits.own / 128), layout);
    if (!gain)
        return {std::move(plain), std::move(plainBits.squares), std::move(plainBits.left)};
    groupRows(gain->left, plane.channels, layout);
    ModeBits modeBits = chooseModes(plane, layout.groups, layout);
    const auto copies = std::ranges::count_if(layout.rows, &SymbolRow::copy);
    // Distance, weight and group.
    const std::int64_t rowBits = static_cast<std::int64_t>(plane.tokens) * 10 * 256 - copies * 4 * 256 +
                                 static_cast<std::int64_t>(layout.groups - 1) * kGroupBits * 256;
    if (modeBits.chosen + rowBits < plainBits.chosen)
        return {std::move(layout), std::move(plainBits.squares), std::move(modeBits.left)};
    return {std::move(plain), std::move(plainBits.squares), std::move(plainBits.left)};
}

} // namespace

std::int64_t modelledBits(std::int64_t count, std::uint64_t squares) {
    return BitModel(count).bits(static_cast<double>(squares));
}

SymbolPlan planSymbols(const SymbolPlane& plane, Predictor predictor) {
    const auto tokens = static_cast<std::size_t>(plane.tokens);
    const auto channels = static_cast<std::size_t>(plane.channels);
    return plane.isNarrow ? plan(NumberPlane<std::int16_t>{tokens, channels, plane.narrow}, predictor)
                          : plan(NumberPlane<std::int32_t>{tokens, channels, plane.wide}, predictor);
}

} // namespace kvscope
