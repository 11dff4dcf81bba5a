// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/kvz_codec.h"
#include "core/codec/native_values.h"
#include "core/kv/convert.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

/// Chunks to measure kvz on.
namespace kvscope {

inline constexpr std::int64_t kChunk = 256;

/// Some tokens of a plane, as numbers and as they are stored.
struct Chunk {
    ChunkShape shape;
    std::vector<float> values;
    std::vector<std::byte> native;
};

/// Chunks of a plane of 1,024 channels: each an offset and a first-order autoregression, as `kvscope synth` makes them.
/// Dependent channels have a third of the next sixteen channels' states each.
inline std::vector<Chunk> madeUp(PlaneKind kind, DType type, std::int64_t tokens, bool dependent = false) {
    constexpr std::int64_t kHeads = 8;
    constexpr std::int64_t kHeadDim = 128;
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    const bool key = kind == PlaneKind::Key;
    std::vector<float> offset;
    std::vector<float> rho;
    std::vector<float> gain;
    std::vector<float> state;
    for (std::int64_t c = 0; c < kHeads * kHeadDim; ++c) {
        const float spread = std::exp((key ? 0.4F : 0.3F) * normal(random));
        offset.push_back((key ? 1.5F : 0.1F) * normal(random));
        rho.push_back((key ? 0.8F : 0.05F) + (key ? 0.18F : 0.4F) * static_cast<float>(random() % 1000) / 1000);
        gain.push_back(spread * std::sqrt(1 - rho.back() * rho.back()));
        state.push_back(spread * normal(random));
    }
    std::vector<float> noise(1 << 18);
    for (float& value : noise)
        value = normal(random);
    std::vector<Chunk> chunks;
    for (std::int64_t t = 0; t < tokens; t += kChunk) {
        Chunk chunk;
        chunk.shape.kind = kind;
        chunk.shape.plane.heads = kHeads;
        chunk.shape.plane.headDim = kHeadDim;
        chunk.shape.plane.tokens = tokens;
        chunk.shape.plane.dtype = type;
        chunk.shape.tokens = tokenRange(t, t + kChunk);
        for (std::int64_t i = 0; i < kChunk; ++i) {
            const std::size_t shift = random();
            for (std::size_t c = 0; c < state.size(); ++c) {
                state[c] = rho[c] * state[c] + gain[c] * noise[(shift + c) % noise.size()];
                chunk.values.push_back(offset[c] + state[c]);
            }
            float* row = chunk.values.data() + chunk.values.size() - state.size();
            constexpr std::size_t kNeighbours = 16;
            for (std::size_t c = 0; dependent && c + kNeighbours < state.size(); ++c) {
                for (std::size_t other = 1; other <= kNeighbours; ++other)
                    row[c] += state[c + other] / 3;
            }
        }
        chunk.native.resize(chunk.values.size() * static_cast<std::size_t>(sizeOf(type)));
        toNative(type, chunk.values, chunk.native);
        convertToFloat(type, chunk.native, chunk.values);
        chunks.push_back(std::move(chunk));
    }
    return chunks;
}

} // namespace kvscope
