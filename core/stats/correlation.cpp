// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/correlation.h"

#include "core/stats/in_order.h"
#include "core/stats/kernels.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace kvscope {

namespace {

/// Rows about the channels' means, in double; non-finite values become the mean.
void centre(std::span<const float> rows, const std::vector<Moments>& channels, std::vector<double>& out) {
    out.resize(rows.size());
    const std::size_t width = channels.size();
    for (std::size_t row = 0; row < rows.size(); row += width) {
        for (std::size_t c = 0; c < width; ++c) {
            const double deviation = static_cast<double>(rows[row + c]) - channels[c].mean;
            out[row + c] = std::isfinite(deviation) ? deviation : 0.0;
        }
    }
}

LagCorrelation finish(const ScopedPlane& plane, const std::vector<Moments>& channels,
                      const std::vector<double>& products, std::int64_t lags) {
    LagCorrelation result;
    result.plane = plane.id;
    std::vector<std::size_t> varying;
    for (std::size_t c = 0; c < channels.size(); ++c) {
        if (channels[c].min < channels[c].max)
            varying.push_back(c);
    }
    if (varying.empty())
        return result;
    const auto tokens = static_cast<double>(plane.tokens.size());
    for (std::int64_t lag = 1; lag <= lags; ++lag) {
        double sum = 0;
        for (const std::size_t c : varying)
            sum += products[static_cast<std::size_t>(lag - 1) * channels.size() + c] / channels[c].m2;
        const double mean = sum / static_cast<double>(varying.size());
        result.byLag.push_back(mean);
        result.byLagUnbiased.push_back(mean * tokens / (tokens - static_cast<double>(lag)));
    }
    return result;
}

struct PlaneProducts {
    InOrder<std::vector<double>> order;
    std::vector<double> sum;
    std::size_t firstSegment = 0;
    std::int64_t lags = 0;
};

Result<std::vector<LagCorrelation>> correlate(const KvCache& cache, const std::vector<ScopedPlane>& planes,
                                              std::int64_t maxLag, ThreadPool& pool, const JobControl& job) {
    KVSCOPE_ASSIGN(const auto moments, computeChannelMoments(cache, planes, pool, job));
    const auto segments = cutSegments(planes);
    std::vector<PlaneProducts> products(planes.size());
    for (std::size_t i = segments.size(); i-- > 0;)
        products[segments[i].plane].firstSegment = i;
    for (std::size_t p = 0; p < planes.size(); ++p) {
        products[p].lags = std::min(maxLag, planes[p].tokens.size() - 1);
        products[p].sum.resize(static_cast<std::size_t>(products[p].lags * planes[p].channels.size()));
    }
    KVSCOPE_TRY(forEachSegment(segments.size(), pool, job, [&](std::size_t i) -> Result<void> {
        const std::size_t p = segments[i].plane;
        const ScopedPlane& plane = planes[p];
        const std::int64_t channels = plane.channels.size();
        std::vector<double> part(products[p].sum.size());
        std::vector<double> rows;
        RowReader reader(cache, plane);
        KVSCOPE_TRY(forEachBlock(segments[i].tokens, channels, job, [&](TokenRange tokens) -> Result<void> {
            const TokenIndex end = std::min(plane.tokens.end, tokens.end + products[p].lags);
            KVSCOPE_ASSIGN(const auto values, reader.read({tokens.begin, end}));
            centre(values, moments[p].channels(), rows);
            kernels::lagProducts(rows.data(), channels, tokens.size(), end - tokens.begin, products[p].lags,
                                 part.data());
            job.advance(tokens.size() * channels * sizeOf(plane.geometry->dtype));
            return {};
        }));
        products[p].order.deliver(i - products[p].firstSegment, std::move(part), [&](const std::vector<double>& next) {
            for (std::size_t k = 0; k < next.size(); ++k)
                products[p].sum[k] += next[k];
        });
        return {};
    }));
    std::vector<LagCorrelation> result;
    for (std::size_t p = 0; p < planes.size(); ++p)
        result.push_back(finish(planes[p], moments[p].channels(), products[p].sum, products[p].lags));
    return result;
}

} // namespace

Result<std::vector<LagCorrelation>> computeLagCorrelation(const KvCache& cache, const StatisticsScope& scope,
                                                          std::int64_t maxLag, ThreadPool& pool,
                                                          const JobControl& job) {
    if (maxLag < 1 || maxLag > kMaxLag)
        return fail("a lag of " + std::to_string(maxLag) + " tokens cannot be computed", {},
                    "Choose 1 to " + std::to_string(kMaxLag) + ".");
    KVSCOPE_ASSIGN(const auto planes, resolveScope(cache, scope));
    if (job.progress != nullptr)
        job.progress->start(2 * bytesOf(planes));
    return withinMemory([&] { return correlate(cache, planes, maxLag, pool, job); });
}

} // namespace kvscope
