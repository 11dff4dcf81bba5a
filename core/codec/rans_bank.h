// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/rans_table.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

/// Frequency tables of the usual distributions of quantised values, so that a row names its table by one byte. A value
/// r in -127..127 is symbol 128 + r; symbol 0 stands for values that the table does not have ("escape").
namespace kvscope {

inline constexpr std::uint8_t kRansEscape = 0;
inline constexpr int kRansZero = 128;

/// Density of the values before rounding, from light to heavy tails: kurtosis 3, 4.2, 6 and infinite.
enum class RansShape : std::uint8_t {
    Gaussian,
    Logistic,
    Laplace,
    /// Student's t with 3 degrees of freedom.
    Student,
};
inline constexpr int kRansShapes = 4;
/// Standard deviations 2^(scale / 4 - 3.5): from 0.088 (nearly always zero) to 64.
inline constexpr int kRansScales = 39;
inline constexpr int kRansClasses = kRansShapes * kRansScales;

/// Which table of the bank.
struct RansClass {
    RansShape shape = RansShape::Gaussian;
    std::uint8_t scale = 0;

    bool operator==(const RansClass&) const = default;
    /// As it is stored, below kRansClasses.
    [[nodiscard]] constexpr std::uint8_t index() const {
        return static_cast<std::uint8_t>(static_cast<int>(shape) * kRansScales + scale);
    }
    static constexpr RansClass fromIndex(std::uint8_t index) {
        return {static_cast<RansShape>(index / kRansScales), static_cast<std::uint8_t>(index % kRansScales)};
    }
};

/// What is cheap to know about the values of a row.
struct RansMoments {
    std::uint64_t count = 0;
    std::uint64_t sumAbs = 0;
    std::uint64_t sumSquares = 0;

    void add(std::int32_t value, std::uint64_t times = 1) {
        const auto size = static_cast<std::uint64_t>(value < 0 ? -static_cast<std::int64_t>(value) : value);
        count += times;
        sumAbs += size * times;
        sumSquares += size * size * times;
    }
};

/// Moments of what is counted, escapes left out.
RansMoments momentsOf(const RansCounts& counts);

/// All tables. The same on every machine: nothing in it is computed in floating point.
class RansBank {
public:
    /// The one bank, built when it is first asked for (a few milliseconds).
    static const RansBank& instance();

    [[nodiscard]] const RansTable& table(RansClass which) const { return tables_[which.index()]; }

    /// Bits a value (times 2^16) when values distributed as `data` are coded with table `coder`; `escapeCost` (times
    /// 2^16) is what a value that it lacks takes besides the escape.
    [[nodiscard]] std::uint32_t expectedCost(RansClass data, RansClass coder, std::uint32_t escapeCost) const;

    /// The class whose mean size, and then mean square, is nearest: within a few hundredths of a bit a value of the
    /// best.
    [[nodiscard]] RansClass guess(const RansMoments& moments) const;

    struct Choice {
        RansClass which;
        /// Bits (times 2^16) of all symbols counted, escapes and their cost included.
        std::uint64_t cost = 0;
    };

    /// The class that codes these counts in the fewest bits, as far as a search around the moments finds it.
    [[nodiscard]] Choice choose(const RansCounts& counts, std::uint32_t escapeCost) const;

    /// Bits (times 2^16) of symbols of these counts in a class, escapes and their cost included.
    [[nodiscard]] std::uint64_t costOf(RansClass which, const RansCounts& counts, std::uint32_t escapeCost) const;

private:
    RansBank();

    struct Mean {
        /// Of the sizes and of the squares of the values of a table, times kRansTotal.
        std::uint64_t abs = 0;
        std::uint64_t square = 0;
    };

    [[nodiscard]] RansClass nearestScale(RansShape shape, const RansMoments& moments) const;
    [[nodiscard]] std::uint64_t costOf(RansClass which, const RansCounts& counts, std::size_t first, std::size_t last,
                                       std::uint32_t escapeCost) const;

    std::vector<RansTable> tables_;
    std::array<Mean, kRansClasses> means_{};
};

} // namespace kvscope
