// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/reference_search.h"

#include "core/codec/fixed_log.h"
#include "core/codec/raw_vector.h"
#include "core/codec/reference_kernels.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

namespace kvscope {

namespace {

constexpr std::int64_t kBlock = 32;
/// Channels of a sketch that lie side by side.
constexpr std::size_t kRun = 8;
/// Rows are searched in so many samples. After each they must have saved so many percent of what would be worth it.
constexpr std::uint32_t kSamples = 8;
constexpr std::array<std::int64_t, kSamples> kHope{50, 80, 90, 90, 95, 95, 95, 100};
/// Planes shorter than this are searched at once.
constexpr std::size_t kFewRows = 64;
/// Longer planes are not searched: their sums would not fit.
constexpr std::size_t kMostRows = 1 << 18;
/// References that save fewer bits than this cost more.
constexpr std::int64_t kLeastSaved = std::int64_t{20} * 256;

/// Rows with a few channels each, every channel at about the same size, in eight bits.
class Sketch {
public:
    /// `between`: of the channels between those that a sketch takes otherwise.
    template <class Number>
    explicit Sketch(const NumberPlane<Number>& plane, bool between = false)
        : tokens_(plane.tokens)
        , pairs_((std::min(plane.channels, kSketchWidth) + 1) / 2)
        , rows_(plane.tokens * kSketchWidth)
        , columns_((plane.tokens * pairs_ + kProductSlack) * 2)
        , norms_(plane.tokens)
        , shares_(plane.tokens) {
        const RawVector<std::int32_t> numbers = taken(plane, between);
        std::array<std::int64_t, kSketchWidth> sizes{};
        addSizes(numbers.data(), tokens_, sizes.data());
        // Products beyond the last row are nobody's.
        std::fill(columns_.end() - 2 * kProductSlack, columns_.end(), std::int16_t{0});
        const auto count = static_cast<std::int64_t>(tokens_);
        std::array<std::int32_t, kSketchWidth> factors{};
        // A number is at most the sum, so that its product with the factor is at most 4096 tokens.
        std::ranges::transform(sizes, factors.begin(), [&](std::int64_t size) {
            return static_cast<std::int32_t>(4096 * count / (size + count / 2 + 1));
        });
        for (std::size_t t = 0; t < tokens_; ++t) {
            std::int16_t* cells = rows_.data() + t * kSketchWidth;
            norms_[t] = sketchRow(numbers.data() + t * kSketchWidth, factors.data(), cells);
            shares_[t] = 1.0F / static_cast<float>(std::max<std::int64_t>(norms_[t], 1));
        }
        // Whole cache lines of columns at a time.
        constexpr std::size_t kTokensAtOnce = 16;
        constexpr std::size_t kPairBytes = 2 * sizeof(std::int16_t);
        for (std::size_t first = 0; first < tokens_; first += kTokensAtOnce) {
            const std::size_t last = std::min(first + kTokensAtOnce, tokens_);
            for (std::size_t i = 0; i < pairs_; ++i) {
                for (std::size_t t = first; t < last; ++t)
                    std::memcpy(columns_.data() + (i * tokens_ + t) * 2, rows_.data() + t * kSketchWidth + 2 * i,
                                kPairBytes);
            }
        }
    }

    /// products[u - first] of rows t and u, first <= u < t; has room for kProductSlack more.
    void products(std::size_t t, std::size_t first, std::vector<std::int32_t>& products) const {
        pairProducts(rows_.data() + t * kSketchWidth, pairs_, columns_.data() + first * 2, tokens_ * 2, t - first,
                     products.data());
    }
    [[nodiscard]] std::int64_t product(std::size_t t, std::size_t u) const {
        const auto row = rows_.begin() + static_cast<std::ptrdiff_t>(t * kSketchWidth);
        const auto other = rows_.begin() + static_cast<std::ptrdiff_t>(u * kSketchWidth);
        return std::inner_product(row, row + kSketchWidth, other, std::int64_t{0});
    }
    [[nodiscard]] std::int64_t norm(std::size_t t) const { return norms_[t]; }
    /// What row u with a weight leaves of row t.
    [[nodiscard]] std::int64_t rest(std::size_t t, std::int64_t weight, std::int64_t product, std::int64_t norm) const {
        constexpr std::int64_t kWhole = kWholeWeight;
        return std::max<std::int64_t>(
            norms_[t] - (2 * kWhole * weight * product - weight * weight * norm) / (kWhole * kWhole), 0);
    }
    /// 1 / norm of each row.
    [[nodiscard]] const float* shares() const { return shares_.data(); }

private:
    /// The channels of the sketch, [token][kSketchWidth], zeros behind them.
    template <class Number> static RawVector<std::int32_t> taken(const NumberPlane<Number>& plane, bool between) {
        RawVector<std::int32_t> numbers(plane.tokens * kSketchWidth);
        if (plane.channels < kSketchWidth)
            std::ranges::fill(numbers, 0);
        constexpr std::size_t kRuns = kSketchWidth / kRun;
        for (std::size_t t = 0; t < plane.tokens; ++t) {
            const Number* row = plane.row(t);
            std::int32_t* to = numbers.data() + t * kSketchWidth;
            if (plane.channels <= kSketchWidth) {
                std::transform(row, row + plane.channels, to, plane.clamped);
                continue;
            }
            for (std::size_t r = 0; r < kRuns; ++r) {
                const std::size_t first = r * plane.channels / kRuns + (between ? plane.channels / kRuns / 2 : 0);
                const Number* run = row + std::min(first, plane.channels - kRun);
                for (std::size_t i = 0; i < kRun; ++i)
                    to[r * kRun + i] = plane.clamped(run[i]);
            }
        }
        return numbers;
    }

    std::size_t tokens_;
    std::size_t pairs_;
    /// [token][channel], and [pair of channels][token][channel of the pair].
    RawVector<std::int16_t> rows_;
    RawVector<std::int16_t> columns_;
    std::vector<std::int64_t> norms_;
    std::vector<float> shares_;
};

template <class Number> class Search {
public:
    explicit Search(const NumberPlane<Number>& plane)
        : plane_(plane)
        , sketch_(plane) {}

    struct Found {
        SymbolRow row;
        std::int64_t left = 0;
        std::int64_t saved = 0;
    };

    Found find(std::size_t t) {
        const std::size_t first = t > kMostReferenceDistance ? t - kMostReferenceDistance : 0;
        Found found;
        found.left = sketch_.norm(t);
        std::size_t best = t;
        // product^2 / norm is what the best takes away.
        sketch_.products(t, first, products_);
        const float most = scoreProducts(products_.data(), sketch_.shares() + first, t - first, scores_.data());
        for (std::size_t u = t; u-- > first && best == t && most > 0;)
            best = scores_[u - first] == most ? u : t;
        const std::int64_t product = best == t ? 0 : products_[best - first];
        const std::int64_t norm = best == t ? 1 : std::max<std::int64_t>(sketch_.norm(best), 1);
        // A row of zeros equals any other; so does any row its twin.
        if (best == t && t > 0 && sketch_.norm(t) == 0)
            best = t - 1;
        if (best == t)
            return found;
        const std::int64_t weight = std::clamp<std::int64_t>((product * 16 + norm) / (2 * norm), 1, kWholeWeight);
        const std::int64_t rest = sketch_.rest(t, weight, product, norm);
        const bool same = std::memcmp(plane_.row(t), plane_.row(best), plane_.channels * sizeof(Number)) == 0;
        const std::int64_t saved = same ? savedBits(found.left, 0) : checkedSaving(t, best, weight, rest);
        if (!same && saved < kLeastSaved)
            return found;
        found.row.distance = static_cast<std::uint16_t>(t - best);
        found.row.copy = same;
        found.row.weight = same ? kWholeWeight : static_cast<std::uint8_t>(weight);
        found.saved = saved;
        found.left = same ? 0 : rest;
        return found;
    }

private:
    [[nodiscard]] std::int64_t savedBits(std::int64_t before, std::int64_t rest) const {
        return static_cast<std::int64_t>(plane_.channels) *
               (log2Q8(static_cast<std::uint64_t>(before) + 64) - log2Q8(static_cast<std::uint64_t>(rest) + 64)) / 2;
    }

    /// The best of many rows resembles a row by chance; in other channels it does not.
    std::int64_t checkedSaving(std::size_t t, std::size_t best, std::int64_t weight, std::int64_t rest) {
        const std::int64_t saved = savedBits(sketch_.norm(t), rest);
        if (saved < kLeastSaved || plane_.channels < 2 * kSketchWidth)
            return saved;
        if (!check_)
            check_.emplace(plane_, true);
        return std::min(
            saved, savedBits(check_->norm(t), check_->rest(t, weight, check_->product(t, best), check_->norm(best))));
    }

    const NumberPlane<Number>& plane_;
    Sketch sketch_;
    std::optional<Sketch> check_;
    std::vector<std::int32_t> products_ = std::vector<std::int32_t>(kMostReferenceDistance + kProductSlack);
    std::vector<float> scores_ = std::vector<float>(kMostReferenceDistance);
};

} // namespace

template <class Number>
std::optional<ReferenceGain> findReferences(const NumberPlane<Number>& plane, std::int64_t worth,
                                            SymbolLayout& layout) {
    if (plane.tokens > kMostRows)
        return {};
    Search<Number> search(plane);
    std::vector<SymbolRow> rows(plane.tokens);
    ReferenceGain gain;
    gain.left.resize(plane.tokens);
    // Rows are taken in samples: scattered, since texts may repeat themselves at any distance. When those so far leave
    // little hope, the others are not searched.
    for (std::uint32_t sample = 0; sample < kSamples; ++sample) {
        for (std::size_t t = 0; t < plane.tokens; ++t) {
            if (static_cast<std::uint32_t>(t) * 0x9E3779B1U >> 29 != sample)
                continue;
            const auto found = search.find(t);
            rows[t] = found.row;
            gain.left[t] = found.left;
            gain.saved += found.saved;
        }
        if (plane.tokens >= kFewRows && gain.saved * kSamples <= (sample + 1) * worth / 100 * kHope[sample])
            return {};
    }
    if (gain.saved <= worth)
        return {};
    layout.rows = std::move(rows);
    layout.hasReferences = true;
    return gain;
}

template std::optional<ReferenceGain> findReferences(const NumberPlane<std::int16_t>&, std::int64_t, SymbolLayout&);
template std::optional<ReferenceGain> findReferences(const NumberPlane<std::int32_t>&, std::int64_t, SymbolLayout&);

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
        return static_cast<std::uint64_t>((sums[last] - sums[first]) / count + 1) + kSketchWidth * 4;
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

} // namespace kvscope
