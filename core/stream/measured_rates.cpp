// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/measured_rates.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace kvscope {

namespace {

Result<void> check(std::span<const LevelReport> levels) {
    if (levels.empty())
        return fail("no level has been measured", "stream", "encode the dump at a level or more");
    for (const LevelReport& level : levels) {
        if (level.report == nullptr || level.report->planes.empty())
            return fail("level " + level.name + " holds no planes", "stream");
        for (const PlaneReport& plane : level.report->planes) {
            if (!plane.hasError)
                return fail("the error of level " + level.name + " was not measured", level.report->dump);
        }
    }
    return {};
}

std::int64_t layerCount(const EncodeReport& report) {
    std::int64_t layers = 0;
    for (const PlaneReport& plane : report.planes)
        layers = std::max(layers, plane.plane.layer.value + 1);
    return layers;
}

} // namespace

Result<MeasuredRates> measuredRates(std::span<const LevelReport> levels) {
    KVSCOPE_TRY(check(levels));
    MeasuredRates rates;
    rates.source = levels.front().report->dump;
    for (const LevelReport& from : levels) {
        MeasuredLevel level{from.form, from.level, from.name, {}};
        const std::int64_t layers = layerCount(*from.report);
        for (std::int64_t l = 0; l < layers; ++l) {
            MeasuredLayer layer;
            for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value, PlaneKind::Latent}) {
                const EncodeTotals totals = from.report->totals(LayerIndex(l), kind);
                if (totals.values > 0)
                    layer[static_cast<std::size_t>(kind)] =
                        MeasuredRate{totals.bitsPerValue(), headlineError(kind, totals.error)};
            }
            level.layers.push_back(layer);
        }
        rates.levels.push_back(std::move(level));
    }
    return rates;
}

Result<StreamInput> measuredInput(std::span<const LevelReport> levels, std::int64_t chunkTokens) {
    KVSCOPE_TRY(check(levels));
    StreamInput::Parts parts;
    parts.source = levels.front().report->dump;
    std::int64_t tokens = 0;
    for (const PlaneReport& plane : levels.front().report->planes)
        tokens = std::max(tokens, plane.tokens);
    if (chunkTokens < 1 || tokens < 1)
        return fail("there are no tokens to stream", parts.source);
    for (std::int64_t begin = 0; begin < tokens; begin += chunkTokens)
        parts.tokens.push_back(std::min(chunkTokens, tokens - begin));

    std::vector<LevelReport> ordered(levels.begin(), levels.end());
    std::ranges::stable_sort(ordered, {}, [](const LevelReport& level) {
        return std::pair(level.form == ChunkForm::EightBit ? 0 : 1, level.level);
    });
    parts.candidates.push_back({ChunkForm::Text, 0, "text", {}});
    parts.candidates.push_back({ChunkForm::Raw, 0, "raw", {}});
    const std::size_t columns = ordered.size() + 2;
    parts.options.resize(parts.tokens.size() * columns);
    for (std::size_t i = 0; i < ordered.size(); ++i) {
        const EncodeReport& report = *ordered[i].report;
        if (chunkTokens % report.plan.chunkTokens != 0) {
            return fail("chunks of " + std::to_string(chunkTokens) + " tokens cannot be put together from those of " +
                            std::to_string(report.plan.chunkTokens) + " of level " + ordered[i].name,
                        parts.source, "choose a multiple");
        }
        Candidate candidate{ordered[i].form, ordered[i].level, ordered[i].name, {}};
        std::vector<double> values(parts.tokens.size(), 0.0);
        std::vector<double> layerValues(static_cast<std::size_t>(layerCount(report)), 0.0);
        candidate.layerError.assign(layerValues.size(), 0.0);
        for (const PlaneReport& plane : report.planes) {
            const double error = headlineError(plane.plane.kind, plane.error);
            const auto layer = static_cast<std::size_t>(plane.plane.layer.value);
            candidate.layerError[layer] += error * static_cast<double>(plane.values());
            layerValues[layer] += static_cast<double>(plane.values());
            for (const ChunkReport& chunk : plane.chunks) {
                const auto at = static_cast<std::size_t>(chunk.tokens.begin.value / chunkTokens);
                if (at >= parts.tokens.size())
                    return fail("level " + ordered[i].name + " has more tokens than the first one", parts.source);
                const double amount = static_cast<double>(chunk.tokens.size() * plane.channels());
                ChunkOption& option = parts.options[at * columns + i + 2];
                option.bytes += static_cast<double>(chunk.parts.total());
                option.error += amount * error;
                option.decodedBytes += 2.0 * amount;
                values[at] += amount;
            }
        }
        for (std::size_t at = 0; at < values.size(); ++at) {
            ChunkOption& option = parts.options[at * columns + i + 2];
            option.error = values[at] > 0 ? option.error / values[at] : 0;
            if (i == 0)
                parts.options[at * columns + 1] = {2.0 * values[at], 0, 2.0 * values[at]};
        }
        for (std::size_t l = 0; l < layerValues.size(); ++l)
            candidate.layerError[l] = layerValues[l] > 0 ? candidate.layerError[l] / layerValues[l] : 0;
        parts.candidates.push_back(std::move(candidate));
    }
    return StreamInput::make(std::move(parts));
}

} // namespace kvscope
