// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/chunk_codec.h"

#include <cstdlib>
#include <span>
#include <vector>

namespace kvscope::fuzz {

/// Decodes what follows a head of four bytes (pipeline, tokens, channels, dtype) as a chunk, in both ways; they must
/// agree on whether it is one.
inline void decodeAsChunk(std::span<const Pipeline> pipelines, const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t kHead = 4;
    if (size < kHead || pipelines.empty())
        return;
    const Pipeline& pipeline = pipelines[data[0] % pipelines.size()];
    const Rope rope = Rope::plain(10000.0, 8, Rope::Pairing::HalfSplit);
    ChunkShape shape;
    shape.plane.heads = 1 + data[2] % 4;
    shape.plane.headDim = 8;
    shape.plane.tokens = 1 + data[1] % 80;
    shape.plane.dtype = static_cast<DType>(data[3] % 8);
    shape.tokens = tokenRange(0, shape.plane.tokens);
    shape.rope = &rope;
    const auto bytes = std::as_bytes(std::span(data, size)).subspan(kHead);
    std::vector<float> values(static_cast<std::size_t>(shape.values()));
    std::vector<std::byte> native(values.size() * static_cast<std::size_t>(sizeOf(shape.plane.dtype)));
    const auto decoded = decodeChunk(pipeline, {}, shape, bytes, values);
    const auto stored = decodeChunkNative(pipeline, {}, shape, bytes, native);
    if (decoded.has_value() != stored.has_value() || (!decoded && decoded.error().what.empty()))
        std::abort();
}

/// A quantiser, or none, with each of some coders.
inline std::vector<Pipeline> withCoders(const Pipeline& pipeline, std::span<const EntropyCoder> coders) {
    std::vector<Pipeline> all;
    for (const EntropyCoder coder : coders) {
        all.push_back(pipeline);
        all.back().coder = coder;
    }
    return all;
}

} // namespace kvscope::fuzz
