// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/learnt_tables.h"

#include "core/codec/class_kernels.h"
#include "core/codec/fixed_log.h"
#include "core/codec/raw_vector.h"
#include "core/codec/side_bits.h"
#include "core/codec/symbol_layout.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

namespace kvscope {

namespace {

using RowCounts = std::span<const std::uint16_t>;
/// Costs are in units of 2^-16 bit.
constexpr std::uint64_t kBit = 65536;
constexpr int kRounds = 2;
/// How far from its class a row's next one is sought.
constexpr int kNearTables = 2;

/// What bytes cost in a table, to 2^-8 bit, for choosing among tables.
struct RoughCosts {
    /// Of bytes that do not occur yet: a slot, and what it takes from others.
    static constexpr std::int16_t kNew = (kRansProbabilityBits + 2) * 256;

    alignas(64) std::array<std::int16_t, kRansSymbols> cost{};

    explicit RoughCosts(const RansCounts& counts) {
        const std::uint64_t total = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
        cost.fill(kNew);
        for (std::size_t byte = 0; byte < kRansSymbols; ++byte) {
            // No table gives a byte fewer than one slot.
            if (counts[byte] > 0)
                cost[byte] = static_cast<std::int16_t>(
                    std::min(log2Q8(total) - log2Q8(counts[byte]), std::int64_t{kRansProbabilityBits} * 256));
        }
    }
    explicit RoughCosts(const RansTable& table) {
        cost.fill(kNew);
        for (std::size_t byte = 0; byte < kRansSymbols; ++byte) {
            if (table.costs()[byte] != RansTable::kNoCost)
                cost[byte] = static_cast<std::int16_t>(table.costs()[byte] >> 8);
        }
    }
};

class Clusters {
public:
    Clusters(std::span<const std::uint16_t> counts, std::size_t rows)
        : counts_(counts)
        , rows_(rows)
        , totals_(rows)
        , order_(rows) {
        findRange();
        weights_.resize(rows * width_);
        weightBits_ = kBit >> 8 << weightShift_;
        alignas(64) std::array<std::int16_t, kRansSymbols> places{};
        std::iota(places.begin(), places.end(), std::int16_t{0});
        std::vector<std::int32_t> means(rows);
        for (std::size_t row = 0; row < rows; ++row) {
            const auto own = usedCountsOf(row);
            std::int16_t* weights = weights_.data() + row * width_;
            std::ranges::transform(
                own, weights, [&](std::uint16_t count) { return static_cast<std::int16_t>(count >> weightShift_); });
            totals_[row] = std::accumulate(own.begin(), own.end(), std::uint32_t{0});
            means[row] = weighBytes(weights, places.data(), width_);
        }
        std::iota(order_.begin(), order_.end(), 0U);
        std::ranges::stable_sort(order_, {}, [&](std::uint32_t row) { return means[row]; });
    }

    [[nodiscard]] std::uint64_t bytes() const {
        return std::accumulate(totals_.begin(), totals_.end(), std::uint64_t{0});
    }

    /// At most `groups` tables; rows of similar mean bytes share one at first.
    Result<LearntTables> learn(std::size_t groups) const {
        LearntTables learnt;
        learnt.classes.resize(rows_);
        Sums sums;
        for (std::size_t i = 0; i < rows_; ++i) {
            learnt.classes[order_[i]] = static_cast<std::uint8_t>(1 + i * groups / rows_);
            move(sums, order_[i], 0, learnt.classes[order_[i]]);
        }
        for (int round = 0; round < kRounds; ++round)
            assign(learnt, sums);
        KVSCOPE_TRY(fit(learnt, sums));
        return learnt;
    }

    /// What rows and tables take.
    [[nodiscard]] std::uint64_t costOf(const LearntTables& learnt) const {
        std::vector<std::byte> bytes;
        writeLearntTables(learnt, bytes);
        const std::vector<RoughCosts> tables(learnt.tables.begin(), learnt.tables.end());
        std::uint64_t cost = bytes.size() * 8 * kBit;
        for (std::size_t row = 0; row < rows_; ++row)
            cost += learnt.classes[row] == 0 ? totalOf(row) * 8 * kBit : costOf(row, tables[learnt.classes[row] - 1U]);
        return cost;
    }

private:
    /// The bytes that occur in any row lie within begin_ .. begin_ + width_ - 1, whole vectors of them.
    void findRange() {
        std::array<std::uint16_t, kRansSymbols> all{};
        for (std::size_t row = 0; row < rows_; ++row) {
            const std::uint16_t* own = counts_.data() + row * kRansSymbols;
            for (std::size_t byte = 0; byte < kRansSymbols; ++byte)
                all[byte] = static_cast<std::uint16_t>(all[byte] | own[byte]);
        }
        const auto occurs = [](std::uint16_t count) { return count != 0; };
        const auto first = static_cast<std::size_t>(std::ranges::find_if(all, occurs) - all.begin());
        const auto behind =
            static_cast<std::size_t>(std::find_if(all.rbegin(), all.rend(), occurs).base() - all.begin());
        begin_ = std::min(first, behind) / kWeighedAtOnce * kWeighedAtOnce;
        width_ = (behind - begin_ + kWeighedAtOnce - 1) / kWeighedAtOnce * kWeighedAtOnce;
        const bool large = std::ranges::any_of(
            all, [](std::uint16_t bits) { return bits > std::numeric_limits<std::int16_t>::max(); });
        weightShift_ = large ? 1 : 0;
    }

    /// Of the bytes from begin_ on.
    [[nodiscard]] RowCounts usedCountsOf(std::size_t row) const {
        return counts_.subspan(row * kRansSymbols + begin_, width_);
    }
    [[nodiscard]] std::uint64_t totalOf(std::size_t row) const { return totals_[row]; }
    [[nodiscard]] std::uint64_t costOf(std::size_t row, const RoughCosts& table) const {
        return static_cast<std::uint64_t>(
                   weighBytes(weights_.data() + row * width_, table.cost.data() + begin_, width_)) *
               weightBits_;
    }

    /// How often each byte occurs in the rows of each class, and how many rows there are.
    struct Sums {
        std::array<RansCounts, kMostLearntTables> counts{};
        std::array<std::size_t, kMostLearntTables> rows{};
    };
    /// Puts a row from one class (0: none) into another.
    void move(Sums& sums, std::size_t row, std::size_t from, std::size_t to) const {
        const auto counts = usedCountsOf(row);
        if (from > 0) {
            --sums.rows[from - 1];
            std::uint32_t* sum = sums.counts[from - 1].data() + begin_;
            for (std::size_t i = 0; i < counts.size(); ++i)
                sum[i] -= counts[i];
        }
        if (to > 0) {
            ++sums.rows[to - 1];
            std::uint32_t* sum = sums.counts[to - 1].data() + begin_;
            for (std::size_t i = 0; i < counts.size(); ++i)
                sum[i] += counts[i];
        }
    }

    /// Makes the tables of the classes; classes without rows go.
    static Result<void> fit(LearntTables& learnt, const Sums& sums) {
        std::array<std::uint8_t, kMostLearntTables> renamed{};
        learnt.tables.clear();
        for (std::size_t table = 0; table < kMostLearntTables; ++table) {
            if (sums.rows[table] == 0)
                continue;
            KVSCOPE_ASSIGN(const auto frequencies, normaliseCounts(sums.counts[table]));
            KVSCOPE_ASSIGN(auto made, RansTable::fromFrequencies(frequencies));
            learnt.tables.push_back(std::move(made));
            renamed[table] = static_cast<std::uint8_t>(learnt.tables.size());
        }
        for (std::uint8_t& one : learnt.classes)
            one = one == 0 ? std::uint8_t{0} : renamed[one - 1U];
        return {};
    }

    /// Gives each row to the class whose bytes' frequencies suit it best, or stores it.
    void assign(LearntTables& learnt, Sums& sums) const {
        std::vector<std::pair<std::uint8_t, RoughCosts>> tables;
        for (std::size_t table = 0; table < kMostLearntTables; ++table) {
            if (sums.rows[table] > 0)
                tables.emplace_back(static_cast<std::uint8_t>(table + 1), RoughCosts(sums.counts[table]));
        }
        for (std::size_t row = 0; row < rows_; ++row) {
            std::uint64_t cheapest = totalOf(row) * 8 * kBit;
            const std::uint8_t before = learnt.classes[row];
            std::uint8_t best = 0;
            for (const auto& [name, costs] : tables) {
                // Classes are in the order of the mean bytes of their first rows.
                const bool near = before == 0 || std::abs(name - before) <= kNearTables;
                if (!near)
                    continue;
                if (const std::uint64_t cost = costOf(row, costs); cost < cheapest) {
                    cheapest = cost;
                    best = name;
                }
            }
            learnt.classes[row] = best;
            if (best != before)
                move(sums, row, before, best);
        }
    }

    std::span<const std::uint16_t> counts_;
    std::size_t rows_;
    std::vector<std::uint64_t> totals_;
    /// Rows by their mean byte.
    std::vector<std::uint32_t> order_;
    /// The counts in 15 bits, and what a weight times 2^-8 bit stands for.
    RawVector<std::int16_t> weights_;
    std::uint64_t weightBits_ = 0;
    int weightShift_ = 0;
    std::size_t begin_ = 0;
    std::size_t width_ = 0;
};

} // namespace

double entropyOfSome(const RansCounts& counts) {
    const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
    double bits = 0;
    int used = 0;
    for (const std::uint32_t count : counts) {
        if (count > 0) {
            bits -= count / total * std::log2(count / total);
            ++used;
        }
    }
    // Miller and Madow: few samples look more alike than what they are drawn from.
    return std::min(8.0, bits + (used - 1) / (2 * total * std::log(2.0)));
}

Result<LearntTables> learnTables(std::span<const std::uint16_t> counts, std::size_t rows) {
    const Clusters clusters(counts, rows);
    LearntTables best;
    best.classes.assign(rows, 0);
    std::uint64_t fewest = clusters.costOf(best);
    // In large planes some tables more or less are next to nothing.
    constexpr std::uint64_t kManyBytes = 65536;
    const std::size_t factor = clusters.bytes() >= kManyBytes ? 4 : 2;
    for (std::size_t groups = 1; groups <= std::min(kMostLearntTables, rows); groups *= factor) {
        KVSCOPE_ASSIGN(auto learnt, clusters.learn(groups));
        const std::uint64_t cost = clusters.costOf(learnt);
        // More groups rarely help where one has next to nothing to save, or these did not.
        constexpr std::uint64_t kWorthwhile = 50;
        const bool hopeless = groups == 1 && cost > fewest - fewest / kWorthwhile;
        if (cost >= fewest && (groups > 2 || hopeless))
            break;
        if (cost < fewest) {
            fewest = cost;
            best = std::move(learnt);
        }
        if (hopeless)
            break;
    }
    return best;
}

void writeLearntTables(const LearntTables& learnt, std::vector<std::byte>& out) {
    out.push_back(static_cast<std::byte>(learnt.tables.size()));
    for (const RansTable& table : learnt.tables)
        writeRansTable(table, out);
    const auto bits = static_cast<int>(std::bit_width(learnt.tables.size()));
    SideBitWriter writer(out);
    const bool uniform =
        std::ranges::all_of(learnt.classes, [&](std::uint8_t one) { return one == learnt.classes[0]; });
    writer.put(uniform ? 1 : 0, 1);
    for (std::size_t row = 0; row < (uniform ? std::min<std::size_t>(1, learnt.classes.size()) : learnt.classes.size());
         ++row)
        writer.put(learnt.classes[row], bits);
    writer.finish();
}

Result<ReadLearntTables> readLearntTables(std::span<const std::byte> bytes, std::size_t rows) {
    ReadLearntTables read;
    if (bytes.empty())
        return damagedChunk("tables", "the bytes end too early");
    const auto count = std::to_integer<std::size_t>(bytes.front());
    if (count > kMostLearntTables)
        return damagedChunk("tables", "there are " + std::to_string(count) + " of them");
    read.bytes = 1;
    for (std::size_t i = 0; i < count; ++i) {
        KVSCOPE_ASSIGN(auto table, readRansTable(bytes.subspan(read.bytes)));
        read.bytes += table.bytes;
        read.learnt.tables.push_back(std::move(table.table));
    }
    SideBitReader reader(bytes.subspan(read.bytes));
    const auto bits = static_cast<int>(std::bit_width(count));
    const bool uniform = reader.get(1) != 0;
    // Each class takes `bits` bits; none of them is taken on trust.
    if (!uniform && (bytes.size() - read.bytes) * 8 < rows * static_cast<std::uint64_t>(bits))
        return damagedChunk("table classes", "the bytes end too early");
    read.learnt.classes.resize(rows);
    for (std::size_t row = 0; row < rows; ++row) {
        const std::uint32_t one = uniform && row > 0 ? read.learnt.classes[0] : reader.get(bits);
        if (one > count)
            return damagedChunk("table classes", "a table is not there");
        read.learnt.classes[row] = static_cast<std::uint8_t>(one);
    }
    if (!reader.good())
        return damagedChunk("table classes", "the bytes end too early");
    read.bytes += reader.bytesRead();
    return read;
}

} // namespace kvscope
