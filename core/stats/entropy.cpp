// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/entropy.h"

#include "core/stats/kernels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>
#include <numeric>
#include <string>

namespace kvscope {

namespace {

/// n log2 n, looked up for the counts that rows and channels usually have.
class CountLog {
public:
    CountLog()
        : table_(kTable) {
        for (std::size_t n = 1; n < kTable; ++n)
            table_[n] = static_cast<double>(n) * std::log2(static_cast<double>(n));
    }

    [[nodiscard]] double operator()(std::int64_t n) const {
        return n < static_cast<std::int64_t>(kTable) ? table_[static_cast<std::size_t>(n)]
                                                     : static_cast<double>(n) * std::log2(static_cast<double>(n));
    }

    /// Bits that an ideal code with a table of these counts needs for all values counted.
    template <class Count> [[nodiscard]] double bits(std::span<const Count> counts) const {
        std::int64_t total = 0;
        double sum = 0;
        for (const Count count : counts) {
            total += count;
            sum += (*this)(count);
        }
        return (*this)(total)-sum;
    }

private:
    static constexpr std::size_t kTable = 65536;
    std::vector<double> table_;
};

/// Symbols of one row, counted in four tables so that equal neighbours do not wait for each other.
class RowCounter {
public:
    explicit RowCounter(std::size_t symbols)
        : symbols_(symbols)
        , counts_(4 * symbols) {}

    std::span<const std::uint32_t> count(std::span<const std::uint8_t> row) {
        std::fill(counts_.begin(), counts_.end(), 0);
        for (std::size_t i = 0; i < row.size(); ++i)
            ++counts_[(i & 3U) * symbols_ + row[i]];
        for (std::size_t s = 0; s < symbols_; ++s)
            counts_[s] += counts_[symbols_ + s] + counts_[2 * symbols_ + s] + counts_[3 * symbols_ + s];
        return std::span<const std::uint32_t>(counts_).first(symbols_);
    }

private:
    std::size_t symbols_;
    std::vector<std::uint32_t> counts_;
};

/// Bits of the token tables that one task saw.
struct TaskBits {
    /// Tables shared by all layers at a token.
    double token = 0;
    /// Tables of one (layer, token), by plane.
    std::vector<double> layerToken;
};

class EntropyJob {
public:
    EntropyJob(const KvCache& cache, std::vector<ScopedPlane> planes, std::int64_t bins, ThreadPool& pool,
               const JobControl& job)
        : cache_(cache)
        , planes_(std::move(planes))
        , bins_(bins)
        , symbols_(static_cast<std::size_t>(bins / 2 * 2 - 1))
        , pool_(pool)
        , job_(job)
        , planeMutexes_(planes_.size()) {}

    Result<EntropyStatistics> run() {
        if (job_.progress != nullptr)
            job_.progress->start(bytesOf(planes_));
        for (const ScopedPlane& plane : planes_)
            channelCounts_.emplace_back(static_cast<std::size_t>(plane.channels.size()) * symbols_);
        const TokenRange tokens = allTokens();
        const std::int64_t step = std::clamp<std::int64_t>(tokens.size() / 64, 16, 1024);
        tasks_.resize(static_cast<std::size_t>((tokens.size() + step - 1) / step));
        KVSCOPE_TRY(forEachSegment(tasks_.size(), pool_, job_, [&](std::size_t task) {
            const TokenIndex begin = tokens.begin + static_cast<std::int64_t>(task) * step;
            return countTokens(tokens.intersected({begin, begin + step}), tasks_[task]);
        }));
        return collect();
    }

private:
    [[nodiscard]] TokenRange allTokens() const {
        TokenRange all = planes_.front().tokens;
        for (const ScopedPlane& plane : planes_)
            all = {std::min(all.begin, plane.tokens.begin), std::max(all.end, plane.tokens.end)};
        return all;
    }

    /// Some tokens of all layers, so that tables that the layers of a token share never outlive their task.
    Result<void> countTokens(TokenRange tokens, TaskBits& bits) {
        std::vector<std::uint32_t> tokenCounts(static_cast<std::size_t>(tokens.size()) * symbols_);
        bits.layerToken.resize(planes_.size());
        for (std::size_t p = 0; p < planes_.size(); ++p) {
            const TokenRange held = planes_[p].tokens.intersected(tokens);
            if (!held.empty())
                KVSCOPE_TRY(countPlane(p, held, tokens.begin, tokenCounts, bits.layerToken[p]));
        }
        for (std::size_t t = 0; t < static_cast<std::size_t>(tokens.size()); ++t)
            bits.token += countLog_.bits(std::span<const std::uint32_t>(tokenCounts).subspan(t * symbols_, symbols_));
        return {};
    }

    Result<void> countPlane(std::size_t p, TokenRange tokens, TokenIndex firstToken,
                            std::vector<std::uint32_t>& tokenCounts, double& layerTokenBits) {
        const ScopedPlane& plane = planes_[p];
        const auto channels = static_cast<std::size_t>(plane.channels.size());
        RowReader reader(cache_, plane);
        RowCounter rowCounter(symbols_);
        std::vector<std::uint8_t> symbols(channels);
        std::vector<std::uint32_t> channelCounts(channels * symbols_);
        KVSCOPE_TRY(forEachBlock(tokens, plane.channels.size(), job_, [&](TokenRange block) -> Result<void> {
            KVSCOPE_ASSIGN(const auto rows, reader.read(block));
            for (std::int64_t t = 0; t < block.size(); ++t) {
                quantiseRow(rows.subspan(static_cast<std::size_t>(t) * channels, channels), bins_, symbols);
                const auto row = rowCounter.count(symbols);
                layerTokenBits += countLog_.bits(row);
                const auto token = static_cast<std::size_t>(block.begin + t - firstToken);
                for (std::size_t s = 0; s < symbols_; ++s)
                    tokenCounts[token * symbols_ + s] += row[s];
                for (std::size_t c = 0; c < channels; ++c)
                    ++channelCounts[c * symbols_ + symbols[c]];
            }
            job_.advance(block.size() * plane.channels.size() * sizeOf(plane.geometry->dtype));
            return {};
        }));
        const std::lock_guard lock(planeMutexes_[p]);
        for (std::size_t i = 0; i < channelCounts.size(); ++i)
            channelCounts_[p][i] += channelCounts[i];
        return {};
    }

    [[nodiscard]] EntropyStatistics collect() const {
        EntropyStatistics result;
        result.bins = bins_;
        std::vector<std::int64_t> all(symbols_);
        std::vector<std::int64_t> byChannel;
        std::int64_t firstChannel = planes_.front().channels.begin.value;
        for (const ScopedPlane& plane : planes_)
            firstChannel = std::min(firstChannel, plane.channels.begin.value);
        double values = 0;
        double layerBits = 0;
        double layerChannelBits = 0;
        double layerTokenBits = 0;
        for (std::size_t p = 0; p < planes_.size(); ++p) {
            PlaneEntropy plane{planes_[p].id, 0, 0, 0, std::vector<std::int64_t>(symbols_)};
            const auto size = static_cast<double>(planes_[p].values());
            const auto channels = static_cast<std::size_t>(planes_[p].channels.size());
            const auto offset = static_cast<std::size_t>(planes_[p].channels.begin.value - firstChannel);
            byChannel.resize(std::max(byChannel.size(), (offset + channels) * symbols_));
            double channelBits = 0;
            for (std::size_t c = 0; c < channels; ++c) {
                const auto counts = std::span(channelCounts_[p]).subspan(c * symbols_, symbols_);
                channelBits += countLog_.bits(counts);
                for (std::size_t s = 0; s < symbols_; ++s) {
                    plane.symbolCounts[s] += counts[s];
                    byChannel[(offset + c) * symbols_ + s] += counts[s];
                }
            }
            for (std::size_t s = 0; s < symbols_; ++s)
                all[s] += plane.symbolCounts[s];
            double tokenBits = 0;
            for (const TaskBits& task : tasks_)
                tokenBits += task.layerToken[p];
            const double planeBits = countLog_.bits(std::span<const std::int64_t>(plane.symbolCounts));
            plane.all = planeBits / size;
            plane.channel = channelBits / size;
            plane.token = tokenBits / size;
            values += size;
            layerBits += planeBits;
            layerChannelBits += channelBits;
            layerTokenBits += tokenBits;
            result.planes.push_back(std::move(plane));
        }
        double tokenBits = 0;
        for (const TaskBits& task : tasks_)
            tokenBits += task.token;
        double channelBits = 0;
        for (std::size_t c = 0; c < byChannel.size(); c += symbols_)
            channelBits += countLog_.bits(std::span<const std::int64_t>(byChannel).subspan(c, symbols_));
        result.grouped = {countLog_.bits(std::span<const std::int64_t>(all)) / values,
                          layerBits / values,
                          channelBits / values,
                          tokenBits / values,
                          layerChannelBits / values,
                          layerTokenBits / values};
        return result;
    }

    const KvCache& cache_;
    std::vector<ScopedPlane> planes_;
    std::int64_t bins_;
    std::size_t symbols_;
    ThreadPool& pool_;
    const JobControl& job_;
    CountLog countLog_;
    std::vector<std::mutex> planeMutexes_;
    /// By plane: [channel][symbol].
    std::vector<std::vector<std::int64_t>> channelCounts_;
    std::vector<TaskBits> tasks_;
};

} // namespace

void quantiseRow(std::span<const float> row, std::int64_t bins, std::span<std::uint8_t> symbols) {
    const int half = static_cast<int>(bins / 2 - 1);
    const float scale = kernels::maxAbs(row);
    if (scale > 0)
        kernels::quantise(row, scale, half, symbols.data());
    else
        std::fill(symbols.begin(), symbols.end(), static_cast<std::uint8_t>(half));
}

double entropyOf(std::span<const std::int64_t> counts) {
    const auto total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
    double entropy = 0;
    for (const std::int64_t count : counts) {
        if (count > 0)
            entropy -= static_cast<double>(count) / total * std::log2(static_cast<double>(count) / total);
    }
    return entropy;
}

Result<EntropyStatistics> computeEntropy(const KvCache& cache, const StatisticsScope& scope, std::int64_t bins,
                                         ThreadPool& pool, const JobControl& job) {
    if (bins < kMinQuantiserBins || bins > kMaxQuantiserBins)
        return fail("a quantiser cannot have " + std::to_string(bins) + " bins", {},
                    "Choose " + std::to_string(kMinQuantiserBins) + " to " + std::to_string(kMaxQuantiserBins) + ".");
    KVSCOPE_ASSIGN(auto planes, resolveScope(cache, scope));
    return withinMemory([&]() -> Result<EntropyStatistics> {
        KVSCOPE_ASSIGN(auto result, EntropyJob(cache, std::move(planes), bins, pool, job).run());
        result.scope = scope;
        return result;
    });
}

} // namespace kvscope
