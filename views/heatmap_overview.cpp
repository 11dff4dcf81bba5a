// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap_overview.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <utility>

namespace kvscope::views {

namespace {

/// Where hardly any cell lies below this share of the range's upper end (the rms of a layer's tokens), a range from 0
/// would spend most of its colours on values that do not occur.
constexpr double kContrastShare = 0.4;

constexpr std::int64_t kMostColumns = 512;
constexpr std::int64_t kMostRows = 256;
constexpr std::int64_t kSampleBlocks = 8;
constexpr std::int64_t kSampleColumns = 16;
constexpr std::int64_t kSampleCells = std::int64_t{16} * 1024;
// A cell is marked from twice what 99% of its row's cells stay below.
constexpr double kMarkPercentile = 99.0;
constexpr float kMarkFactor = 2.0F;

std::int64_t cellsOf(std::int64_t extent, std::int64_t step) {
    return (extent + step - 1) / step;
}

std::int64_t stepFor(std::int64_t extent, std::int64_t most) {
    std::int64_t step = 1;
    while (cellsOf(extent, step) > most)
        step *= 2;
    return step;
}

/// The value below which `percent` of the values lie; 0 of none. Reorders its input.
float percentile(std::vector<float>& values, double percent) {
    if (values.empty())
        return 0;
    const double place = percent / 100.0 * static_cast<double>(values.size() - 1);
    const auto nth = values.begin() + static_cast<std::ptrdiff_t>(std::ceil(place));
    std::nth_element(values.begin(), nth, values.end());
    return *nth;
}

bool rowsAreLayers(MapKind map) {
    return map == MapKind::LayerToken || map == MapKind::LayerChannel;
}

/// Blocks of full-resolution columns, all rows; narrower where there are very many rows.
Result<void> readSample(CacheMap& map, HeatmapOverview& overview, const JobControl& job) {
    const MapShape& shape = overview.shape;
    const std::int64_t blocks = std::min(kSampleBlocks, cellsOf(shape.columns, kSampleColumns));
    const std::int64_t columns =
        std::min(shape.columns, std::clamp<std::int64_t>(kSampleCells / shape.rows, 1, kSampleColumns));
    for (std::int64_t block = 0; block < blocks; ++block) {
        if (job.stopRequested())
            return cancelled();
        const std::int64_t first = blocks > 1 ? (shape.columns - columns) * block / (blocks - 1) : 0;
        KVSCOPE_ASSIGN(auto cells, map.read(overview.spec, CellRect{first, 0, columns, shape.rows}, CellStep{}, job));
        overview.exact = overview.exact && cells.exact;
        overview.sample.push_back(std::make_shared<HeatmapTile>(cells));
    }
    return {};
}

void computeMarkLimits(HeatmapOverview& overview) {
    std::vector<float> row;
    overview.markLimits.assign(static_cast<std::size_t>(overview.shape.rows), INFINITY);
    for (std::int64_t r = 0; r < overview.shape.rows; ++r) {
        row.clear();
        for (const auto& tile : overview.sample) {
            for (std::int64_t c = 0; c < tile->rect().columns; ++c) {
                const float largest = tile->maxAbs(static_cast<std::size_t>(r * tile->rect().columns + c));
                if (std::isfinite(largest))
                    row.push_back(largest);
            }
        }
        const float typical = percentile(row, kMarkPercentile);
        if (typical > 0)
            overview.markLimits[static_cast<std::size_t>(r)] = kMarkFactor * typical;
    }
}

void appendValues(const HeatmapTile& tile, Reduction reduction, const std::vector<float>& factors,
                  std::vector<float>& out) {
    std::vector<float> scratch;
    const auto values = tile.values(reduction, scratch);
    for (std::int64_t row = 0; row < tile.rect().rows; ++row) {
        const auto full = static_cast<std::size_t>((tile.rect().row + row) * tile.step().rows);
        const float factor = full < factors.size() ? factors[full] : 1.0F;
        for (std::int64_t column = 0; column < tile.rect().columns; ++column) {
            const float value = std::abs(values[static_cast<std::size_t>(row * tile.rect().columns + column)]) * factor;
            if (std::isfinite(value))
                out.push_back(value);
        }
    }
}

/// Lower end and limit of what the overview's cells and samples hold under the settings.
std::pair<double, double> computeEnds(const HeatmapOverview& overview, const HeatmapSettings& settings) {
    const auto factors = relativeFactors(overview, settings.relative);
    const double tail = 100.0 - settings.clipPercentile;
    std::vector<float> values;
    appendValues(*overview.whole, settings.reduction, factors, values);
    double limit = percentile(values, settings.clipPercentile);
    double lower = values.empty() ? 0.0 : static_cast<double>(percentile(values, tail));
    values.clear();
    for (const auto& tile : overview.sample)
        appendValues(*tile, settings.reduction, factors, values);
    if (!values.empty()) {
        limit = std::max(limit, static_cast<double>(percentile(values, settings.clipPercentile)));
        lower = std::min(lower, static_cast<double>(percentile(values, tail)));
    }
    return {lower, limit > 0 ? limit : 1.0};
}

Result<std::shared_ptr<const HeatmapOverview>> readUnguarded(CacheMap& map, const MapSpec& spec, bool sampled,
                                                             const HeatmapSettings& settings, const JobControl& job,
                                                             const std::vector<float>& layerRms) {
    auto overview = std::make_shared<HeatmapOverview>();
    overview->spec = spec;
    overview->shape = map.shape(spec);
    const MapShape& shape = overview->shape;
    if (shape.columns <= 0 || shape.rows <= 0)
        return overview;
    const CellStep step{stepFor(shape.columns, kMostColumns), stepFor(shape.rows, kMostRows)};
    const CellRect all{0, 0, cellsOf(shape.columns, step.columns), cellsOf(shape.rows, step.rows)};
    // The layers' rms come from a sample until the pyramid is there (or will never be).
    const bool settled = map.isComplete(spec.quantity) || map.buildError(spec.quantity).has_value();
    KVSCOPE_ASSIGN(auto whole, map.read(spec, all, step, job));
    overview->exact = whole.exact && settled;
    overview->whole = std::make_shared<HeatmapTile>(whole);
    const std::int64_t layers = rowsAreLayers(spec.map) ? shape.rows : 1;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
        const LayerIndex index = rowsAreLayers(spec.map) ? LayerIndex(layer) : spec.layer;
        overview->layerRms.push_back(
            static_cast<float>(map.planeRms(PlaneId{index, spec.kind, spec.sequence}, spec.quantity)));
    }
    if (!layerRms.empty())
        overview->layerRms = layerRms;
    if (sampled) {
        KVSCOPE_TRY(readSample(map, *overview, job));
        computeMarkLimits(*overview);
    }
    const auto [lower, limit] = computeEnds(*overview, settings);
    overview->spread = {settings.reduction, settings.relative, settings.clipPercentile, lower, limit};
    return overview;
}

} // namespace

Result<std::shared_ptr<const HeatmapOverview>> readOverview(CacheMap& map, const MapSpec& spec, bool sampled,
                                                            const HeatmapSettings& settings, const JobControl& job,
                                                            const std::vector<float>& layerRms) {
    try {
        return readUnguarded(map, spec, sampled, settings, job, layerRms);
    } catch (const std::bad_alloc&) {
        return fail("not enough memory for the picture", {}, "Close other dumps.", Error::Kind::System);
    }
}

std::vector<float> relativeFactors(const HeatmapOverview& overview, bool relative) {
    if (!relative)
        return {};
    std::vector<float> factors(static_cast<std::size_t>(overview.shape.rows), 1.0F);
    for (std::size_t row = 0; row < factors.size() && !overview.layerRms.empty(); ++row) {
        const float rms = overview.layerRms[std::min(row, overview.layerRms.size() - 1)];
        if (rms > 0)
            factors[row] = 1.0F / rms;
    }
    return factors;
}

ValueRange automaticRange(const HeatmapOverview& overview, const HeatmapSettings& settings) {
    if (overview.whole == nullptr)
        return {};
    const HeatmapSpread& known = overview.spread;
    const bool same = known.reduction == settings.reduction && known.relative == settings.relative &&
                      known.clipPercentile == settings.clipPercentile;
    const auto [lower, limit] = same ? std::pair(known.lower, known.limit) : computeEnds(overview, settings);
    if (settings.isSignedView() || isDiverging(settings.colourMap()))
        return {-limit, limit};
    return {lower > kContrastShare * limit ? lower : 0.0, limit};
}

} // namespace kvscope::views
