// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/rans_bank.h"

#include <algorithm>
#include <limits>

namespace kvscope {

namespace {

// Fixed point: "Q32" has 32 fraction bits. Every product below stays within 64 bits, as said where it is close.

constexpr int kRoots = 24;

constexpr std::uint64_t squareRoot(std::uint64_t value) {
    std::uint64_t root = 0;
    for (std::uint64_t bit = std::uint64_t{1} << 31; bit != 0; bit >>= 1) {
        if ((root + bit) * (root + bit) <= value)
            root += bit;
    }
    return root;
}

/// 2^-(2^-i) in Q32, for i from 0.
constexpr std::array<std::uint64_t, kRoots + 1> makeRoots() {
    std::array<std::uint64_t, kRoots + 1> roots{};
    roots[0] = std::uint64_t{1} << 31;
    for (std::size_t i = 1; i < roots.size(); ++i)
        roots[i] = squareRoot(roots[i - 1] << 32);
    return roots;
}

constexpr auto kRoot = makeRoots();

/// value * factor (Q32, at most 1) for values up to 2^63.
constexpr std::uint64_t scaled(std::uint64_t value, std::uint64_t factor) {
    return (value >> 32) * factor + (((value & 0xFFFFFFFFU) * factor) >> 32);
}

/// 2^-power in Q32 (0 below 2^-32), power in Q40.
std::uint64_t exp2Minus(std::uint64_t power) {
    const std::uint64_t whole = power >> 40;
    if (whole >= 32)
        return 0;
    std::uint64_t result = std::uint64_t{1} << 32;
    for (std::size_t i = 1; i <= kRoots; ++i) {
        if ((power >> (40 - i) & 1) != 0)
            result = scaled(result, kRoot[i]);
    }
    return result >> whole;
}

/// value * 2^(-quarters / 4).
std::uint64_t downByQuarters(std::uint64_t value, int quarters) {
    value >>= quarters / 4;
    if ((quarters & 2) != 0)
        value = scaled(value, kRoot[1]);
    return (quarters & 1) != 0 ? scaled(value, kRoot[2]) : value;
}

// Of log2(density) by x^2 or |x| for standard deviation 1, in Q40.
constexpr std::uint64_t kGaussianRate = 793129986396;  // log2(e) / 2
constexpr std::uint64_t kLaplaceRate = 2243310366972;  // sqrt(2) log2(e)
constexpr std::uint64_t kLogisticRate = 2877157330161; // pi / sqrt(3) log2(e)

/// The density of a class, up to a factor, on a grid of x.
class Density {
public:
    /// `parts` grid points make 1, at most 64.
    Density(RansClass which, std::uint64_t parts)
        : shape_(which.shape)
        , fineness_(2 * parts) {
        // 1 / sigma = 2^(3.5 - scale / 4).
        if (shape_ == RansShape::Gaussian)
            rate_ = downByQuarters(kGaussianRate << 7, 2 * which.scale);
        else if (shape_ == RansShape::Laplace)
            rate_ = downByQuarters(kLaplaceRate << 4, which.scale + 2);
        else if (shape_ == RansShape::Logistic)
            rate_ = downByQuarters(kLogisticRate << 4, which.scale + 2);
        else
            rate_ = downByQuarters(std::uint64_t{1} << 31, 2 * which.scale); // 1 / sigma^2 in Q24
    }

    /// At x = fine / (2 parts), in Q32. Ask for ascending x and stop at the first 0: beyond it, 64 bits do not suffice.
    [[nodiscard]] std::uint64_t at(std::uint64_t fine) const {
        switch (shape_) {
        case RansShape::Gaussian:
            return exp2Minus(fine * fine * rate_ / (fineness_ * fineness_));
        case RansShape::Laplace:
            return exp2Minus(fine * rate_ / fineness_);
        case RansShape::Logistic: {
            const std::uint64_t e = exp2Minus(fine * rate_ / fineness_);
            const std::uint64_t half = ((std::uint64_t{1} << 32) + e) / 2;
            return (e << 30) / scaled(half, half);
        }
        case RansShape::Student: {
            const std::uint64_t square = fine * fine * rate_ / (fineness_ * fineness_);
            if (square >> 38 != 0)
                return 0;
            const std::uint64_t root = (std::uint64_t{1} << 56) / ((std::uint64_t{1} << 24) + square);
            return scaled(root, root);
        }
        }
        return 0;
    }

private:
    RansShape shape_;
    std::uint64_t fineness_;
    std::uint64_t rate_ = 0;
};

constexpr std::size_t kMostValue = 127;
/// Where the tails are cut that escapes stand for.
constexpr std::size_t kTailEnd = 640;

/// What a value must take of one slot's probability to be in a table: 2^-kLeastShare.
constexpr int kLeastShare = 3;

RansCounts countsOf(RansClass which) {
    const std::uint64_t parts = which.scale < 18 ? 64 : which.scale < 26 ? 16 : 4;
    const Density density(which, parts);
    // Of r and -r together; the rounded value r stands for r - 1/2 .. r + 1/2.
    std::array<std::uint64_t, kTailEnd> mass{};
    std::uint64_t total = 0;
    std::uint64_t fine = 1;
    for (std::size_t r = 0; r < mass.size(); ++r) {
        for (std::uint64_t point = 0; point < (r == 0 ? parts / 2 : parts); ++point, fine += 2) {
            const std::uint64_t height = density.at(fine);
            if (height == 0) {
                r = mass.size() - 1;
                break;
            }
            mass[r] += 2 * height;
            total += 2 * height;
        }
    }
    RansCounts counts{};
    std::uint64_t covered = 0;
    const std::uint64_t unit = (total >> 26) + 1;
    for (std::size_t r = 0; r <= kMostValue; ++r) {
        const std::uint64_t each = mass[r] / (r == 0 ? 1 : 2);
        if (each << (kRansProbabilityBits + kLeastShare) < total)
            break;
        covered += mass[r];
        const auto count = static_cast<std::uint32_t>(each / unit);
        counts[kRansZero + r] = count;
        counts[kRansZero - r] = count;
    }
    counts[kRansEscape] = static_cast<std::uint32_t>((total - covered) / unit) + 1;
    return counts;
}

} // namespace

RansMoments momentsOf(const RansCounts& counts) {
    RansMoments moments;
    for (std::size_t symbol = kRansEscape + 1; symbol < kRansSymbols; ++symbol)
        moments.add(static_cast<std::int32_t>(symbol) - kRansZero, counts[symbol]);
    return moments;
}

RansBank::RansBank() {
    tables_.reserve(kRansClasses);
    for (std::uint8_t index = 0; index < kRansClasses; ++index) {
        // Neither fails: there is an escape in the counts, and normalised counts add up.
        const auto frequencies = normaliseCounts(countsOf(RansClass::fromIndex(index)));
        tables_.push_back(*RansTable::fromFrequencies(*frequencies));
        RansCounts counts{};
        std::copy(frequencies->begin(), frequencies->end(), counts.begin());
        const RansMoments moments = momentsOf(counts);
        means_[index] = {moments.sumAbs, moments.sumSquares};
    }
}

const RansBank& RansBank::instance() {
    static const RansBank bank;
    return bank;
}

std::uint32_t RansBank::expectedCost(RansClass data, RansClass coder, std::uint32_t escapeCost) const {
    RansCounts counts{};
    const auto& frequencies = table(data).frequencies();
    std::copy(frequencies.begin(), frequencies.end(), counts.begin());
    return static_cast<std::uint32_t>(costOf(coder, counts, escapeCost) >> kRansProbabilityBits);
}

RansClass RansBank::nearestScale(RansShape shape, const RansMoments& moments) const {
    RansClass which{shape, 0};
    for (; which.scale + 1 < kRansScales; ++which.scale) {
        const std::size_t index = which.index();
        if (2 * moments.sumAbs * kRansTotal <= moments.count * (means_[index].abs + means_[index + 1].abs))
            break;
    }
    return which;
}

RansClass RansBank::guess(const RansMoments& moments) const {
    RansClass best;
    std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
    for (int shape = 0; shape < kRansShapes; ++shape) {
        const RansClass which = nearestScale(static_cast<RansShape>(shape), moments);
        const std::uint64_t expected = moments.count * means_[which.index()].square;
        const std::uint64_t found = moments.sumSquares * kRansTotal;
        const std::uint64_t distance = expected < found ? found - expected : expected - found;
        if (distance < least) {
            least = distance;
            best = which;
        }
    }
    return best;
}

std::uint64_t RansBank::costOf(RansClass which, const RansCounts& counts, std::size_t first, std::size_t last,
                               std::uint32_t escapeCost) const {
    const auto& costs = table(which).costs();
    const std::uint64_t escape = std::uint64_t{costs[kRansEscape]} + escapeCost;
    std::uint64_t sum = counts[kRansEscape] * escape;
    for (std::size_t symbol = first; symbol <= last; ++symbol) {
        const std::uint64_t cost = costs[symbol];
        sum += counts[symbol] * (cost == RansTable::kNoCost ? escape : cost);
    }
    return sum;
}

std::uint64_t RansBank::costOf(RansClass which, const RansCounts& counts, std::uint32_t escapeCost) const {
    return costOf(which, counts, kRansEscape + 1, kRansSymbols - 1, escapeCost);
}

RansBank::Choice RansBank::choose(const RansCounts& counts, std::uint32_t escapeCost) const {
    std::size_t first = kRansEscape + 1;
    std::size_t last = kRansSymbols - 1;
    while (first < last && counts[first] == 0)
        ++first;
    while (last > first && counts[last] == 0)
        --last;
    RansMoments moments;
    for (std::size_t symbol = first; symbol <= last; ++symbol)
        moments.add(static_cast<std::int32_t>(symbol) - kRansZero, counts[symbol]);

    Choice best{{}, std::numeric_limits<std::uint64_t>::max()};
    for (int shape = 0; shape < kRansShapes; ++shape) {
        const RansClass start = nearestScale(static_cast<RansShape>(shape), moments);
        Choice here{start, costOf(start, counts, first, last, escapeCost)};
        for (const int direction : {-1, 1}) {
            for (int scale = start.scale + direction; scale >= 0 && scale < kRansScales; scale += direction) {
                const RansClass next{start.shape, static_cast<std::uint8_t>(scale)};
                const std::uint64_t cost = costOf(next, counts, first, last, escapeCost);
                if (cost >= here.cost)
                    break;
                here = {next, cost};
            }
        }
        if (here.cost < best.cost)
            best = here;
    }
    return best;
}

} // namespace kvscope
