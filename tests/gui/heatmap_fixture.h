// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/strided_cache.h"

#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace kvscope::testing {

/// A value put into a plane in place of its noise.
struct PlantedValue {
    std::int64_t layer = 0;
    PlaneKind kind = PlaneKind::Key;
    std::int64_t token = 0;
    std::int64_t channel = 0;
    float value = 0;
};

struct HeatmapFixture {
    std::int64_t layers = 6;
    std::int64_t heads = 4;
    std::int64_t headDim = 16;
    std::int64_t tokens = 2000;
    std::int64_t firstPosition = 0;
    /// Layer that holds this many tokens fewer than the others.
    std::int64_t raggedLayer = -1;
    std::int64_t missingTokens = 0;
    std::vector<PlantedValue> planted{};
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
    for (const PlantedValue& plant : shape.planted) {
        const auto plane = static_cast<std::size_t>(2 * plant.layer + (plant.kind == PlaneKind::Key ? 0 : 1));
        const std::int64_t at = plant.token * shape.heads * shape.headDim + plant.channel;
        values[plane][static_cast<std::size_t>(at)] = plant.value;
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

/// Passes reads on, counts them and notes whether any came from the thread that made it.
class WatchedSource : public CacheSource {
public:
    explicit WatchedSource(KvCache cache)
        : cache_(std::move(cache)) {}

    [[nodiscard]] const KvGeometry& geometry() const override { return cache_.geometry(); }
    [[nodiscard]] const CacheInfo& info() const override { return cache_.info(); }
    [[nodiscard]] bool nativeIsExact(PlaneId plane) const override { return cache_.nativeIsExact(plane); }
    [[nodiscard]] Result<void> readRows(PlaneId plane, TokenRange tokens, ChannelRange channels,
                                        std::span<float> out) const override {
        note();
        return cache_.readRows(plane, tokens, channels, out);
    }
    [[nodiscard]] Result<void> readNative(PlaneId plane, TokenRange tokens, std::span<std::byte> out) const override {
        note();
        return cache_.readNative(plane, tokens, out);
    }

    [[nodiscard]] int reads() const { return reads_; }
    [[nodiscard]] bool wasReadByMaker() const { return readByMaker_; }

private:
    void note() const {
        ++reads_;
        if (std::this_thread::get_id() == maker_)
            readByMaker_ = true;
    }

    KvCache cache_;
    std::thread::id maker_ = std::this_thread::get_id();
    mutable std::atomic<int> reads_ = 0;
    mutable std::atomic<bool> readByMaker_ = false;
};

} // namespace kvscope::testing
