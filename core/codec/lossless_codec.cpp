// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/lossless_codec.h"

#include "core/codec/byte_coders.h"
#include "core/codec/coder_gear.h"
#include "core/codec/symbol_coders.h"
#include "core/codec/token_delta.h"

#include <numeric>

namespace kvscope {

namespace {

SymbolGrid gearGrid(const ChunkShape& shape) {
    return {shape.tokens.size(), shape.plane.channels(), 1U << gearFieldsOf(shape.plane.dtype).gearBits};
}

std::size_t wordSizeOf(const ChunkShape& shape) {
    return static_cast<std::size_t>(sizeOf(shape.plane.dtype));
}

} // namespace

Result<void> encodeLossless(const Pipeline& pipeline, const ChunkShape& shape, std::span<const std::byte> native,
                            CodeSink& sink, EncodedChunk& encoded) {
    const std::size_t size = wordSizeOf(shape);
    if (isByteCoder(pipeline.coder)) {
        KVSCOPE_ASSIGN(const Bytes stream, compressBytes(pipeline.coder, pipeline.effort, size, native));
        putBytes(sink.payload, stream);
        return {};
    }
    Bytes words(native.begin(), native.end());
    if (pipeline.coder == EntropyCoder::GearDelta)
        subtractTokenBefore(words, size, static_cast<std::size_t>(shape.plane.channels()));
    SymbolGrid gears = gearGrid(shape);
    const GearFields fields = gearFieldsOf(shape.plane.dtype);
    splitGear(fields, words, size, gears.symbols);
    encoded.channelEntropyBits.assign(static_cast<std::size_t>(gears.channels),
                                      static_cast<float>(gears.tokens * fields.mantissaBits));
    addChannelEntropy(gears, encoded.channelEntropyBits);
    encoded.entropyBits = std::accumulate(encoded.channelEntropyBits.begin(), encoded.channelEntropyBits.end(), 0.0);
    if (pipeline.coder == EntropyCoder::Gear || pipeline.coder == EntropyCoder::GearDelta)
        return gearEncode(shape.plane.dtype, words, pipeline.effort, sink);
    KVSCOPE_TRY(encodeGrid(pipeline, gears, sink));
    splitMantissas(fields, words, size, sink.payload);
    for (float& bits : sink.channelBits)
        bits += static_cast<float>(gears.tokens * fields.mantissaBits);
    return {};
}

Result<void> decodeLossless(const Pipeline& pipeline, const ChunkShape& shape, CodeSource& source,
                            std::span<std::byte> native) {
    const std::size_t size = wordSizeOf(shape);
    if (isByteCoder(pipeline.coder)) {
        KVSCOPE_ASSIGN(const auto stream, source.payload.take(source.payload.left()));
        return decompressBytes(pipeline.coder, size, stream, native);
    }
    if (pipeline.coder == EntropyCoder::Gear || pipeline.coder == EntropyCoder::GearDelta) {
        KVSCOPE_TRY(gearDecode(shape.plane.dtype, source, native));
    } else {
        SymbolGrid gears = gearGrid(shape);
        const GearFields fields = gearFieldsOf(shape.plane.dtype);
        KVSCOPE_TRY(decodeGrid(pipeline, source, gears));
        KVSCOPE_ASSIGN(const auto mantissas, source.payload.take(mantissaBytes(fields, gears.symbols.size())));
        joinGear(fields, gears.symbols, mantissas, size, native);
    }
    if (pipeline.coder == EntropyCoder::GearDelta)
        addTokenBefore(native, size, static_cast<std::size_t>(shape.plane.channels()));
    return {};
}

} // namespace kvscope
