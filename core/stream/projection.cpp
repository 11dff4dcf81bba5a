// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/projection.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace kvscope {

namespace {

std::optional<MeasuredRate> rateOf(const MeasuredLayer& layer, PlaneKind kind) {
    const auto& own = layer[static_cast<std::size_t>(kind)];
    if (own)
        return own;
    const auto& latent = layer[static_cast<std::size_t>(PlaneKind::Latent)];
    const auto& key = layer[static_cast<std::size_t>(PlaneKind::Key)];
    const auto& value = layer[static_cast<std::size_t>(PlaneKind::Value)];
    if (kind != PlaneKind::Latent)
        return latent;
    if (key && value)
        return MeasuredRate{(key->bitsPerValue + value->bitsPerValue) / 2, (key->error + value->error) / 2};
    return key ? key : value;
}

/// The rate at a relative depth between 0 and 1, from the layers whose middles lie around it.
MeasuredRate rateAtDepth(const MeasuredLevel& level, PlaneKind kind, double depth) {
    const auto last = static_cast<double>(level.layers.size() - 1);
    const double place = std::clamp(depth * static_cast<double>(level.layers.size()) - 0.5, 0.0, last);
    const auto below = static_cast<std::size_t>(place);
    const auto above = std::min(below + 1, level.layers.size() - 1);
    const double weight = place - static_cast<double>(below);
    const MeasuredRate a = rateOf(level.layers[below], kind).value_or(MeasuredRate{});
    const MeasuredRate b = rateOf(level.layers[above], kind).value_or(MeasuredRate{});
    return {a.bitsPerValue + weight * (b.bitsPerValue - a.bitsPerValue), a.error + weight * (b.error - a.error)};
}

Result<void> check(const MeasuredRates& rates, const ProjectionTarget& target) {
    if (target.contextTokens < 1 || target.chunkTokens < 1 || target.contextTokens > (std::int64_t{1} << 32))
        return fail("context and chunk must have between 1 and 2^32 tokens", rates.source);
    if (rates.levels.empty())
        return fail("no level has been measured", rates.source, "encode the dump at a level or more");
    for (const MeasuredLevel& level : rates.levels) {
        if (level.layers.empty())
            return fail("level " + level.name + " has no layers", rates.source);
        if (level.form != ChunkForm::Level && level.form != ChunkForm::EightBit)
            return fail("only levels and the 8-bit baseline are measured", rates.source);
        for (const MeasuredLayer& layer : level.layers) {
            const auto key = rateOf(layer, PlaneKind::Key);
            const auto value = rateOf(layer, PlaneKind::Value);
            if (!key || !value)
                return fail("level " + level.name + " lacks the rates of a layer", rates.source);
            for (const auto& rate : layer) {
                if (rate && (!(rate->bitsPerValue >= 0 && rate->bitsPerValue <= 1e3) ||
                             !(rate->error >= 0 && rate->error <= 1e6)))
                    return fail("level " + level.name + " has a rate that is out of range", rates.source);
            }
        }
    }
    return {};
}

/// "16,384"
std::string withSeparators(std::int64_t count) {
    std::string text = std::to_string(count);
    for (std::size_t at = text.size(); at > 3;)
        text.insert(at -= 3, 1, ',');
    return text;
}

} // namespace

Result<StreamInput> project(const MeasuredRates& rates, const ProjectionTarget& target) {
    KVSCOPE_TRY(check(rates, target));
    const ModelGeometry& model = target.model;
    const std::int64_t context = target.contextTokens;
    StreamInput::Parts parts;
    parts.projected = true;
    parts.source = std::string(model.name) + ", " + withSeparators(context) + " tokens, rates of " + rates.source;
    for (std::int64_t begin = 0; begin < context; begin += target.chunkTokens)
        parts.tokens.push_back(std::min(target.chunkTokens, context - begin));

    const bool latent = model.latentDim > 0;
    const auto layers = static_cast<std::size_t>(model.layers);
    const std::vector<PlaneKind> kinds =
        latent ? std::vector{PlaneKind::Latent} : std::vector{PlaneKind::Key, PlaneKind::Value};
    const double valuesPerKind = static_cast<double>(model.valuesPerToken()) / static_cast<double>(kinds.size());
    // Values by chunk and layer, of one kind.
    std::vector<double> held(parts.tokens.size() * layers);
    std::int64_t begin = 0;
    for (std::size_t chunk = 0; chunk < parts.tokens.size(); ++chunk) {
        const std::int64_t end = begin + parts.tokens[chunk];
        for (std::size_t l = 0; l < layers; ++l) {
            const auto tokens = model.heldTokens(static_cast<std::int64_t>(l), begin, end, context);
            held[chunk * layers + l] = static_cast<double>(tokens) * valuesPerKind;
        }
        begin = end;
    }

    parts.candidates.push_back({ChunkForm::Text, 0, "text", {}});
    parts.candidates.push_back({ChunkForm::Raw, 0, "raw", {}});
    auto levels = rates.levels;
    std::ranges::stable_sort(levels, {}, [](const MeasuredLevel& level) {
        return std::pair(level.form == ChunkForm::EightBit ? 0 : 1, level.level);
    });
    std::vector<double> bits;
    for (const MeasuredLevel& level : levels) {
        Candidate candidate{level.form, level.level, level.name, std::vector<double>(layers)};
        for (std::size_t l = 0; l < layers; ++l) {
            const double depth = (static_cast<double>(l) + 0.5) / static_cast<double>(layers);
            double sum = 0;
            for (const PlaneKind kind : kinds) {
                const MeasuredRate rate = rateAtDepth(level, kind, depth);
                sum += rate.bitsPerValue;
                candidate.layerError[l] += rate.error / static_cast<double>(kinds.size());
            }
            bits.push_back(sum);
        }
        parts.candidates.push_back(std::move(candidate));
    }

    for (std::size_t chunk = 0; chunk < parts.tokens.size(); ++chunk) {
        double values = 0;
        for (std::size_t l = 0; l < layers; ++l)
            values += held[chunk * layers + l];
        const double rawBytes = 2.0 * values * static_cast<double>(kinds.size());
        parts.options.push_back({});
        parts.options.push_back({rawBytes, 0, rawBytes});
        for (std::size_t i = 0; i < levels.size(); ++i) {
            ChunkOption option{0, 0, rawBytes};
            for (std::size_t l = 0; l < layers; ++l) {
                const double amount = held[chunk * layers + l];
                option.bytes += amount * bits[i * layers + l] / 8.0;
                option.error += values > 0 ? amount * parts.candidates[i + 2].layerError[l] / values : 0;
            }
            option.bytes = std::ceil(option.bytes);
            parts.options.push_back(option);
        }
    }
    return StreamInput::make(std::move(parts));
}

} // namespace kvscope
