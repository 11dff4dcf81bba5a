// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/learnt_tables.h"

#include "core/codec/class_kernels.h"
#include "core/codec/fixed_log.h"
#include "core/codec/side_bits.h"
#include "core/codec/symbol_layout.h"

#include <algorithm>
#include <array>
#include <bit>
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

/// Which of 256 bytes occur.
using ByteSet = std::array<std::uint64_t, 4>;

bool isWithin(const ByteSet& bytes, const ByteSet& others) {
    std::uint64_t beyond = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
        beyond |= bytes[i] & ~others[i];
    return beyond == 0;
}

/// What bytes cost in a table, to 2^-8 bit, for choosing among tables.
struct RoughCosts {
    alignas(64) std::array<std::int16_t, kRansSymbols> cost{};
    /// The bytes that occur.
    ByteSet present{};

    explicit RoughCosts(const RansCounts& counts) {
        const std::uint64_t total = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
        for (std::size_t byte = 0; byte < kRansSymbols && total > 0; ++byte) {
            if (counts[byte] == 0)
                continue;
            present[byte / 64] |= std::uint64_t{1} << byte % 64;
            // No table gives a byte fewer than one slot.
            cost[byte] = static_cast<std::int16_t>(
                std::min(log2Q8(total) - log2Q8(counts[byte]), std::int64_t{kRansProbabilityBits} * 256));
        }
    }
    explicit RoughCosts(const RansTable& table) {
        for (std::size_t byte = 0; byte < kRansSymbols; ++byte) {
            if (table.costs()[byte] == RansTable::kNoCost)
                continue;
            present[byte / 64] |= std::uint64_t{1} << byte % 64;
            cost[byte] = static_cast<std::int16_t>(table.costs()[byte] >> 8);
        }
    }
};

class Clusters {
public:
    Clusters(std::span<const std::uint16_t> counts, std::size_t rows)
        : counts_(counts)
        , rows_(rows)
        , ranges_(rows)
        , totals_(rows)
        , order_(rows)
        , present_(rows)
        , weights_(counts.size()) {
        const std::uint16_t most = counts.empty() ? std::uint16_t{0} : std::ranges::max(counts);
        const int shift = most > std::numeric_limits<std::int16_t>::max() ? 1 : 0;
        std::ranges::transform(counts, weights_.begin(),
                               [&](std::uint16_t count) { return static_cast<std::int16_t>(count >> shift); });
        weightBits_ = kBit >> 8 << shift;
        for (std::size_t row = 0; row < rows; ++row) {
            const auto own = countsOf(row);
            for (std::size_t byte = 0; byte < kRansSymbols; ++byte)
                present_[row][byte / 64] |= std::uint64_t{own[byte] != 0} << byte % 64;
            const auto present = [](std::uint16_t count) { return count != 0; };
            const auto first = std::ranges::find_if(own, present);
            const auto last = std::find_if(own.rbegin(), own.rend(), present);
            ranges_[row] = {static_cast<std::uint16_t>(first - own.begin()),
                            static_cast<std::uint16_t>(own.rend() - last)};
            totals_[row] = std::accumulate(own.begin(), own.end(), std::uint64_t{0});
        }
        std::vector<std::uint64_t> means(rows);
        for (std::size_t row = 0; row < rows; ++row)
            means[row] = meanOf(row);
        std::iota(order_.begin(), order_.end(), 0U);
        std::ranges::stable_sort(order_, {}, [&](std::uint32_t row) { return means[row]; });
    }

    /// At most `groups` tables; rows of similar mean bytes share one at first.
    Result<LearntTables> learn(std::size_t groups) const {
        LearntTables learnt;
        learnt.classes.resize(rows_);
        for (std::size_t i = 0; i < rows_; ++i)
            learnt.classes[order_[i]] = static_cast<std::uint8_t>(1 + i * groups / rows_);
        for (int round = 0; round < kRounds; ++round)
            assign(learnt);
        KVSCOPE_TRY(fit(learnt));
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
    [[nodiscard]] RowCounts countsOf(std::size_t row) const {
        return counts_.subspan(row * kRansSymbols, kRansSymbols);
    }
    [[nodiscard]] std::uint64_t totalOf(std::size_t row) const { return totals_[row]; }
    [[nodiscard]] std::uint64_t meanOf(std::size_t row) const {
        const auto counts = countsOf(row);
        std::uint64_t sum = 0;
        for (std::size_t byte = ranges_[row].begin; byte < ranges_[row].end; ++byte)
            sum += counts[byte] * byte;
        return sum;
    }
    /// Of a row whose bytes the table has.
    [[nodiscard]] std::uint64_t costOf(std::size_t row, const RoughCosts& table) const {
        return static_cast<std::uint64_t>(weighBytes(weights_.data() + row * kRansSymbols, table.cost.data())) *
               weightBits_;
    }

    /// How often each byte occurs in the rows of each class.
    struct Sums {
        std::array<RansCounts, kMostLearntTables> counts{};
        std::array<bool, kMostLearntTables> used{};
    };
    [[nodiscard]] Sums sumsOf(const LearntTables& learnt) const {
        Sums sums;
        for (std::size_t row = 0; row < rows_; ++row) {
            if (learnt.classes[row] == 0)
                continue;
            const std::size_t table = learnt.classes[row] - 1U;
            sums.used[table] = true;
            const auto counts = countsOf(row);
            for (std::size_t byte = ranges_[row].begin; byte < ranges_[row].end; ++byte)
                sums.counts[table][byte] += counts[byte];
        }
        return sums;
    }

    /// Makes the tables of the classes; classes without rows go.
    Result<void> fit(LearntTables& learnt) const {
        const Sums sums = sumsOf(learnt);
        std::array<std::uint8_t, kMostLearntTables> renamed{};
        learnt.tables.clear();
        for (std::size_t table = 0; table < kMostLearntTables; ++table) {
            if (!sums.used[table])
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
    void assign(LearntTables& learnt) const {
        const Sums sums = sumsOf(learnt);
        std::vector<std::pair<std::uint8_t, RoughCosts>> tables;
        for (std::size_t table = 0; table < kMostLearntTables; ++table) {
            if (sums.used[table])
                tables.emplace_back(static_cast<std::uint8_t>(table + 1), RoughCosts(sums.counts[table]));
        }
        for (std::size_t row = 0; row < rows_; ++row) {
            std::uint64_t cheapest = totalOf(row) * 8 * kBit;
            learnt.classes[row] = 0;
            for (const auto& [name, costs] : tables) {
                if (!isWithin(present_[row], costs.present))
                    continue;
                if (const std::uint64_t cost = costOf(row, costs); cost < cheapest) {
                    cheapest = cost;
                    learnt.classes[row] = name;
                }
            }
        }
    }

    std::span<const std::uint16_t> counts_;
    std::size_t rows_;
    /// Bytes that occur in each row.
    struct ByteRange {
        std::uint16_t begin = 0;
        std::uint16_t end = 0;
    };
    std::vector<ByteRange> ranges_;
    std::vector<std::uint64_t> totals_;
    /// Rows by their mean byte.
    std::vector<std::uint32_t> order_;
    std::vector<ByteSet> present_;
    /// The counts in 15 bits, and what a weight times 2^-8 bit stands for.
    std::vector<std::int16_t> weights_;
    std::uint64_t weightBits_ = 0;
};

} // namespace

Result<LearntTables> learnTables(std::span<const std::uint16_t> counts, std::size_t rows) {
    const Clusters clusters(counts, rows);
    LearntTables best;
    best.classes.assign(rows, 0);
    std::uint64_t fewest = clusters.costOf(best);
    for (std::size_t groups = 1; groups <= std::min(kMostLearntTables, rows); groups *= 2) {
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
