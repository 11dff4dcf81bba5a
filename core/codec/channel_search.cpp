// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/channel_kernels.h"
#include "core/codec/channel_terms.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>
#include <optional>

namespace kvscope {

namespace {

/// Channels looked at more closely than by their correlation.
constexpr std::size_t kMostCandidates = 96;
/// Blocks of so many channels and more are first tried on some of them.
constexpr std::size_t kManyChannels = 256;
constexpr std::size_t kTrialChannels = 32;

/// Rows of a channel are padded to whole vectors.
constexpr std::size_t kPadding = 32;

/// Sums of products of the channels of a block, as far as they were asked for.
class Products {
public:
    Products(std::span<const std::int8_t> numbers, std::size_t channels, std::size_t rows)
        : channels_(channels)
        , rows_(rows)
        , stride_(rows + kPadding)
        , numbers_(channels * stride_)
        , products_(channels * channels)
        , known_(channels)
        , energies_(channels) {
        for (std::size_t c = 0; c < channels; ++c) {
            std::int16_t* row = numbers_.data() + c * stride_;
            std::ranges::copy(numbers.subspan(c * rows, rows), row);
            multiplyRows(row, row, stride_, 1, rows, &energies_[c]);
        }
    }

    /// With the channels before it.
    std::span<const std::int32_t> of(std::size_t channel) {
        const auto row = std::span(products_).subspan(channel * channels_, channel);
        if (known_[channel] == 0)
            multiplyRows(numbers_.data() + channel * stride_, numbers_.data(), stride_, channel, rows_, row.data());
        known_[channel] = 1;
        return row;
    }
    double of(std::size_t a, std::size_t b) { return a == b ? energies_[a] : of(std::max(a, b))[std::min(a, b)]; }
    [[nodiscard]] double energy(std::size_t channel) const { return energies_[channel]; }
    [[nodiscard]] std::size_t channels() const { return channels_; }
    [[nodiscard]] std::size_t rows() const { return rows_; }

private:
    std::size_t channels_;
    std::size_t rows_;
    std::size_t stride_;
    std::vector<std::int16_t> numbers_;
    std::vector<std::int32_t> products_;
    std::vector<char> known_;
    std::vector<std::int32_t> energies_;
};

using Weights = std::array<double, kMostTerms>;

/// Solves the normal equations of some channels for another, by Cholesky's decomposition; false where they depend on
/// each other.
bool solve(Products& products, std::size_t channel, std::span<const std::size_t> from, Weights& weights) {
    std::array<Weights, kMostTerms> factor{};
    for (std::size_t i = 0; i < from.size(); ++i) {
        for (std::size_t j = 0; j <= i; ++j) {
            double sum = products.of(from[i], from[j]);
            const double whole = sum;
            for (std::size_t k = 0; k < j; ++k)
                sum -= factor[i][k] * factor[j][k];
            if (i != j) {
                factor[i][j] = sum / factor[j][j];
                continue;
            }
            constexpr double kLeastShare = 1e-6;
            if (sum <= whole * kLeastShare)
                return false;
            factor[i][i] = std::sqrt(sum);
        }
    }
    for (std::size_t i = 0; i < from.size(); ++i) {
        double sum = products.of(from[i], channel);
        for (std::size_t k = 0; k < i; ++k)
            sum -= factor[i][k] * weights[k];
        weights[i] = sum / factor[i][i];
    }
    for (std::size_t i = from.size(); i-- > 0;) {
        double sum = weights[i];
        for (std::size_t k = i + 1; k < from.size(); ++k)
            sum -= factor[k][i] * weights[k];
        weights[i] = sum / factor[i][i];
    }
    return true;
}

/// Bits a number of this variance, up to a constant; rounding adds a twelfth, and a prediction rounds as well.
double bitsOf(double variance, bool predicted) {
    constexpr double kRounding = 1.0 / 12;
    return 0.5 * std::log2(std::max(variance, 0.0) + (predicted ? 2 : 1) * kRounding);
}

/// Picks terms for one channel after the other: again and again the channel that says most about what the ones before
/// it leave (orthogonal matching pursuit).
class Search {
public:
    Search(Products& products, std::int64_t planeTokens)
        : products_(products)
        , tokens_(static_cast<double>(planeTokens))
        , rows_(static_cast<double>(products.rows())) {}

    /// At most `most` of them.
    std::vector<ChannelTerm> termsOf(std::size_t channel, std::size_t most = kMostTerms) {
        chosen_.clear();
        weights_ = {};
        const double variance = products_.energy(channel) / rows_;
        double bits = bitsOf(variance, false);
        const double price = priceOf(channel);
        // A channel this quiet takes few bits whatever is done.
        constexpr double kLeastVariance = 0.05;
        if (variance < kLeastVariance)
            return {};
        takeCandidates(channel);
        std::vector<ChannelTerm> terms;
        while (chosen_.size() < most) {
            const auto next = mostTelling(channel);
            if (!next)
                break;
            chosen_.push_back(*next);
            Weights weights{};
            if (!solve(products_, channel, chosen_, weights))
                break;
            for (double& weight : weights)
                weight = std::clamp<double>(std::round(weight * 8), -kMostTermWeight, kMostTermWeight) / 8;
            const double with = bitsOf(leftBy(channel, weights) / rows_, true);
            if ((bits - with) * tokens_ < price)
                break;
            bits = with;
            weights_ = weights;
            terms = named(weights);
        }
        return terms;
    }

private:
    /// Bits that a term must save: what it takes, and what the best of so many candidates seems to save by chance on
    /// the sample and does not save on the rest of the plane.
    [[nodiscard]] double priceOf(std::size_t channel) const {
        const double names = std::log2(static_cast<double>(channel) + 1);
        const double unseen = std::max(0.0, 1 - rows_ / tokens_);
        return kTermDoubt * bitsOfTerms(channel, 1) + unseen * 2 * names * tokens_ / rows_;
    }

    void takeCandidates(std::size_t channel) {
        candidates_.resize(channel);
        std::iota(candidates_.begin(), candidates_.end(), std::size_t{0});
        if (channel <= kMostCandidates)
            return;
        const auto own = products_.of(channel);
        std::vector<double> tells(channel);
        for (std::size_t j = 0; j < channel; ++j) {
            const double product = own[j];
            tells[j] = product * product / (products_.energy(j) + 1.0);
        }
        const auto rank = [&](std::size_t a, std::size_t b) {
            return tells[a] != tells[b] ? tells[a] > tells[b] : a < b;
        };
        std::ranges::nth_element(candidates_, candidates_.begin() + kMostCandidates, rank);
        candidates_.resize(kMostCandidates);
        std::ranges::sort(candidates_);
    }

    /// The candidate most correlated with what the terms so far leave.
    std::optional<std::size_t> mostTelling(std::size_t channel) {
        const auto own = products_.of(channel);
        double best = 0;
        std::optional<std::size_t> found;
        for (const std::size_t j : candidates_) {
            const double energy = products_.energy(j);
            if (energy <= 0 || std::ranges::find(chosen_, j) != chosen_.end())
                continue;
            double left = own[j];
            for (std::size_t k = 0; k < chosen_.size(); ++k)
                left -= weights_[k] * products_.of(chosen_[k], j);
            if (left * left > best * energy) {
                best = left * left / energy;
                found = j;
            }
        }
        return found;
    }

    /// Energy that the chosen channels leave with these weights.
    double leftBy(std::size_t channel, const Weights& weights) {
        double energy = products_.energy(channel);
        for (std::size_t i = 0; i < chosen_.size(); ++i) {
            energy -= 2 * weights[i] * products_.of(chosen_[i], channel);
            for (std::size_t k = 0; k < chosen_.size(); ++k)
                energy += weights[i] * weights[k] * products_.of(chosen_[i], chosen_[k]);
        }
        return energy;
    }

    [[nodiscard]] std::vector<ChannelTerm> named(const Weights& weights) const {
        std::vector<ChannelTerm> terms;
        for (std::size_t i = 0; i < chosen_.size(); ++i) {
            if (weights[i] != 0)
                terms.push_back({static_cast<std::uint32_t>(chosen_[i]), static_cast<std::int8_t>(weights[i] * 8)});
        }
        std::ranges::sort(terms, {}, &ChannelTerm::channel);
        return terms;
    }

    Products& products_;
    double tokens_;
    double rows_;
    std::vector<std::size_t> chosen_;
    std::vector<std::size_t> candidates_;
    Weights weights_{};
};

/// Whether a few channels spread over the block have any terms.
bool seemsWorthwhile(Search& search, std::size_t channels) {
    std::size_t found = 0;
    for (std::size_t i = 1; i <= kTrialChannels; ++i)
        found += search.termsOf(channels * i / kTrialChannels - 1, 1).size();
    return found > 1;
}

} // namespace

ChannelTerms findChannelTerms(std::span<const std::int8_t> numbers, std::size_t channels, std::size_t rows,
                              std::int64_t planeTokens) {
    ChannelTerms found;
    if (rows < 2)
        return found;
    for (std::size_t first = 0; first < channels; first += kTermBlock) {
        const std::size_t count = std::min(kTermBlock, channels - first);
        Products products(numbers.subspan(first * rows, count * rows), count, rows);
        Search search(products, planeTokens);
        const bool worthwhile = count < kManyChannels || seemsWorthwhile(search, count);
        for (std::size_t c = 0; c < count; ++c) {
            auto terms = worthwhile ? search.termsOf(c) : std::vector<ChannelTerm>();
            for (ChannelTerm& term : terms)
                term.channel += static_cast<std::uint32_t>(first);
            found.add(terms);
        }
    }
    return found.empty() ? ChannelTerms() : found;
}

} // namespace kvscope
