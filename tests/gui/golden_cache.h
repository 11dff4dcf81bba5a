// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/strided_cache.h"

#include <QFile>

#include <nlohmann/json.hpp>

#include <cstring>
#include <string>
#include <vector>

namespace kvscope {

/// The committed slice of a real dump, tests/golden/stats/small.kv.npy: float32 [3][K,V][53][32], 4 heads of 8, RoPE on
/// interleaved pairs with theta 10000. Read here without the product's readers.
inline KvCache goldenCache(bool withRope = true) {
    constexpr std::int64_t kLayers = 3;
    constexpr std::int64_t kTokens = 53;
    constexpr std::int64_t kChannels = 32;
    QFile file(QStringLiteral(KVSCOPE_SOURCE_DIR "/tests/golden/stats/small.kv.npy"));
    if (!file.open(QIODevice::ReadOnly))
        return {};
    const QByteArray bytes = file.readAll();
    const auto values = static_cast<std::size_t>(kLayers * 2 * kTokens * kChannels);
    std::vector<float> all(values);
    const qsizetype header = bytes.size() - static_cast<qsizetype>(values * sizeof(float));
    if (header < 0)
        return {};
    std::memcpy(all.data(), bytes.constData() + header, values * sizeof(float));

    PlaneGeometry plane;
    plane.heads = 4;
    plane.headDim = 8;
    plane.tokens = kTokens;
    plane.dtype = DType::F32;
    KvGeometry geometry;
    geometry.layers.resize(kLayers);
    std::vector<std::vector<float>> planes;
    const auto size = static_cast<std::size_t>(kTokens * kChannels);
    for (std::size_t i = 0; i < 2 * kLayers; ++i)
        planes.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(i * size),
                            all.begin() + static_cast<std::ptrdiff_t>((i + 1) * size));
    CacheInfo info;
    info.name = "small.kv.npy";
    for (LayerGeometry& layer : geometry.layers) {
        layer.plane(PlaneKind::Key) = plane;
        layer.plane(PlaneKind::Value) = plane;
        if (withRope)
            info.rope.emplace_back(Rope::plain(10000, 8, Rope::Pairing::Interleaved));
    }
    auto cache = makeMemoryCache(std::move(geometry), std::move(info), std::move(planes));
    return cache ? *cache : KvCache();
}

/// What numpy says about it: tests/golden/stats/small.stats.json.
inline nlohmann::json goldenStatistics() {
    QFile file(QStringLiteral(KVSCOPE_SOURCE_DIR "/tests/golden/stats/small.stats.json"));
    if (!file.open(QIODevice::ReadOnly))
        return {};
    return nlohmann::json::parse(file.readAll().toStdString(), nullptr, false);
}

} // namespace kvscope
