// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/trellis_kernels.h"

#include "core/codec/raw_vector.h"
#include "core/codec/trellis_step.h"

#include <algorithm>
#include <array>
#include <bit>
#include <type_traits>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/codec/trellis_kernels.cpp"
#include <hwy/aligned_allocator.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format off: comes behind foreach_target.h
#include "core/codec/stored_values-inl.h"
// clang-format on

// Shared by all instruction sets.
#ifndef KVSCOPE_TRELLIS_TABLES
#define KVSCOPE_TRELLIS_TABLES
namespace kvscope {

/// Of the values' parts four make one of the search.
inline constexpr int kSearchParts = kTrellisParts / 4;
/// Points of the fine grid lie half a step apart; a state allows every second one, and of these the number's parity
/// tells apart two: in all, four sets of points, 2 * parity + side, each two steps apart.
inline constexpr int kGridParts = kSearchParts / 2;
inline constexpr int kPeriodParts = 4 * kGridParts;
inline constexpr int kPeriodBits = 5;
static_assert(kPeriodParts == 1 << kPeriodBits);
/// What a distance of a step costs; costs are squared distances.
inline constexpr int kDistanceUnit = 20;
/// Rows after which the smallest sum is taken from all. Sums differ by what three rows can add at most, for as many
/// rows lead from any state to any other.
inline constexpr std::size_t kRowsAtOnce = 8;
/// More than that: walks start in state 0.
inline constexpr std::uint8_t kElsewhere = 64;
static_assert(kElsewhere > 3 * kDistanceUnit && kElsewhere + kRowsAtOnce * kDistanceUnit < 256);

/// A way into a state.
struct TrellisStep {
    std::uint8_t from = 0;
    std::uint8_t parity = 0;

    /// Which of the four sets of points it takes.
    [[nodiscard]] constexpr std::uint8_t set() const { return static_cast<std::uint8_t>(2 * parity + (from & 1U)); }
};

/// The two ways into each state: [2 * state + which].
constexpr std::array<TrellisStep, 2 * kTrellisStates> waysInto() {
    std::array<TrellisStep, 2 * kTrellisStates> ways{};
    std::array<std::uint8_t, kTrellisStates> found{};
    for (std::uint8_t i = 0; i < 2 * kTrellisStates; ++i) {
        const std::uint8_t to = kTrellisNext[i];
        ways[std::size_t{2} * to + found[to]++] = {static_cast<std::uint8_t>(i / 2), static_cast<std::uint8_t>(i % 2)};
    }
    return ways;
}
inline constexpr auto kWays = waysInto();

/// Cost of a point that lies so many parts and a half away.
constexpr std::array<std::uint8_t, kSearchParts> distanceCosts() {
    // In quarters of a square part.
    constexpr int kStep = 4 * kSearchParts * kSearchParts;
    std::array<std::uint8_t, kSearchParts> costs{};
    for (int parts = 0; parts < kSearchParts; ++parts)
        costs[static_cast<std::size_t>(parts)] =
            static_cast<std::uint8_t>((kDistanceUnit * (2 * parts + 1) * (2 * parts + 1) + kStep / 2) / kStep);
    return costs;
}
inline constexpr auto kCosts = distanceCosts();

/// The cost of the nearest point of a set for a value within a part.
constexpr std::uint8_t costOf(int part, int set) {
    const int along = (part - set * kGridParts) & (kPeriodParts - 1);
    return kCosts[static_cast<std::size_t>(std::min(along, kPeriodParts - 1 - along))];
}

/// The number of that point.
constexpr std::int16_t numberOf(int part, int set) {
    const int period = (part - set * kGridParts + kPeriodParts / 2) >> kPeriodBits;
    return static_cast<std::int16_t>(set / 2 + 2 * period);
}

} // namespace kvscope
#endif

HWY_BEFORE_NAMESPACE();
namespace kvscope::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// One channel.
template <class Stored>
void searchOne(Values<Stored> values, std::size_t rows, std::size_t channels, std::size_t c,
               const TrellisMeasure& measure, RawVector<std::int16_t>& parts, RawVector<std::uint8_t>& choices,
               std::int16_t* numbers) {
    std::array<int, kTrellisStates> sums{};
    std::fill(sums.begin() + 1, sums.end(), kElsewhere);
    for (std::size_t t = 0; t < rows; ++t) {
        const float scaled = values[t * channels + c] * measure.factors[c];
        const auto whole = static_cast<std::int16_t>(std::bit_cast<std::uint32_t>(scaled + measure.rounders[c]));
        const int pull = std::clamp((whole * measure.pulls[c] + (1 << 14)) >> 15, -kMostTrellisPull, kMostTrellisPull);
        const int part = (whole - pull) >> 2;
        parts[t] = static_cast<std::int16_t>(part);
        std::array<int, kTrellisStates> next{};
        unsigned chosen = 0;
        for (std::size_t state = 0; state < kTrellisStates; ++state) {
            const TrellisStep& one = kWays[2 * state];
            const TrellisStep& other = kWays[2 * state + 1];
            const int first = sums[one.from] + costOf(part, one.set());
            const int second = sums[other.from] + costOf(part, other.set());
            next[state] = std::min(first, second);
            chosen |= second < first ? 1U << state : 0U;
        }
        choices[t] = static_cast<std::uint8_t>(chosen);
        sums = next;
    }
    auto state = static_cast<std::size_t>(std::min_element(sums.begin(), sums.end()) - sums.begin());
    for (std::size_t t = rows; t-- > 0;) {
        const TrellisStep& step = kWays[2 * state + (choices[t] >> state & 1U)];
        numbers[t * channels + c] = numberOf(parts[t], step.set());
        state = step.from;
    }
}

#if HWY_TARGET != HWY_SCALAR
template <class Body, std::size_t... States> HWY_INLINE void forStates(Body body, std::index_sequence<States...>) {
    (body(std::integral_constant<std::size_t, States>()), ...);
}

/// Channels c and on, as many as a vector of bytes holds. `parts` and `choices` hold as many for each row.
template <class Stored, class Bytes>
HWY_ATTR void searchBlock(Bytes bytes, Values<Stored> values, std::size_t rows, std::size_t channels, std::size_t c,
                          const TrellisMeasure& measure, std::int16_t* parts, std::uint8_t* choices,
                          std::int16_t* numbers) {
    const hn::Repartition<float, Bytes> floats;
    const hn::Repartition<std::int16_t, Bytes> shorts;
    using Vector = hn::Vec<Bytes>;
    constexpr auto kStates = std::make_index_sequence<kTrellisStates>();
    const std::size_t lanes = hn::Lanes(bytes);
    const std::size_t half = lanes / 2;
    const std::size_t quarter = lanes / 4;

    const auto costs = hn::LoadDup128(bytes, kCosts.data());
    const auto byte = [&](int value) HWY_ATTR { return hn::Set(bytes, static_cast<std::uint8_t>(value)); };
    const auto least = hn::Set(shorts, static_cast<std::int16_t>(-kMostTrellisPull));
    const auto most = hn::Set(shorts, static_cast<std::int16_t>(kMostTrellisPull));
    const auto wholeAt = [&](std::size_t row, std::size_t at) HWY_ATTR {
        const auto scaled = hn::Mul(values.at(floats, row + at), hn::LoadU(floats, measure.factors + at));
        return hn::BitCast(shorts, hn::Add(scaled, hn::LoadU(floats, measure.rounders + at)));
    };
    const auto partsAt = [&](std::size_t row, std::size_t at) HWY_ATTR {
        const auto whole = hn::ConcatEven(shorts, wholeAt(row, at + quarter), wholeAt(row, at));
        const auto pull = hn::MulFixedPoint15(whole, hn::LoadU(shorts, measure.pulls + at));
        return hn::ShiftRight<2>(hn::Sub(whole, hn::Min(hn::Max(pull, least), most)));
    };

    Vector sums[kTrellisStates];
    forStates([&](auto state) HWY_ATTR { sums[state] = byte(state == 0 ? 0 : kElsewhere); }, kStates);
    for (std::size_t t = 0; t < rows; ++t) {
        const std::size_t row = t * channels;
        const auto lower = partsAt(row, c);
        const auto upper = partsAt(row, c + half);
        hn::Store(lower, shorts, parts + t * lanes);
        hn::Store(upper, shorts, parts + t * lanes + half);
        const auto part = hn::ConcatEven(bytes, hn::BitCast(bytes, upper), hn::BitCast(bytes, lower));
        const auto distance = [&](Vector from) HWY_ATTR {
            const auto along = hn::And(from, byte(kPeriodParts - 1));
            return hn::Min(along, hn::Xor(along, byte(kPeriodParts - 1)));
        };
        const auto costAt = [&](Vector apart) HWY_ATTR { return hn::TableLookupBytes(costs, apart); };
        const auto even = distance(part);
        const auto odd = distance(hn::Sub(part, byte(kGridParts)));
        // Sets two apart lie half a period apart.
        const Vector cost[4] = {costAt(even), costAt(odd), costAt(hn::Xor(even, byte(kSearchParts - 1))),
                                costAt(hn::Xor(odd, byte(kSearchParts - 1)))};
        Vector next[kTrellisStates];
        auto chosen = hn::Zero(bytes);
        forStates(
            [&](auto state) HWY_ATTR {
                constexpr TrellisStep kOne = kWays[2 * state];
                constexpr TrellisStep kOther = kWays[2 * state + 1];
                const auto first = hn::Add(sums[kOne.from], cost[kOne.set()]);
                const auto second = hn::Add(sums[kOther.from], cost[kOther.set()]);
                next[state] = hn::Min(first, second);
                chosen = hn::IfThenElse(hn::Ne(next[state], first), hn::Add(chosen, byte(1 << state)), chosen);
            },
            kStates);
        hn::Store(chosen, bytes, choices + t * lanes);
        if (t % kRowsAtOnce == kRowsAtOnce - 1) {
            auto smallest = next[0];
            forStates([&](auto state) HWY_ATTR { smallest = hn::Min(smallest, next[state]); }, kStates);
            forStates([&](auto state) HWY_ATTR { next[state] = hn::Sub(next[state], smallest); }, kStates);
        }
        forStates([&](auto state) HWY_ATTR { sums[state] = next[state]; }, kStates);
    }
    auto state = hn::Zero(bytes);
    auto best = sums[0];
    forStates(
        [&](auto other) HWY_ATTR {
            const auto smaller = hn::Lt(sums[other], best);
            best = hn::IfThenElse(smaller, sums[other], best);
            state = hn::IfThenElse(smaller, byte(other), state);
        },
        kStates);
    alignas(16) std::uint8_t bitOf[16] = {};
    alignas(16) std::uint8_t setOf[16];
    alignas(16) std::uint8_t fromOf[16];
    for (std::size_t i = 0; i < 2 * kTrellisStates; ++i) {
        bitOf[i % kTrellisStates] = static_cast<std::uint8_t>(1U << i % kTrellisStates);
        setOf[i] = static_cast<std::uint8_t>(kWays[i].set() * kGridParts);
        fromOf[i] = kWays[i].from;
    }
    const auto bits = hn::LoadDup128(bytes, bitOf);
    const auto sets = hn::LoadDup128(bytes, setOf);
    const auto froms = hn::LoadDup128(bytes, fromOf);
    const hn::Half<Bytes> halfBytes;
    const bool all = std::all_of(measure.uses + c, measure.uses + c + lanes, [](std::int16_t use) { return use != 0; });
    for (std::size_t t = rows; t-- > 0;) {
        const auto chosen = hn::Load(bytes, choices + t * lanes);
        const auto isSecond = hn::Ne(hn::And(chosen, hn::TableLookupBytes(bits, state)), hn::Zero(bytes));
        const auto twice = hn::Add(state, state);
        const auto way = hn::IfThenElse(isSecond, hn::Add(twice, byte(1)), twice);
        const auto set = hn::TableLookupBytes(sets, way);
        state = hn::TableLookupBytes(froms, way);
        const auto put = [&](std::size_t at, auto setParts) HWY_ATTR {
            const auto part = hn::Load(shorts, parts + t * lanes + at);
            const auto from = hn::Add(hn::Sub(part, setParts), hn::Set(shorts, kPeriodParts / 2));
            const auto period = hn::ShiftRight<kPeriodBits>(from);
            auto number = hn::Add(hn::Add(period, period), hn::ShiftRight<kPeriodBits - 1>(setParts));
            std::int16_t* to = numbers + t * channels + c + at;
            if (!all) {
                const auto uses = hn::LoadU(shorts, measure.uses + c + at);
                number = hn::Or(hn::And(number, uses), hn::AndNot(uses, hn::LoadU(shorts, to)));
            }
            hn::StoreU(number, shorts, to);
        };
        put(0, hn::PromoteTo(shorts, hn::LowerHalf(halfBytes, set)));
        put(half, hn::PromoteTo(shorts, hn::UpperHalf(halfBytes, set)));
    }
}
#endif

template <class Stored>
void searchStored(Values<Stored> values, std::size_t rows, std::size_t channels, const TrellisMeasure& measure,
                  std::int16_t* numbers) {
    std::size_t c = 0;
#if HWY_TARGET != HWY_SCALAR
    const hn::ScalableTag<std::uint8_t> whole;
    const auto parts = hwy::AllocateAligned<std::int16_t>(rows * hn::Lanes(whole));
    const auto choices = hwy::AllocateAligned<std::uint8_t>(rows * hn::Lanes(whole));
    const auto search = [&](auto tag) HWY_ATTR {
        for (; c + hn::Lanes(tag) <= channels; c += hn::Lanes(tag))
            searchBlock(tag, values, rows, channels, c, measure, parts.get(), choices.get(), numbers);
    };
    search(whole);
    search(hn::FixedTag<std::uint8_t, 16>());
#endif
    if (c == channels)
        return;
    RawVector<std::int16_t> partsOfOne(rows);
    RawVector<std::uint8_t> choicesOfOne(rows);
    for (; c < channels; ++c) {
        if (measure.uses[c] != 0)
            searchOne(values, rows, channels, c, measure, partsOfOne, choicesOfOne, numbers);
    }
}

void search(DType type, const std::byte* values, std::size_t rows, std::size_t channels, const TrellisMeasure& measure,
            std::int16_t* numbers) {
    if (type == DType::F16)
        searchStored(Values<hwy::float16_t>{values}, rows, channels, measure, numbers);
    else if (type == DType::BF16)
        searchStored(Values<hwy::bfloat16_t>{values}, rows, channels, measure, numbers);
    else
        searchStored(Values<float>{values}, rows, channels, measure, numbers);
}

} // namespace kvscope::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace kvscope {

HWY_EXPORT(search);

void searchTrellises(DType type, const std::byte* values, std::size_t rows, std::size_t channels,
                     const TrellisMeasure& measure, std::int16_t* numbers) {
    HWY_DYNAMIC_DISPATCH(search)(type, values, rows, channels, measure, numbers);
}

} // namespace kvscope

#endif
