// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/chunk_codec.h"
#include "core/kv/convert.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace kvscope::test {

/// What fills a chunk.
enum class Fill { Gaussian, Zeros, Constant, Specials, OffsetChannels, Tiny, Huge };
inline constexpr std::array kAllFills{Fill::Gaussian,       Fill::Zeros, Fill::Constant, Fill::Specials,
                                      Fill::OffsetChannels, Fill::Tiny,  Fill::Huge};

/// A chunk with its storage.
struct ChunkCase {
    ChunkShape shape;
    std::vector<float> values;
    std::vector<std::byte> native;

    [[nodiscard]] ChunkInput input() const { return {shape, values, native}; }
};

inline float valueOf(Fill fill, std::int64_t token, std::int64_t channel, std::mt19937& random) {
    std::normal_distribution<float> normal;
    switch (fill) {
    case Fill::Gaussian:
        return normal(random);
    case Fill::Zeros:
        return 0.0F;
    case Fill::Constant:
        return 1.75F;
    case Fill::Specials: {
        const auto kind = (token * 7 + channel) % 11;
        if (kind == 0)
            return std::numeric_limits<float>::quiet_NaN();
        if (kind == 3)
            return std::numeric_limits<float>::infinity();
        if (kind == 5)
            return -std::numeric_limits<float>::infinity();
        return kind == 8 ? -0.0F : normal(random);
    }
    case Fill::OffsetChannels:
        return normal(random) + (channel % 5 == 0 ? 10.0F : 0.0F) - (channel % 7 == 3 ? 40.0F : 0.0F);
    case Fill::Tiny:
        return normal(random) * 1e-7F;
    case Fill::Huge:
        return normal(random) * (channel % 3 == 0 ? 3e37F : 60000.0F);
    }
    return 0.0F;
}

/// A chunk of `tokens` tokens from slot 3 of a plane, seeded by its shape.
inline ChunkCase makeChunk(Fill fill, DType dtype, std::int64_t tokens, std::int64_t heads, std::int64_t headDim,
                           PlaneKind kind = PlaneKind::Key) {
    ChunkCase made;
    made.shape.kind = kind;
    made.shape.plane.heads = heads;
    made.shape.plane.headDim = headDim;
    made.shape.plane.tokens = tokens + 3;
    made.shape.plane.dtype = dtype;
    made.shape.tokens = tokenRange(3, 3 + tokens);
    std::mt19937 random(static_cast<unsigned>(tokens * 1000 + heads * headDim));
    for (std::int64_t token = 0; token < tokens; ++token) {
        for (std::int64_t channel = 0; channel < heads * headDim; ++channel)
            made.values.push_back(valueOf(fill, token, channel, random));
    }
    made.native.resize(made.values.size() * static_cast<std::size_t>(sizeOf(dtype)));
    if (!convertFromFloat(dtype, made.values, made.native)) {
        // Eight-bit types: any bits do.
        for (auto& byte : made.native)
            byte = static_cast<std::byte>(fill == Fill::Zeros ? 0U : random() & 0xFFU);
    }
    convertToFloat(dtype, made.native, made.values);
    return made;
}

/// Codes and decodes in both ways; returns what is wrong, or nothing. `decoded` receives the float32 rows.
inline std::string roundTrip(const Pipeline& pipeline, const ChunkCase& chunk, std::vector<float>& decoded,
                             std::vector<std::byte>& native) {
    const auto calibration = calibrate(pipeline, chunk.shape, chunk.values);
    const auto encoded = encodeChunk(pipeline, calibration, chunk.input());
    if (!encoded)
        return "encoding: " + encoded.error().message();
    if (encoded->parts.total() != static_cast<std::int64_t>(encoded->bytes.size()))
        return "parts do not add up";
    decoded.assign(chunk.values.size(), -12345.0F);
    if (const auto done = decodeChunk(pipeline, calibration, chunk.shape, encoded->bytes, decoded); !done)
        return "decoding: " + done.error().message();
    native.assign(chunk.native.size(), std::byte{0x5A});
    if (const auto done = decodeChunkNative(pipeline, calibration, chunk.shape, encoded->bytes, native); !done)
        return "native decoding: " + done.error().message();
    return {};
}

/// Whether a value must come back bit by bit from every method.
inline bool isSpecial(float value) {
    return !std::isfinite(value);
}

} // namespace kvscope::test
