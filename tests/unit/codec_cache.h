// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "tests/unit/stats_test_data.h"

#include <cmath>
#include <cstring>
#include <random>

namespace kvscope::testing {

/// A seeded cache of K and V planes (f16): channels with offsets and spreads of their own, RoPE, and tokens with ids
/// and texts. A longer one begins with the same values.
inline std::shared_ptr<MemorySource> codecSource(std::int64_t tokens, std::int64_t layers = 2, std::int64_t heads = 2,
                                                 std::int64_t headDim = 8, DType dtype = DType::F16) {
    auto source = std::make_shared<MemorySource>();
    source->description.name = "seeded";
    source->description.model = "none";
    const std::int64_t channels = heads * headDim;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
        for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value}) {
            std::mt19937 random(static_cast<unsigned>(17 * layer + static_cast<std::int64_t>(kind)));
            std::normal_distribution<float> normal;
            std::vector<float> spread(static_cast<std::size_t>(channels));
            std::vector<float> offset(spread.size());
            for (std::size_t c = 0; c < spread.size(); ++c) {
                spread[c] = std::exp(0.5F * normal(random));
                offset[c] = kind == PlaneKind::Key ? 3.0F * normal(random) : 0.0F;
            }
            std::vector<float> values(static_cast<std::size_t>(tokens * channels));
            for (std::size_t i = 0; i < values.size(); ++i)
                values[i] = normal(random) * spread[i % spread.size()] + offset[i % spread.size()];
            addPlane(*source, {LayerIndex(layer), kind, SequenceIndex(0)}, heads, headDim, std::move(values), dtype);
        }
        source->description.rope.emplace_back(Rope::plain(10000.0, headDim, Rope::Pairing::HalfSplit));
    }
    CacheTokens text;
    for (std::int64_t t = 0; t < tokens; ++t) {
        text.ids.push_back(1000 + t * t);
        text.texts.push_back(t == 3 ? std::string("\xF0\x9F") : " word" + std::to_string(t));
    }
    source->description.tokens.push_back(text);
    return source;
}

inline KvCache codecCache(std::int64_t tokens, std::int64_t layers = 2, std::int64_t heads = 2,
                          std::int64_t headDim = 8, DType dtype = DType::F16) {
    return KvCache(codecSource(tokens, layers, heads, headDim, dtype));
}

/// All values of a plane.
inline std::vector<float> rowsOf(const KvCache& cache, PlaneId plane) {
    const PlaneGeometry* shape = cache.geometry().find(plane);
    std::vector<float> rows(static_cast<std::size_t>(shape->values()));
    if (!cache.readRows(plane, tokenRange(0, shape->tokens), rows))
        rows.clear();
    return rows;
}

/// Whether every cache plane of both has the same bits.
inline bool sameValues(const KvCache& a, const KvCache& b) {
    for (const PlaneId plane : a.geometry().allPlanes()) {
        const auto left = rowsOf(a, plane);
        const auto right = rowsOf(b, plane);
        if (left.empty() || left.size() != right.size() ||
            std::memcmp(left.data(), right.data(), left.size() * sizeof(float)) != 0)
            return false;
    }
    return true;
}

} // namespace kvscope::testing
