// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/stream_rates.h"

#include "core/codec/encode_job.h"
#include "core/codec/presets.h"

#include <algorithm>
#include <utility>

namespace kvscope::views {

namespace {

constexpr auto kBaseline = "quant8";

/// Evenly spaced layers that hold about so many bytes together; all where they do not hold more.
std::vector<LayerIndex> measuredLayers(const KvGeometry& geometry) {
    const std::int64_t count = geometry.layerCount();
    const std::int64_t whole = geometry.cacheBytes();
    std::int64_t taken = count;
    if (whole > kMostMeasuredBytes) {
        const double share = static_cast<double>(kMostMeasuredBytes) / static_cast<double>(whole);
        taken = std::clamp<std::int64_t>(static_cast<std::int64_t>(static_cast<double>(count) * share), 1,
                                         std::max(count, std::int64_t{1}));
    }
    std::vector<LayerIndex> layers;
    for (std::int64_t i = 0; i < std::min(taken, count); ++i)
        layers.emplace_back((2 * i + 1) * count / (2 * taken));
    return layers;
}

Result<EncodeReport> measure(const KvCache& cache, const std::string& preset, ThreadPool& pool,
                             const EncodeOptions& options, const JobControl& job) {
    KVSCOPE_ASSIGN(const CodecPlan plan, makePreset(preset, cache, JobControl{job.stop, nullptr}));
    KVSCOPE_ASSIGN(Encoding encoding, encodeCache(cache, plan, pool, options, JobControl{job.stop, nullptr}));
    return std::move(encoding.report);
}

std::vector<LevelReport> withReports(const StreamRates& rates) {
    std::vector<LevelReport> levels = rates.levels;
    for (std::size_t i = 0; i < levels.size(); ++i)
        levels[i].report = &rates.reports[i];
    return levels;
}

} // namespace

Result<StreamRates> measureStreamRates(const KvCache& cache, const std::vector<std::string>& presets, ThreadPool& pool,
                                       const JobControl& job) {
    const KvGeometry& geometry = cache.geometry();
    const std::vector<LayerIndex> layers = measuredLayers(geometry);
    std::vector<LayerKind> cells;
    for (const PlaneId plane : geometry.allPlanes()) {
        const bool cached =
            plane.kind == PlaneKind::Key || plane.kind == PlaneKind::Value || plane.kind == PlaneKind::Latent;
        const LayerKind cell{plane.layer, plane.kind};
        if (cached && std::ranges::find(layers, plane.layer) != layers.end() &&
            std::ranges::find(cells, cell) == cells.end())
            cells.push_back(cell);
    }
    StreamRates rates;
    rates.whole = static_cast<std::int64_t>(layers.size()) == geometry.layerCount();
    EncodeOptions options;
    options.measureAttention = false;
    options.only = cells;
    if (job.progress != nullptr)
        job.progress->start(static_cast<std::int64_t>(presets.size()) + 1);

    rates.levels.push_back({ChunkForm::EightBit, 0, "8-bit", nullptr});
    KVSCOPE_ASSIGN(EncodeReport baseline, measure(cache, kBaseline, pool, options, job));
    rates.reports.push_back(std::move(baseline));
    job.advance(1);
    for (std::size_t i = 0; i < presets.size(); ++i) {
        rates.levels.push_back({ChunkForm::Level, static_cast<int>(i), presets[i], nullptr});
        KVSCOPE_ASSIGN(EncodeReport report, measure(cache, presets[i], pool, options, job));
        rates.reports.push_back(std::move(report));
        job.advance(1);
    }
    KVSCOPE_ASSIGN(rates.rates, measuredRates(withReports(rates)));
    // The layers that were measured stand for all: evenly spaced, they keep their relative depths.
    for (MeasuredLevel& level : rates.rates.levels)
        std::erase_if(level.layers, [](const MeasuredLayer& layer) {
            return std::ranges::none_of(layer, [](const auto& rate) { return rate.has_value(); });
        });
    return rates;
}

Result<StreamInput> ownInput(const StreamRates& rates, std::int64_t chunkTokens) {
    if (!rates.whole)
        return fail("only some layers of this large dump were measured", rates.rates.source,
                    "choose a model to project to");
    return measuredInput(withReports(rates), chunkTokens);
}

} // namespace kvscope::views
