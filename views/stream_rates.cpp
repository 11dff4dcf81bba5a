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

/// The cells of those layers that a context consists of.
std::vector<LayerKind> measuredCells(const KvGeometry& geometry, const std::vector<LayerIndex>& layers) {
    std::vector<LayerKind> cells;
    for (const PlaneId plane : geometry.allPlanes()) {
        const bool cached =
            plane.kind == PlaneKind::Key || plane.kind == PlaneKind::Value || plane.kind == PlaneKind::Latent;
        const LayerKind cell{plane.layer, plane.kind};
        if (cached && std::ranges::find(layers, plane.layer) != layers.end() &&
            std::ranges::find(cells, cell) == cells.end())
            cells.push_back(cell);
    }
    return cells;
}

EncodeOptions optionsFor(const KvGeometry& geometry) {
    EncodeOptions options;
    options.measureAttention = false;
    options.only = measuredCells(geometry, measuredLayers(geometry));
    return options;
}

Result<EncodeReport> measure(const KvCache& cache, const CodecPlan& plan, ThreadPool& pool, const JobControl& job) {
    KVSCOPE_ASSIGN(Encoding encoding,
                   encodeCache(cache, plan, pool, optionsFor(cache.geometry()), JobControl{job.stop, nullptr}));
    return std::move(encoding.report);
}

Result<EncodeReport> measure(const KvCache& cache, const std::string& preset, ThreadPool& pool, const JobControl& job) {
    KVSCOPE_ASSIGN(const CodecPlan plan, makePreset(preset, cache, JobControl{job.stop, nullptr}));
    return measure(cache, plan, pool, job);
}

std::vector<LevelReport> withReports(const StreamRates& rates) {
    std::vector<LevelReport> levels = rates.levels;
    for (std::size_t i = 0; i < levels.size(); ++i)
        levels[i].report = &rates.reports[i];
    return levels;
}

/// The rates for projecting. The layers that were measured stand for all: evenly spaced, they keep their depths.
Result<void> sumUp(StreamRates& rates) {
    KVSCOPE_ASSIGN(rates.rates, measuredRates(withReports(rates)));
    for (MeasuredLevel& level : rates.rates.levels)
        std::erase_if(level.layers, [](const MeasuredLayer& layer) {
            return std::ranges::none_of(layer, [](const auto& rate) { return rate.has_value(); });
        });
    return {};
}

} // namespace

Result<StreamRates> measureStreamRates(const KvCache& cache, const std::vector<std::string>& presets, ThreadPool& pool,
                                       const JobControl& job) {
    const KvGeometry& geometry = cache.geometry();
    const std::vector<LayerIndex> layers = measuredLayers(geometry);
    StreamRates rates;
    rates.whole = static_cast<std::int64_t>(layers.size()) == geometry.layerCount();
    if (job.progress != nullptr)
        job.progress->start(static_cast<std::int64_t>(presets.size()) + 1);

    rates.levels.push_back({ChunkForm::EightBit, 0, "8-bit", nullptr});
    KVSCOPE_ASSIGN(EncodeReport baseline, measure(cache, std::string(kBaseline), pool, job));
    rates.reports.push_back(std::move(baseline));
    job.advance(1);
    for (std::size_t i = 0; i < presets.size(); ++i) {
        rates.levels.push_back({ChunkForm::Level, static_cast<int>(i), presets[i], nullptr});
        KVSCOPE_ASSIGN(EncodeReport report, measure(cache, presets[i], pool, job));
        rates.reports.push_back(std::move(report));
        job.advance(1);
    }
    KVSCOPE_TRY(sumUp(rates));
    return rates;
}

Result<StreamRates> withTunedLevel(const StreamRates& rates, const KvCache& cache, const CodecPlan& plan,
                                   ThreadPool& pool, const JobControl& job) {
    for (const LevelReport& level : rates.levels) {
        if (level.form != ChunkForm::Level)
            continue;
        KVSCOPE_ASSIGN(CodecPlan preset, makePreset(level.name, cache, JobControl{job.stop, nullptr}));
        preset.name = plan.name;
        if (hashOf(preset) == hashOf(plan))
            return rates;
    }
    StreamRates with = rates;
    KVSCOPE_ASSIGN(EncodeReport report, measure(cache, plan, pool, job));
    const double bits = report.totals().bitsPerValue();
    std::string name = plan.name.empty() ? "tuned" : plan.name;
    if (std::ranges::find(with.levels, name, &LevelReport::name) != with.levels.end())
        name += " (tuned)";
    // Behind those that take more bits; the 8-bit form stays the first.
    std::size_t place = 0;
    while (place < with.levels.size() &&
           (with.levels[place].form != ChunkForm::Level || with.reports[place].totals().bitsPerValue() >= bits))
        ++place;
    with.levels.insert(with.levels.begin() + static_cast<std::ptrdiff_t>(place), {ChunkForm::Level, 0, name, nullptr});
    with.reports.insert(with.reports.begin() + static_cast<std::ptrdiff_t>(place), std::move(report));
    int number = 0;
    for (LevelReport& level : with.levels) {
        if (level.form == ChunkForm::Level)
            level.level = number++;
    }
    KVSCOPE_TRY(sumUp(with));
    return with;
}

Result<StreamInput> ownInput(const StreamRates& rates, std::int64_t chunkTokens) {
    if (!rates.whole)
        return fail("only some layers of this large dump were measured", rates.rates.source,
                    "choose a model to project to");
    return measuredInput(withReports(rates), chunkTokens);
}

} // namespace kvscope::views
