// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/context_parts.h"

#include "core/stream/timeline.h"
#include "core/stream/wire.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

namespace kvscope {

namespace {

ChunkForm formOf(const KvzLevel& level) {
    if (level.name == "raw")
        return ChunkForm::Raw;
    return level.name == "quant8" ? ChunkForm::EightBit : ChunkForm::Level;
}

/// Error of a plane's chunk: measured, or what as many bits a value are good for (6 dB each).
double errorOf(const KvzLevel& level, PlaneId plane, double bitsPerValue, bool& reckoned) {
    if (level.plan.isLossless())
        return 0;
    const auto layer = static_cast<std::size_t>(plane.layer.value);
    if (layer < level.errors.size()) {
        if (const auto& error = level.errors[layer][static_cast<std::size_t>(plane.kind)])
            return *error;
    }
    reckoned = true;
    return std::exp2(-2 * bitsPerValue);
}

/// The least number of tokens that every level can be cut at.
Result<std::int64_t> commonChunk(const KvzDirectory& directory, const std::string& where) {
    std::int64_t common = 1;
    for (const KvzLevel& level : directory.levels) {
        const std::int64_t tokens = level.plan.chunkTokens;
        if (tokens < 1 || tokens > kMaxChunkTokens)
            return fail("has a level with chunks of " + std::to_string(tokens) + " tokens", where);
        const std::int64_t next = std::lcm(common, tokens);
        if (next > kMaxChunkTokens * 64)
            return fail("has levels whose chunk lengths do not go together", where,
                        "Encode all levels with chunks of the same number of tokens");
        common = next;
    }
    return common;
}

} // namespace

std::vector<ContextPart> partsOf(const KvzLevel& level, TokenRange tokens) {
    std::vector<ContextPart> parts;
    for (const auto& [id, plane] : level.planes) {
        const auto first = std::ranges::lower_bound(plane.chunks, tokens.begin, {},
                                                    [](const KvzChunk& chunk) { return chunk.tokens.begin; });
        for (auto chunk = first; chunk != plane.chunks.end() && chunk->tokens.begin < tokens.end; ++chunk)
            parts.push_back({id, static_cast<std::size_t>(chunk - plane.chunks.begin())});
    }
    return parts;
}

TokenRange ContextInput::tokensOf(std::size_t chunk) const {
    const auto begin = static_cast<std::int64_t>(chunk) * chunkTokens;
    return tokenRange(begin, begin + input.tokens(chunk));
}

Result<ContextInput> contextInput(const KvzDirectory& directory, std::int64_t wantedTokens, std::int64_t directoryBytes,
                                  const std::string& name) {
    KVSCOPE_ASSIGN(const std::int64_t common, commonChunk(directory, name));
    std::int64_t tokens = 0;
    for (const PlaneId id : directory.geometry.allPlanes())
        tokens = std::max(tokens, directory.geometry.find(id)->tokens);
    if (tokens < 1 || wantedTokens < 1)
        return fail("has no tokens to stream", name);
    const std::int64_t wanted = std::min(wantedTokens, tokens);
    const std::int64_t chunkTokens = (wanted + common - 1) / common * common;

    std::vector<std::size_t> order(directory.levels.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, {}, [&](std::size_t i) {
        const KvzLevel& level = directory.levels[i];
        const ChunkForm form = formOf(level);
        return std::pair(form == ChunkForm::Raw ? 0 : form == ChunkForm::EightBit ? 1 : 2, -level.bytes());
    });

    StreamInput::Parts parts;
    parts.source = name;
    parts.idBytes = static_cast<double>(wire::framedBytes(directoryBytes, sizeof(std::uint64_t)));
    for (std::int64_t begin = 0; begin < tokens; begin += chunkTokens)
        parts.tokens.push_back(std::min(chunkTokens, tokens - begin));
    parts.candidates.push_back({ChunkForm::Text, 0, "text", {}});
    std::vector<std::size_t> levels{kNoIndex};
    int number = 0;
    for (const std::size_t i : order) {
        const ChunkForm form = formOf(directory.levels[i]);
        const std::string shown = form == ChunkForm::EightBit ? "8-bit" : directory.levels[i].name;
        parts.candidates.push_back({form, form == ChunkForm::Level ? number++ : 0, shown, {}});
        levels.push_back(i);
    }
    const std::size_t columns = parts.candidates.size();
    parts.options.resize(parts.tokens.size() * columns);
    bool reckoned = false;
    for (std::size_t c = 1; c < columns; ++c) {
        const KvzLevel& level = directory.levels[levels[c]];
        std::vector<double> values(parts.tokens.size(), 0.0);
        std::vector<double> layerError(directory.geometry.layers.size(), 0.0);
        std::vector<double> layerValues(layerError.size(), 0.0);
        for (const auto& [id, plane] : level.planes) {
            const auto channels = static_cast<double>(directory.geometry.find(id)->channels());
            for (const KvzChunk& chunk : plane.chunks) {
                const auto at = static_cast<std::size_t>(chunk.tokens.begin.value / chunkTokens);
                const double held = channels * static_cast<double>(chunk.tokens.size());
                const double error = errorOf(level, id, 8.0 * static_cast<double>(chunk.bytes) / held, reckoned);
                ChunkOption& option = parts.options[at * columns + c];
                option.bytes += static_cast<double>(wire::framedBytes(chunk.bytes));
                option.decodedBytes += 2 * held;
                option.error += error * held;
                values[at] += held;
                layerError[static_cast<std::size_t>(id.layer.value)] += error * held;
                layerValues[static_cast<std::size_t>(id.layer.value)] += held;
            }
        }
        for (std::size_t chunk = 0; chunk < values.size(); ++chunk) {
            if (values[chunk] > 0)
                parts.options[chunk * columns + c].error /= values[chunk];
        }
        for (std::size_t layer = 0; layer < layerError.size(); ++layer) {
            if (layerValues[layer] > 0)
                layerError[layer] /= layerValues[layer];
        }
        parts.candidates[c].layerError = std::move(layerError);
    }
    KVSCOPE_ASSIGN(StreamInput input, StreamInput::make(std::move(parts)));
    return ContextInput{std::move(input), std::move(levels), chunkTokens, reckoned};
}

} // namespace kvscope
