// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/symbol_bank.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace kvscope {

namespace {

// Everything here uses IEEE additions, multiplications and divisions alone, in a fixed order: the tables must be the
// same wherever a chunk is read, and libraries differ in the last bit of exp and erf.

constexpr double kLog2E = 1.4426950408889634;
constexpr double kLn2 = 0.6931471805599453;

/// e^-x for x >= 0.
double negativeExp(double x) {
    if (x > 700)
        return 0;
    const double scaled = x * kLog2E;
    const int whole = static_cast<int>(scaled);
    const double rest = (scaled - whole) * kLn2;
    double term = 1;
    double sum = 1;
    for (int i = 1; i < 18; ++i) {
        term = term * -rest / i;
        sum += term;
    }
    return sum * std::bit_cast<double>(static_cast<std::uint64_t>(1023 - whole) << 52);
}

/// Density of a shape of standard deviation 1, up to a factor.
double density(int shape, double x) {
    x = x < 0 ? -x : x;
    switch (shape) {
    case 0:
        return negativeExp(x * x / 2);
    case 1:
        return negativeExp(x * 1.4142135623730951);
    default: {
        const double base = 1 + x * x;
        return 1 / (base * base);
    }
    }
}

/// 2^(quarters / 4).
double scaleOf(int quarters) {
    constexpr std::array kRoots{1.0, 1.189207115002721, 1.4142135623730951, 1.681792830507429};
    const int whole = (quarters + 400) / 4 - 100;
    return kRoots[static_cast<std::size_t>(quarters - whole * 4)] *
           std::bit_cast<double>(static_cast<std::uint64_t>(1023 + whole) << 52);
}

/// Probability of the interval [number - 1/2, number + 1/2] up to a factor: Simpson's rule.
double mass(int shape, double sigma, int number) {
    constexpr int kParts = 64;
    double sum = 0;
    for (int i = 0; i <= kParts; ++i) {
        const double x = (number - 0.5 + static_cast<double>(i) / kParts) / sigma;
        const double weight = i == 0 || i == kParts ? 1 : i % 2 == 1 ? 4 : 2;
        sum += weight * density(shape, x);
    }
    return sum;
}

struct ShapedTable {
    RansTable table;
    int most = 0;
};

/// Numbers below half a slot are left to the exceptions.
Result<ShapedTable> makeTable(int scale, int shape) {
    constexpr int kMost = kBankZero - 1;
    const double sigma = scaleOf(scale - kBankUnitScale);
    std::array<double, kMost + 1> masses{};
    double total = 0;
    for (int number = 0; number <= kMost; ++number) {
        const double one = mass(shape, sigma, number);
        masses[static_cast<std::size_t>(number)] = one;
        total += number == 0 ? one : 2 * one;
    }
    RansCounts counts{};
    int most = 0;
    constexpr double kCountTotal = 1 << 24;
    for (int number = 0; number <= kMost; ++number) {
        const double share = masses[static_cast<std::size_t>(number)] / total;
        if (number > 1 && share * kRansTotal < 0.5)
            break;
        const auto count = std::max<std::uint32_t>(1, static_cast<std::uint32_t>(share * kCountTotal));
        const auto size = static_cast<std::size_t>(number);
        counts[kBankZero + size] = count;
        counts[kBankZero - size] = count;
        most = number;
    }
    KVSCOPE_ASSIGN(const auto frequencies, normaliseCounts(counts));
    KVSCOPE_ASSIGN(auto table, RansTable::fromFrequencies(frequencies));
    return ShapedTable{std::move(table), most};
}

} // namespace

const SymbolBank& SymbolBank::get() {
    static const SymbolBank bank;
    return bank;
}

SymbolBank::SymbolBank() {
    RansFrequencies zero{};
    zero[kBankZero] = kRansTotal;
    tables_.reserve(kBankClasses);
    tables_.push_back(*RansTable::fromFrequencies(zero));
    for (int scale = 0; scale < kBankScales; ++scale) {
        for (int shape = 0; shape < kBankShapes; ++shape) {
            // The shapes above all have a table.
            ShapedTable made = *makeTable(scale, shape);
            most_[static_cast<std::size_t>(bankClass(scale, shape))] = made.most;
            tables_.push_back(std::move(made.table));
        }
    }
    // What the place and the rest of an exception take, on average.
    constexpr std::uint32_t kExceptionCost = 20 << 8;
    for (int size = 0; size < kBankZero; ++size) {
        for (std::size_t column = 0; column < kCostColumns; ++column) {
            const int shape = static_cast<int>(column) % kBankShapes;
            const int scale = static_cast<int>(column) / kBankShapes - kBankScales;
            const int i = bankClass(std::clamp(scale, 0, kBankScales - 1), shape);
            const auto nearest = static_cast<std::size_t>(std::min(size, most(i)));
            const auto& costs = table(i).costs();
            const std::uint32_t coded = (costs[kBankZero + nearest] + costs[kBankZero - nearest]) >> 9;
            costs_[static_cast<std::size_t>(size)][column] = size <= most(i) ? coded : coded + kExceptionCost;
        }
    }
}

} // namespace kvscope
