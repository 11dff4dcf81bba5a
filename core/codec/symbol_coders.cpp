// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/symbol_coders.h"

#include "core/codec/bit_pack.h"
#include "core/codec/byte_coders.h"
#include "core/codec/coder_arithmetic.h"
#include "core/codec/coder_cabac.h"
#include "core/codec/coder_context_rans.h"
#include "core/codec/coder_gear.h"
#include "core/codec/coder_huffman.h"
#include "core/codec/symbol_coder.h"
#include "core/codec/token_delta.h"

#include <algorithm>
#include <cmath>

namespace kvscope {

namespace {

/// Bytes of one symbol as byte coders see it.
std::size_t symbolSize(const SymbolGrid& grid) {
    return grid.bits() > 8 ? 2 : 1;
}

Bytes asBytes(const SymbolGrid& grid) {
    Bytes bytes;
    bytes.reserve(grid.symbols.size() * symbolSize(grid));
    for (const std::uint16_t symbol : grid.symbols) {
        bytes.push_back(static_cast<std::byte>(symbol & 0xFFU));
        if (grid.bits() > 8)
            bytes.push_back(static_cast<std::byte>(symbol >> 8));
    }
    return bytes;
}

Result<void> decodeBytes(EntropyCoder coder, CodeSource& source, SymbolGrid& grid) {
    const std::size_t size = symbolSize(grid);
    KVSCOPE_ASSIGN(const auto stream, source.payload.block());
    Bytes bytes(grid.symbols.size() * size);
    KVSCOPE_TRY(decompressBytes(coder, size, stream, bytes));
    for (std::size_t i = 0; i < grid.symbols.size(); ++i) {
        unsigned symbol = std::to_integer<unsigned>(bytes[i * size]);
        if (size == 2)
            symbol |= std::to_integer<unsigned>(bytes[i * size + 1]) << 8;
        grid.symbols[i] = static_cast<std::uint16_t>(symbol);
    }
    return {};
}

/// The integers of encodeSymbols(), one block a grid.
Result<void> encodeKvz(Predictor predictor, const SymbolGrid& grid, CodeSink& sink) {
    const std::vector<std::int32_t> symbols(grid.symbols.begin(), grid.symbols.end());
    KVSCOPE_ASSIGN(const auto coded, encodeSymbols(symbols, grid.tokens, grid.channels, {predictor, false}));
    putBlock(sink.payload, coded.bytes);
    for (const BytePart part : kAllByteParts) {
        if (part != BytePart::Payload)
            sink.notPayload[part] += coded.parts[part];
    }
    sink.channelBits.resize(coded.channelBits.size());
    for (std::size_t i = 0; i < coded.channelBits.size(); ++i)
        sink.channelBits[i] += coded.channelBits[i];
    return {};
}

Result<void> decodeKvz(CodeSource& source, SymbolGrid& grid) {
    KVSCOPE_ASSIGN(const auto bytes, source.payload.block());
    std::vector<std::int32_t> symbols(grid.symbols.size());
    KVSCOPE_TRY(decodeSymbols(bytes, grid.tokens, grid.channels, symbols));
    for (std::size_t i = 0; i < symbols.size(); ++i) {
        if (symbols[i] < 0 || symbols[i] >= static_cast<std::int64_t>(grid.alphabet))
            return source.payload.broken("holds a symbol outside the alphabet");
        grid.symbols[i] = static_cast<std::uint16_t>(symbols[i]);
    }
    return {};
}

Result<void> decodeUnchecked(EntropyCoder coder, CodeSource& source, SymbolGrid& grid) {
    switch (coder) {
    case EntropyCoder::Raw: {
        KVSCOPE_ASSIGN(const auto packed, source.payload.take(packedSize(grid.symbols.size(), grid.bits())));
        unpackBits(packed, grid.bits(), grid.symbols);
        return {};
    }
    case EntropyCoder::Zlib:
    case EntropyCoder::Lz4:
    case EntropyCoder::Zstd:
    case EntropyCoder::ShuffleZstd:
        return decodeBytes(coder, source, grid);
    case EntropyCoder::Kvz:
        return decodeKvz(source, grid);
    case EntropyCoder::Gear:
        return gearDecodeSymbols(source, grid);
    case EntropyCoder::GearDelta:
        KVSCOPE_TRY(gearDecodeSymbols(source, grid));
        addTokenBefore(grid);
        return {};
    case EntropyCoder::Huffman:
        return huffmanDecode(source, grid);
    case EntropyCoder::Arithmetic:
        return arithmeticDecode(source, grid);
    case EntropyCoder::ContextRans:
        return contextRansDecode(source, grid);
    case EntropyCoder::Cabac:
        return cabacDecode(source, grid);
    }
    return fail("the coder is unknown", "coder", "Choose another coder");
}

} // namespace

Result<void> encodeGrid(const Pipeline& pipeline, const SymbolGrid& grid, CodeSink& sink) {
    if (grid.symbols.empty())
        return {};
    const EntropyCoder coder = pipeline.coder;
    const int effort = pipeline.effort;
    switch (coder) {
    case EntropyCoder::Raw:
        packBits(grid.symbols, grid.bits(), sink.payload);
        return {};
    case EntropyCoder::Zlib:
    case EntropyCoder::Lz4:
    case EntropyCoder::Zstd:
    case EntropyCoder::ShuffleZstd: {
        KVSCOPE_ASSIGN(const Bytes stream, compressBytes(coder, effort, symbolSize(grid), asBytes(grid)));
        putBlock(sink.payload, stream);
        return {};
    }
    case EntropyCoder::Kvz:
        return encodeKvz(pipeline.predictor, grid, sink);
    case EntropyCoder::Gear:
        return gearEncodeSymbols(grid, effort, sink);
    case EntropyCoder::GearDelta: {
        SymbolGrid deltas = grid;
        subtractTokenBefore(deltas);
        return gearEncodeSymbols(deltas, effort, sink);
    }
    case EntropyCoder::Huffman:
        return huffmanEncode(grid, sink);
    case EntropyCoder::Arithmetic:
        return arithmeticEncode(grid, sink);
    case EntropyCoder::ContextRans:
        return contextRansEncode(grid, sink);
    case EntropyCoder::Cabac:
        return cabacEncode(grid, sink);
    }
    return fail("the coder is unknown", "coder", "Choose another coder");
}

Result<void> decodeGrid(const Pipeline& pipeline, CodeSource& source, SymbolGrid& grid) {
    if (grid.symbols.empty())
        return {};
    KVSCOPE_TRY(decodeUnchecked(pipeline.coder, source, grid));
    if (std::ranges::any_of(grid.symbols, [&](std::uint16_t symbol) { return symbol >= grid.alphabet; }))
        return source.payload.broken("holds a symbol outside the alphabet");
    return {};
}

void addChannelEntropy(const SymbolGrid& grid, std::span<float> channelBits) {
    std::vector<std::int32_t> counts(grid.alphabet);
    const auto channels = static_cast<std::size_t>(grid.channels);
    for (std::size_t channel = 0; channel < channels; ++channel) {
        std::ranges::fill(counts, 0);
        for (std::size_t i = channel; i < grid.symbols.size(); i += channels)
            ++counts[grid.symbols[i]];
        double bits = 0;
        for (const std::int32_t count : counts) {
            if (count > 0)
                bits -= count * std::log2(static_cast<double>(count) / static_cast<double>(grid.tokens));
        }
        channelBits[channel] += static_cast<float>(bits);
    }
}

} // namespace kvscope
