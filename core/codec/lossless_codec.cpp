// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/lossless_codec.h"

#include "core/codec/byte_coders.h"
#include "core/codec/coder_gear.h"
#include "core/codec/predict_words.h"
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

Result<void> decodeWords(const Pipeline& pipeline, const ChunkShape& shape, CodeSource& source,
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

} // namespace

Result<void> encodeLossless(const Pipeline& pipeline, const ChunkShape& shape, std::span<const std::byte> native,
                            CodeSink& sink, EncodedChunk& encoded) {
    const std::size_t size = wordSizeOf(shape);
    Bytes words(native.begin(), native.end());
    if (pipeline.predictor != Predictor::None)
        KVSCOPE_TRY(wordsToResiduals(pipeline, shape, words, sink.tables));
    if (isByteCoder(pipeline.coder)) {
        KVSCOPE_ASSIGN(const Bytes stream, compressBytes(pipeline.coder, pipeline.effort, size, words));
        putBytes(sink.payload, stream);
        return {};
    }
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
    if (pipeline.predictor == Predictor::None)
        return decodeWords(pipeline, shape, source, native);
    // The means stand before the coder's own tables.
    ByteReader side = source.tables;
    if (pipeline.predictor == Predictor::ChannelMean && !native.empty()) {
        const auto means = static_cast<std::uint64_t>(shape.plane.channels()) * wordSizeOf(shape);
        KVSCOPE_ASSIGN(const auto stored, source.tables.take(means));
        side = ByteReader(stored, "tables");
    }
    KVSCOPE_TRY(decodeWords(pipeline, shape, source, native));
    return residualsToWords(pipeline, shape, side, native);
}

} // namespace kvscope
