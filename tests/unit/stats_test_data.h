// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/float_formats.h"
#include "core/kv/kv_cache.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kvscope::testing {

/// Planes in memory behind CacheSource, as f32, f16 or bf16, so that the statistics are tested without any reader.
class MemorySource final : public CacheSource {
public:
    KvGeometry shape;
    CacheInfo description;
    std::map<PlaneId, std::vector<float>> values;

    [[nodiscard]] const KvGeometry& geometry() const override { return shape; }
    [[nodiscard]] const CacheInfo& info() const override { return description; }
    [[nodiscard]] Result<void> readRows(PlaneId plane, TokenRange tokens, ChannelRange channels,
                                        std::span<float> out) const override {
        const auto width = shape.find(plane)->channels();
        for (std::int64_t t = 0; t < tokens.size(); ++t) {
            const float* row = values.at(plane).data() + (tokens.begin.value + t) * width + channels.begin.value;
            std::copy_n(row, channels.size(), out.begin() + t * channels.size());
        }
        return {};
    }
    [[nodiscard]] Result<void> readNative(PlaneId plane, TokenRange tokens, std::span<std::byte> out) const override {
        const auto* geometry = shape.find(plane);
        const float* from = values.at(plane).data() + tokens.begin.value * geometry->channels();
        const auto count = static_cast<std::size_t>(tokens.size() * geometry->channels());
        for (std::size_t i = 0; i < count; ++i) {
            if (geometry->dtype == DType::F32) {
                std::memcpy(out.data() + 4 * i, from + i, 4);
            } else {
                const std::uint16_t bits =
                    geometry->dtype == DType::F16 ? halfFromFloat(from[i]) : bfloatFromFloat(from[i]);
                std::memcpy(out.data() + 2 * i, &bits, 2);
            }
        }
        return {};
    }
    [[nodiscard]] bool nativeIsExact(PlaneId) const override { return true; }
};

/// Adds a plane to the source; values are rounded to the dtype so that native and float reads agree.
inline void addPlane(MemorySource& source, PlaneId id, std::int64_t heads, std::int64_t headDim,
                     std::vector<float> values, DType dtype = DType::F32) {
    auto& layers = source.shape.layers;
    layers.resize(std::max(layers.size(), static_cast<std::size_t>(id.layer.value + 1)));
    source.shape.sequences = std::max(source.shape.sequences, id.sequence.value + 1);
    PlaneGeometry plane;
    plane.heads = heads;
    plane.headDim = headDim;
    plane.tokens = static_cast<std::int64_t>(values.size()) / (heads * headDim);
    plane.dtype = dtype;
    for (float& value : values) {
        if (dtype == DType::F16)
            value = floatFromHalf(halfFromFloat(value));
        else if (dtype == DType::BF16)
            value = floatFromBfloat(bfloatFromFloat(value));
    }
    layers[static_cast<std::size_t>(id.layer.value)].plane(id.kind) = plane;
    source.values[id] = std::move(values);
}

inline PlaneId planeId(std::int64_t layer, PlaneKind kind) {
    return {LayerIndex(layer), kind, SequenceIndex(0)};
}

/// A cache of one K plane.
inline KvCache singlePlane(std::int64_t heads, std::int64_t headDim, std::vector<float> values,
                           DType dtype = DType::F32) {
    auto source = std::make_shared<MemorySource>();
    source->description.name = "memory";
    addPlane(*source, planeId(0, PlaneKind::Key), heads, headDim, std::move(values), dtype);
    return KvCache(source);
}

/// Values of a little-endian float32 C-order .npy of version 1 (what the golden arrays are).
inline std::optional<std::vector<float>> loadFloatNpy(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (bytes.size() < 10 || std::string(bytes.data() + 1, 5) != "NUMPY")
        return std::nullopt;
    const std::size_t start = 10 + static_cast<unsigned char>(bytes[8]) + 256U * static_cast<unsigned char>(bytes[9]);
    const std::string header(bytes.begin() + 10, bytes.begin() + static_cast<std::ptrdiff_t>(start));
    if (header.find("'<f4'") == std::string::npos || header.find("'fortran_order': False") == std::string::npos)
        return std::nullopt;
    std::vector<float> values((bytes.size() - start) / 4);
    std::memcpy(values.data(), bytes.data() + start, values.size() * 4);
    return values;
}

/// The stories260K dumps as a cache: K and V of [layer][2][token][heads * 8], beside them K before RoPE where given.
inline std::optional<KvCache> loadStories(const std::filesystem::path& kvFile, const std::filesystem::path& kpreFile,
                                          std::int64_t layers, std::int64_t heads, DType dtype = DType::F32) {
    const auto kv = loadFloatNpy(kvFile);
    if (!kv)
        return std::nullopt;
    auto source = std::make_shared<MemorySource>();
    source->description.name = kvFile.filename().string();
    const auto planeSize = static_cast<std::ptrdiff_t>(kv->size()) / (2 * layers);
    const auto kpre = kpreFile.empty() ? std::nullopt : loadFloatNpy(kpreFile);
    for (std::int64_t layer = 0; layer < layers; ++layer) {
        const auto at = kv->begin() + 2 * layer * planeSize;
        addPlane(*source, planeId(layer, PlaneKind::Key), heads, 8, {at, at + planeSize}, dtype);
        addPlane(*source, planeId(layer, PlaneKind::Value), heads, 8, {at + planeSize, at + 2 * planeSize}, dtype);
        if (kpre)
            addPlane(*source, planeId(layer, PlaneKind::KeyBeforeRope), heads, 8,
                     {kpre->begin() + layer * planeSize, kpre->begin() + (layer + 1) * planeSize}, dtype);
    }
    source->description.rope.assign(static_cast<std::size_t>(layers),
                                    Rope::plain(10000.0, 8, Rope::Pairing::Interleaved));
    return KvCache(source);
}

inline std::filesystem::path goldenStats() {
    return std::filesystem::path(KVSCOPE_SOURCE_DIR) / "tests" / "golden" / "stats";
}

/// The committed slice: layers 0, 2 and 4 of story_a, 53 tokens, 4 heads of 8.
inline std::optional<KvCache> loadSmall(bool withRecording, DType dtype = DType::F32) {
    return loadStories(goldenStats() / "small.kv.npy",
                       withRecording ? goldenStats() / "small.kpre.npy" : std::filesystem::path(), 3, 4, dtype);
}

} // namespace kvscope::testing
