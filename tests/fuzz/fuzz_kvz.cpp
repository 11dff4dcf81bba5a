// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/kvz_codec.h"
#include "core/codec/symbol_coder.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

using namespace kvscope;

/// Bytes: dtype, tokens, heads, head dimension, what to decode (0: lossless, 1: steps, 2: symbols, 3: steps with
/// channel terms, whose length and bytes follow), then the chunk.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t kHeader = 5;
    if (size < kHeader)
        return 0;
    ChunkShape shape;
    shape.plane.dtype = static_cast<DType>(data[0] % 8);
    shape.plane.heads = data[2] % 4 + 1;
    shape.plane.headDim = data[3] % 40 + 1;
    shape.plane.tokens = data[1];
    shape.tokens = tokenRange(0, data[1]);
    auto bytes = std::as_bytes(std::span(data, size)).subspan(kHeader);
    Result<void> decoded;
    if (data[4] % 4 == 2) {
        std::vector<std::int32_t> symbols(static_cast<std::size_t>(shape.values()));
        decoded = decodeSymbols(bytes, shape.tokens.size(), shape.plane.channels(), std::span(symbols));
    } else {
        Pipeline pipeline;
        pipeline.coder = EntropyCoder::Kvz;
        PlaneCalibration calibration;
        calibration.centredRms = 1;
        if (data[4] % 4 != 0)
            pipeline.quantiser = Step{0.5};
        if (data[4] % 4 == 3) {
            const auto length = bytes.empty() ? std::size_t{1} : std::to_integer<std::size_t>(bytes.front()) + 1;
            if (bytes.size() < length ||
                !readChannelTerms(bytes.subspan(1, length - 1), static_cast<std::size_t>(shape.plane.channels()),
                                  calibration.channelTerms))
                return 0;
            bytes = bytes.subspan(length);
        }
        std::vector<float> values(static_cast<std::size_t>(shape.values()));
        decoded = decodeKvzChunk(pipeline, calibration, shape, bytes, values);
        std::vector<std::byte> native(values.size() * static_cast<std::size_t>(sizeOf(shape.plane.dtype)));
        if (decodeKvzChunkNative(pipeline, calibration, shape, bytes, native).has_value() != decoded.has_value())
            std::abort();
    }
    // Errors must say something.
    if (!decoded && (decoded.error().what.empty() || decoded.error().where.empty()))
        std::abort();
    return 0;
}
