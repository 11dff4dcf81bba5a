// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/learnt_tables.h"

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
constexpr std::uint64_t kImpossible = std::numeric_limits<std::uint64_t>::max();
constexpr int kRounds = 2;

class Clusters {
public:
    Clusters(std::span<const std::uint16_t> counts, std::size_t rows)
        : counts_(counts)
        , rows_(rows)
        , ranges_(rows)
        , totals_(rows) {
        for (std::size_t row = 0; row < rows; ++row) {
            const auto own = countsOf(row);
            const auto present = [](std::uint16_t count) { return count != 0; };
            const auto first = std::ranges::find_if(own, present);
            const auto last = std::find_if(own.rbegin(), own.rend(), present);
            ranges_[row] = {static_cast<std::uint16_t>(first - own.begin()),
                            static_cast<std::uint16_t>(own.rend() - last)};
            totals_[row] = std::accumulate(own.begin(), own.end(), std::uint64_t{0});
        }
    }

    /// At most `groups` tables, from rows that are first ordered by their mean byte.
    Result<LearntTables> learn(std::size_t groups) const {
        LearntTables learnt;
        learnt.classes.resize(rows_);
        std::vector<std::uint32_t> order(rows_);
        std::iota(order.begin(), order.end(), 0U);
        std::vector<std::uint64_t> means(rows_);
        for (std::size_t row = 0; row < rows_; ++row)
            means[row] = meanOf(row);
        std::ranges::stable_sort(order, {}, [&](std::uint32_t row) { return means[row]; });
        for (std::size_t i = 0; i < rows_; ++i)
            learnt.classes[order[i]] = static_cast<std::uint8_t>(1 + i * groups / rows_);
        for (int round = 0; round < kRounds; ++round) {
            KVSCOPE_TRY(fit(learnt));
            assign(learnt);
        }
        KVSCOPE_TRY(fit(learnt));
        return learnt;
    }

    /// What rows and tables take.
    [[nodiscard]] std::uint64_t costOf(const LearntTables& learnt) const {
        std::vector<std::byte> bytes;
        writeLearntTables(learnt, bytes);
        std::uint64_t cost = bytes.size() * 8 * kBit;
        for (std::size_t row = 0; row < rows_; ++row)
            cost += learnt.classes[row] == 0 ? totalOf(row) * 8 * kBit
                                             : costOf(row, learnt.tables[learnt.classes[row] - 1U]);
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
    [[nodiscard]] std::uint64_t costOf(std::size_t row, const RansTable& table) const {
        const auto counts = countsOf(row);
        const auto& costs = table.costs();
        std::uint64_t sum = 0;
        std::uint64_t misses = 0;
        for (std::size_t byte = ranges_[row].begin; byte < ranges_[row].end; ++byte) {
            sum += std::uint64_t{counts[byte]} * costs[byte];
            misses += counts[byte] != 0 && costs[byte] == RansTable::kNoCost ? 1 : 0;
        }
        if (misses > 0)
            return kImpossible;
        return sum;
    }

    /// Makes the tables of the classes; classes without rows go.
    Result<void> fit(LearntTables& learnt) const {
        std::array<RansCounts, kMostLearntTables> sums{};
        std::array<bool, kMostLearntTables> used{};
        for (std::size_t row = 0; row < rows_; ++row) {
            if (learnt.classes[row] == 0)
                continue;
            const std::size_t table = learnt.classes[row] - 1U;
            used[table] = true;
            const auto counts = countsOf(row);
            for (std::size_t byte = ranges_[row].begin; byte < ranges_[row].end; ++byte)
                sums[table][byte] += counts[byte];
        }
        std::array<std::uint8_t, kMostLearntTables> renamed{};
        learnt.tables.clear();
        for (std::size_t table = 0; table < kMostLearntTables; ++table) {
            if (!used[table])
                continue;
            KVSCOPE_ASSIGN(const auto frequencies, normaliseCounts(sums[table]));
            KVSCOPE_ASSIGN(auto made, RansTable::fromFrequencies(frequencies));
            learnt.tables.push_back(std::move(made));
            renamed[table] = static_cast<std::uint8_t>(learnt.tables.size());
        }
        for (std::uint8_t& one : learnt.classes)
            one = one == 0 ? std::uint8_t{0} : renamed[one - 1U];
        return {};
    }

    /// Gives each row to the cheapest table, or stores it.
    void assign(LearntTables& learnt) const {
        for (std::size_t row = 0; row < rows_; ++row) {
            std::uint64_t cheapest = totalOf(row) * 8 * kBit;
            learnt.classes[row] = 0;
            for (std::size_t table = 0; table < learnt.tables.size(); ++table) {
                const std::uint64_t cost = costOf(row, learnt.tables[table]);
                if (cost < cheapest) {
                    cheapest = cost;
                    learnt.classes[row] = static_cast<std::uint8_t>(table + 1);
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
    const int bits = std::bit_width(learnt.tables.size());
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
    const int bits = std::bit_width(count);
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
