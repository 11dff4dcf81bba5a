// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/symbol_plan.h"

#include "core/codec/encode_kernels.h"
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

/// Numbers are clamped to this before they are squared and summed.
constexpr std::int32_t kMostInMoments = 1 << 18;
/// Channels that are compared to find rows that resemble each other, as many again to see whether they really do.
constexpr std::size_t kSketchChannels = 64;
/// What the states of a further group cost, in bits.
constexpr std::int64_t kGroupBits = 640;
constexpr std::int64_t kBlock = 32;

/// log2(value) in units of 2^-8, to about one unit; value at least 1.
std::int64_t log2Q8(std::uint64_t value) {
    const int whole = std::bit_width(value) - 1;
    const std::uint64_t fraction = (whole >= 16 ? value >> (whole - 16) : value << (16 - whole)) - (1U << 16);
    // log2(1 + f) is f + 0.344 f (1 - f) to 0.01.
    const std::uint64_t bent = fraction + ((fraction * ((1U << 16) - fraction) >> 16) * 88 >> 8);
    return static_cast<std::int64_t>(whole) * 256 + static_cast<std::int64_t>(bent >> 8);
}

template <class Number> struct Plane {
    std::size_t tokens = 0;
    std::size_t channels = 0;
    std::span<const Number> numbers;

    [[nodiscard]] const Number* row(std::size_t t) const { return numbers.data() + t * channels; }
    /// Clamped, so that its square can be summed.
    [[nodiscard]] static std::int64_t clamped(Number number) {
        return std::clamp<std::int32_t>(number, -kMostInMoments, kMostInMoments);
    }
};

/// Rows with a few channels each, every channel at about the same size, in eight bits.
class Sketch {
public:
    /// `between`: of the channels between those that a sketch takes otherwise.
    template <class Number>
    explicit Sketch(const Plane<Number>& plane, bool between = false)
        : pairs_((std::min(plane.channels, kSketchChannels) + 1) / 2)
        , rows_(plane.tokens * pairs_ * 2)
        , columns_(plane.tokens * pairs_ * 2)
        , norms_(plane.tokens)
        , shares_(plane.tokens) {
        // Narrow numbers leave room in 32 bits.
        using Wide = std::conditional_t<sizeof(Number) == sizeof(std::int16_t), std::int32_t, std::int64_t>;
        const std::size_t width = std::min(plane.channels, kSketchChannels);
        const std::size_t shift = between ? plane.channels / width / 2 : 0;
        std::vector<std::size_t> taken(width);
        for (std::size_t i = 0; i < width; ++i)
            taken[i] = i * plane.channels / width + shift;
        std::vector<std::int64_t> sums(width);
        for (std::size_t t = 0; t < plane.tokens; ++t) {
            const Number* row = plane.row(t);
            for (std::size_t i = 0; i < width; ++i)
                sums[i] += std::abs(plane.clamped(row[taken[i]]));
        }
        const auto count = static_cast<std::int64_t>(plane.tokens);
        std::vector<Wide> sizes(width);
        for (std::size_t i = 0; i < width; ++i)
            sizes[i] = static_cast<Wide>(4096 * count / (sums[i] + count / 2 + 1));
        std::vector<std::int16_t> cells(pairs_ * 2);
        for (std::size_t t = 0; t < plane.tokens; ++t) {
            const Number* row = plane.row(t);
            std::int32_t norm = 0;
            for (std::size_t i = 0; i < width; ++i) {
                const Wide number = static_cast<Wide>(plane.clamped(row[taken[i]])) * sizes[i] >> 8;
                cells[i] = static_cast<std::int16_t>(std::clamp<Wide>(number, -127, 127));
                norm += cells[i] * cells[i];
            }
            std::copy(cells.begin(), cells.end(), rows_.begin() + static_cast<std::ptrdiff_t>(t * pairs_ * 2));
            for (std::size_t i = 0; i < pairs_; ++i)
                std::copy_n(cells.data() + 2 * i, 2, columns_.data() + (i * plane.tokens + t) * 2);
            norms_[t] = norm;
            shares_[t] = 1.0F / static_cast<float>(std::max(norm, 1));
        }
    }

    /// products[u - first] of rows t and u, first <= u < t.
    void products(std::size_t t, std::size_t first, std::vector<std::int32_t>& products) const {
        pairProducts(rows_.data() + t * pairs_ * 2, pairs_, columns_.data() + first * 2, norms_.size() * 2, t - first,
                     products.data());
    }
    [[nodiscard]] std::int64_t product(std::size_t t, std::size_t u) const {
        const auto row = rows_.begin() + static_cast<std::ptrdiff_t>(t * pairs_ * 2);
        const auto other = rows_.begin() + static_cast<std::ptrdiff_t>(u * pairs_ * 2);
        return std::inner_product(row, row + static_cast<std::ptrdiff_t>(pairs_ * 2), other, std::int64_t{0});
    }
    [[nodiscard]] std::int64_t norm(std::size_t t) const { return norms_[t]; }
    /// What row u with a weight leaves of row t.
    [[nodiscard]] std::int64_t rest(std::size_t t, std::int64_t weight, std::int64_t product, std::int64_t norm) const {
        return std::max<std::int64_t>(norms_[t] - (2 * kWholeWeight * weight * product - weight * weight * norm) /
                                                      (kWholeWeight * kWholeWeight),
                                      0);
    }
    /// 1 / norm of each row.
    [[nodiscard]] const float* shares() const { return shares_.data(); }

private:
    std::size_t pairs_;
    /// [token][channel], and [pair of channels][token][channel of the pair].
    std::vector<std::int16_t> rows_;
    std::vector<std::int16_t> columns_;
    std::vector<std::int64_t> norms_;
    std::vector<float> shares_;
};

struct ReferenceGain {
    /// What is left of each row, in squares of the sketch.
    std::vector<std::int64_t> left;
    /// Bits (times 2^8) that the references save where rows are coded as they are.
    std::int64_t saved = 0;
};

/// Finds the earlier row that each row resembles most, as far as that saves bits.
template <class Number> ReferenceGain findReferences(const Plane<Number>& plane, SymbolLayout& layout) {
    const Sketch sketch(plane);
    // The best of many rows resembles a row by chance; in other channels it does not.
    const bool verifies = plane.channels >= 2 * kSketchChannels;
    const auto check = verifies ? std::optional<Sketch>(std::in_place, plane, true) : std::nullopt;
    const auto savedBits = [&](std::int64_t before, std::int64_t rest) {
        return static_cast<std::int64_t>(plane.channels) *
               (log2Q8(static_cast<std::uint64_t>(before) + 64) - log2Q8(static_cast<std::uint64_t>(rest) + 64)) / 2;
    };
    ReferenceGain gain;
    std::vector<std::int64_t>& left = gain.left;
    left.resize(plane.tokens);
    std::vector<std::int32_t> products(kMostReferenceDistance);
    std::vector<float> scores(kMostReferenceDistance);
    for (std::size_t t = 0; t < plane.tokens; ++t) {
        left[t] = sketch.norm(t);
        const std::size_t first = t > kMostReferenceDistance ? t - kMostReferenceDistance : 0;
        std::size_t best = t;
        // product^2 / norm is what the best takes away.
        sketch.products(t, first, products);
        const float most = scoreProducts(products.data(), sketch.shares() + first, t - first, scores.data());
        for (std::size_t u = t; u-- > first && best == t && most > 0;)
            best = scores[u - first] == most ? u : t;
        const std::int64_t bestProduct = best == t ? 0 : products[best - first];
        const std::int64_t bestNorm = best == t ? 1 : std::max<std::int64_t>(sketch.norm(best), 1);
        SymbolRow& row = layout.rows[t];
        // A row of zeros equals any other; so does any row its twin.
        if (best == t && t > 0 && sketch.norm(t) == 0)
            best = t - 1;
        if (best == t)
            continue;
        const std::int64_t weight =
            std::clamp<std::int64_t>((bestProduct * 16 + bestNorm) / (2 * bestNorm), 1, kWholeWeight);
        const std::int64_t rest = sketch.rest(t, weight, bestProduct, bestNorm);
        const bool same = std::memcmp(plane.row(t), plane.row(best), plane.channels * sizeof(Number)) == 0;
        std::int64_t saved = savedBits(left[t], rest);
        if (check)
            saved = std::min(
                saved, savedBits(check->norm(t), check->rest(t, weight, check->product(t, best), check->norm(best))));
        if (!same && saved < 20 * 256)
            continue;
        row.distance = static_cast<std::uint16_t>(t - best);
        row.copy = same;
        row.weight = same ? kWholeWeight : static_cast<std::uint8_t>(weight);
        gain.saved += same ? savedBits(left[t], 0) : saved;
        left[t] = same ? 0 : rest;
        layout.hasReferences = true;
    }
    return gain;
}

/// Splits the rows that are coded into groups of similar size, largest first, at multiples of 32 rows.
void groupRows(const std::vector<std::int64_t>& left, std::size_t channels, SymbolLayout& layout) {
    std::vector<std::uint32_t> order;
    for (std::size_t t = 0; t < layout.rows.size(); ++t) {
        if (!layout.rows[t].copy)
            order.push_back(static_cast<std::uint32_t>(t));
    }
    std::ranges::stable_sort(order, [&](std::uint32_t a, std::uint32_t b) { return left[a] > left[b]; });
    const std::size_t blocks = (order.size() + kBlock - 1) / kBlock;
    if (blocks < 2)
        return;
    std::vector<std::int64_t> sums(blocks + 1);
    for (std::size_t i = 0; i < order.size(); ++i)
        sums[i / kBlock + 1] += left[order[i]];
    std::partial_sum(sums.begin(), sums.end(), sums.begin());
    const auto rowsBefore = [&](std::size_t block) { return std::min(block * kBlock, order.size()); };
    const auto meanOf = [&](std::size_t first, std::size_t last) {
        const auto count = static_cast<std::int64_t>(rowsBefore(last) - rowsBefore(first));
        // The floor stands for rounding, which no reference takes away.
        return static_cast<std::uint64_t>((sums[last] - sums[first]) / count + 1) + kSketchChannels * 4;
    };
    // Fewest bits of the first `last` blocks in g + 1 groups, and where the last of these groups begins.
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / 2;
    std::array<std::vector<std::int64_t>, kMostRowGroups> bits;
    std::array<std::vector<std::size_t>, kMostRowGroups> begins;
    for (std::size_t g = 0; g < kMostRowGroups; ++g) {
        bits[g].assign(blocks + 1, kMost);
        begins[g].assign(blocks + 1, 0);
        for (std::size_t last = g + 1; last <= blocks; ++last) {
            for (std::size_t first = g; first < (g == 0 ? 1 : last); ++first) {
                const auto count = static_cast<std::int64_t>(rowsBefore(last) - rowsBefore(first));
                const std::int64_t own =
                    kGroupBits * 256 + count * static_cast<std::int64_t>(channels) * log2Q8(meanOf(first, last)) / 2;
                const std::int64_t all = own + (g == 0 ? 0 : bits[g - 1][first]);
                if (all < bits[g][last]) {
                    bits[g][last] = all;
                    begins[g][last] = first;
                }
            }
        }
    }
    std::size_t most = 0;
    for (std::size_t g = 1; g < kMostRowGroups; ++g)
        most = bits[g][blocks] < bits[most][blocks] ? g : most;
    layout.groups = most + 1;
    std::array<std::size_t, kMostRowGroups + 1> cuts{};
    cuts[most + 1] = blocks;
    for (std::size_t g = most; g > 0; --g)
        cuts[g] = begins[g][cuts[g + 1]];
    for (std::size_t g = 0; g <= most; ++g) {
        for (std::size_t i = rowsBefore(cuts[g]); i < rowsBefore(cuts[g + 1]); ++i)
            layout.rows[order[i]].group = static_cast<std::uint8_t>(g);
        const std::int64_t ratio = log2Q8(meanOf(cuts[g], cuts[g + 1])) - log2Q8(meanOf(0, cuts[1]));
        // Half of that in quarters: two scales a bit, rounded.
        layout.offsets[g] = static_cast<int>((2 * ratio - 128) / 256);
    }
    layout.offsets[0] = 0;
}

/// Sums of squares of what the modes leave of every channel.
struct Moments {
    explicit Moments(std::size_t channels)
        : own(channels)
        , lagged(channels)
        , product(channels)
        , anchor(channels)
        , reference(channels) {}

    std::vector<std::uint64_t> own;
    /// Squares of the rows before, products with them.
    std::vector<std::uint64_t> lagged;
    std::vector<std::int64_t> product;
    std::vector<std::uint64_t> anchor;
    std::vector<std::uint64_t> reference;
    std::int64_t count = 0;
};

template <class Number> void addRow(const Plane<Number>& plane, const SymbolRow& row, std::size_t t, Moments& moments) {
    const std::int32_t* now = plane.row(t);
    const std::int32_t* before = t > 0 ? plane.row(t - 1) : nullptr;
    const std::int32_t* anchor = t % kAnchorGroup != 0 ? plane.row(t - t % kAnchorGroup) : nullptr;
    const std::int32_t* reference = row.distance > 0 ? plane.row(t - row.distance) : nullptr;
    ++moments.count;
    for (std::size_t c = 0; c < plane.channels; ++c) {
        const std::int64_t number = plane.clamped(now[c]);
        const auto squared = [](std::int64_t x) { return static_cast<std::uint64_t>(x * x); };
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

ModeRows modeRows(const Plane<std::int16_t>& plane, const SymbolRow& row, std::size_t t) {
    ModeRows rows;
    rows.weight = row.weight;
    rows.reference = row.distance > 0 ? plane.row(t - row.distance) : nullptr;
    rows.previous = t > 0 ? plane.row(t - 1) : nullptr;
    rows.anchor = t % kAnchorGroup != 0 ? plane.row(t - t % kAnchorGroup) : nullptr;
    return rows;
}

/// Adds all rows of a plane without references.
void addPlainRows(const Plane<std::int16_t>& plane, Moments& moments) {
    const std::size_t channels = plane.channels;
    std::vector<std::int32_t> sums(3 * channels);
    MomentSums part;
    part.own = sums.data();
    part.product = sums.data() + channels;
    part.anchor = sums.data() + 2 * channels;
    for (std::size_t first = 0; first < plane.tokens; first += kPlaneMomentRows) {
        const std::size_t rows = std::min<std::size_t>(kPlaneMomentRows, plane.tokens - first);
        planeMoments(plane.row(first), static_cast<int>(rows), channels, first > 0 ? plane.row(first - 1) : nullptr,
                     part);
        for (std::size_t c = 0; c < channels; ++c) {
            moments.own[c] += static_cast<std::uint64_t>(part.own[c]);
            moments.product[c] += part.product[c];
            moments.anchor[c] += static_cast<std::uint64_t>(part.anchor[c]);
        }
    }
    // Every row but the last is the one before another.
    const std::int16_t* last = plane.row(plane.tokens - 1);
    for (std::size_t c = 0; c < channels; ++c) {
        const int number = std::clamp<int>(last[c], -kMostInNarrowMoments, kMostInNarrowMoments);
        moments.lagged[c] = moments.own[c] - static_cast<std::uint64_t>(number * number);
        moments.reference[c] = moments.own[c];
    }
    moments.count = static_cast<std::int64_t>(plane.tokens);
}

/// Adds the rows of the groups with the loops for narrow planes.
void addRows(const Plane<std::int16_t>& plane, const SymbolLayout& layout, std::vector<Moments>& moments) {
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
                moments[g].own[c] += static_cast<std::uint64_t>(own.own[c]);
                moments[g].lagged[c] += static_cast<std::uint64_t>(own.lagged[c]);
                moments[g].product[c] += own.product[c];
                moments[g].anchor[c] += static_cast<std::uint64_t>(own.anchor[c]);
                moments[g].reference[c] += static_cast<std::uint64_t>(sums[4 * channels + c]);
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

void addRows(const Plane<std::int32_t>& plane, const SymbolLayout& layout, std::vector<Moments>& moments) {
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

/// The cheapest mode of a channel; `groups` hold the sums of the rows of each group.
ModeChoice chooseMode(std::span<const Moments> groups, std::size_t channel, bool references) {
    ModeChoice best;
    const auto consider = [&](SymbolMode mode, std::uint8_t weight, std::int64_t extraBits, auto squaresOf) {
        std::int64_t bits = extraBits * 256;
        for (const Moments& moments : groups)
            bits += modelledBits(moments.count, squaresOf(moments));
        if (bits < best.bits)
            best = {mode, weight, bits, best.ownBits};
    };
    consider(SymbolMode::Mean, kWholeWeight, 1, [&](const Moments& m) { return m.own[channel]; });
    best.ownBits = best.bits;
    if (references)
        consider(SymbolMode::Reference, kWholeWeight, 1, [&](const Moments& m) { return m.reference[channel]; });
    std::int64_t product = 0;
    std::uint64_t lagged = 0;
    for (const Moments& moments : groups) {
        product += moments.product[channel];
        lagged += moments.lagged[channel];
    }
    if (product > 0 && lagged > 0) {
        const auto norm = static_cast<std::int64_t>(lagged);
        const auto weight =
            static_cast<std::uint8_t>(std::clamp<std::int64_t>((product * 16 + norm) / (2 * norm), 1, kWholeWeight));
        consider(SymbolMode::Previous, weight, 5, [&](const Moments& m) {
            const __int128 gain = static_cast<__int128>(m.product[channel]) * (2 * kWholeWeight * weight) -
                                  static_cast<__int128>(m.lagged[channel]) * (weight * weight);
            const __int128 rest = static_cast<__int128>(m.own[channel]) - gain / 64;
            return static_cast<std::uint64_t>(std::max<__int128>(rest, 0));
        });
    }
    consider(SymbolMode::Anchor, kWholeWeight, 3, [&](const Moments& m) { return m.anchor[channel]; });
    return best;
}

struct ModeBits {
    std::int64_t chosen = 0;
    /// Of the numbers as they are.
    std::int64_t own = 0;
};

template <class Number> ModeBits chooseModes(const Plane<Number>& plane, std::size_t groups, SymbolLayout& layout) {
    std::vector<Moments> moments(groups, Moments(plane.channels));
    addRows(plane, layout, moments);
    ModeBits bits;
    for (std::size_t c = 0; c < plane.channels; ++c) {
        const ModeChoice choice = chooseMode(moments, c, layout.hasReferences);
        layout.channels[c].mode = choice.mode;
        layout.channels[c].weight = choice.weight;
        bits.chosen += choice.bits;
        bits.own += choice.ownBits;
    }
    return bits;
}

int streamsFor(std::size_t values) {
    return values < 32768 ? 1 : values < 131072 ? 2 : 4;
}

template <class Number> SymbolLayout plan(const Plane<Number>& plane, Predictor predictor) {
    SymbolLayout layout;
    layout.narrow = sizeof(Number) == sizeof(std::int16_t);
    layout.rows.resize(plane.tokens);
    layout.channels.resize(plane.channels);
    layout.streams = streamsFor(plane.numbers.size());
    switch (predictor) {
    case Predictor::None:
    case Predictor::ChannelMean:
        return layout;
    case Predictor::Anchor:
        for (SymbolChannel& channel : layout.channels)
            channel.mode = SymbolMode::Anchor;
        return layout;
    case Predictor::Previous:
        for (SymbolChannel& channel : layout.channels)
            channel.mode = SymbolMode::Previous;
        return layout;
    case Predictor::Best:
        break;
    }

    SymbolLayout plain = layout;
    const ModeBits plainBits = chooseModes(plane, 1, plain);
    const ReferenceGain gain = findReferences(plane, layout);
    // References that save less than modes without them do, or next to nothing, are not worth a closer look.
    if (gain.saved <= std::max(plainBits.own - plainBits.chosen, plainBits.own / 128))
        return plain;
    groupRows(gain.left, plane.channels, layout);
    std::int64_t bits = chooseModes(plane, layout.groups, layout).chosen;
    const auto copies = std::ranges::count_if(layout.rows, &SymbolRow::copy);
    // Distance, weight and group.
    bits += static_cast<std::int64_t>(plane.tokens) * 12 * 256 - copies * 4 * 256 +
            static_cast<std::int64_t>(layout.groups - 1) * kGroupBits * 256;
    return bits < plainBits.chosen ? layout : plain;
}

} // namespace

std::int64_t modelledBits(std::int64_t count, std::uint64_t squares) {
    if (count == 0)
        return 0;
    // Rounding adds a twelfth to the variance.
    // In float64, which divides several times as fast as integers do.
    const auto variance =
        static_cast<std::uint64_t>(static_cast<double>(squares) * 96 / static_cast<double>(count)) + 8;
    return count * log2Q8(std::max<std::uint64_t>(variance, 1)) / 2;
}

SymbolLayout planSymbols(const SymbolPlane& plane, Predictor predictor) {
    const auto tokens = static_cast<std::size_t>(plane.tokens);
    const auto channels = static_cast<std::size_t>(plane.channels);
    SymbolLayout layout = plane.isNarrow ? plan(Plane<std::int16_t>{tokens, channels, plane.narrow}, predictor)
                                         : plan(Plane<std::int32_t>{tokens, channels, plane.wide}, predictor);
    for (std::size_t c = 0; c < channels; ++c)
        layout.channels[c].mean = plane.means[c];
    return layout;
}

} // namespace kvscope
