// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/strided_cache.h"

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace kvscope::testing {

struct HeatmapFixture {
    std::int64_t layers = 6;
    std::int64_t heads = 4;
    std::int64_t headDim = 16;
    std::int64_t tokens = 2000;
    std::int64_t firstPosition = 0;
    /// Layer that holds this many tokens fewer than the others.
    std::int64_t raggedLayer = -1;
    std::int64_t missingTokens = 0;
};

/// Values of a plane: seeded noise about per-channel offsets, K wider than V, later layers louder.
inline std::vector<float> fixturePlane(const HeatmapFixture& shape, std::int64_t layer, bool key, std::int64_t tokens) {
    std::mt19937 random(static_cast<unsigned>(layer * 2 + (key ? 0 : 1)));
    std::normal_distribution<float> normal;
    const std::int64_t channels = shape.heads * shape.headDim;
    const float loudness = (key ? 1.0F : 0.25F) * (1.0F + 0.5F * static_cast<float>(layer));
    std::vector<float> offsets;
    for (std::int64_t c = 0; c < channels; ++c)
        offsets.push_back(key ? 2 * normal(random) : 0.0F);
    std::vector<float> values;
    for (std::int64_t t = 0; t < tokens; ++t) {
        for (std::int64_t c = 0; c < channels; ++c)
            values.push_back(loudness * (offsets[static_cast<std::size_t>(c)] + normal(random)));
    }
    return values;
}

/// K and V of a small model in memory, with words as tokens ("w0 w1 ..." and "needle" at every 500th).
inline KvCache makeHeatmapCache(const HeatmapFixture& shape = {}) {
    KvGeometry geometry;
    std::vector<std::vector<float>> values;
    for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
        LayerGeometry layerGeometry;
        PlaneGeometry plane;
        plane.heads = shape.heads;
        plane.headDim = shape.headDim;
        plane.tokens = shape.tokens - (layer == shape.raggedLayer ? shape.missingTokens : 0);
        plane.dtype = DType::F32;
        plane.firstPosition = shape.firstPosition;
        layerGeometry.plane(PlaneKind::Key) = plane;
        layerGeometry.plane(PlaneKind::Value) = plane;
        geometry.layers.push_back(layerGeometry);
        values.push_back(fixturePlane(shape, layer, true, plane.tokens));
        values.push_back(fixturePlane(shape, layer, false, plane.tokens));
    }
    CacheInfo info;
    info.name = "fixture";
    info.synthetic = true;
    CacheTokens tokens;
    for (std::int64_t position = 0; position < shape.firstPosition + shape.tokens; ++position)
        tokens.texts.push_back(position % 500 == 250 ? " needle" : " w" + std::to_string(position));
    info.tokens.push_back(tokens);
    return makeMemoryCache(geometry, info, std::move(values)).value();
}

} // namespace kvscope::testing
