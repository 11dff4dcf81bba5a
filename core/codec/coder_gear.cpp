// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/coder_gear.h"

#include "core/codec/bit_pack.h"
#include "core/codec/coder_zstd.h"

namespace kvscope {

namespace {

Result<void> putFrame(std::span<const std::byte> bytes, int level, CodeSink& sink) {
    KVSCOPE_ASSIGN(const Bytes frame, zstdCompress(bytes, level));
    putBlock(sink.payload, frame);
    return {};
}

Result<Bytes> takeFrame(CodeSource& source, std::size_t size) {
    KVSCOPE_ASSIGN(const auto frame, source.payload.block());
    Bytes bytes(size);
    KVSCOPE_TRY(zstdDecompress(frame, bytes));
    return bytes;
}

} // namespace

Result<void> gearEncode(DType type, std::span<const std::byte> words, int level, CodeSink& sink) {
    const GearFields fields = gearFieldsOf(type);
    const auto size = static_cast<std::size_t>(sizeOf(type));
    std::vector<std::uint16_t> gears(words.size() / size);
    splitGear(fields, words, size, gears);
    Bytes planes;
    putSymbolPlanes(gears, fields.gearBits, planes);
    KVSCOPE_TRY(putFrame(planes, level, sink));
    planes.clear();
    splitMantissas(fields, words, size, planes);
    return putFrame(planes, level, sink);
}

Result<void> gearDecode(DType type, CodeSource& source, std::span<std::byte> words) {
    const GearFields fields = gearFieldsOf(type);
    const auto size = static_cast<std::size_t>(sizeOf(type));
    std::vector<std::uint16_t> gears(words.size() / size);
    KVSCOPE_ASSIGN(const Bytes planes, takeFrame(source, symbolPlaneBytes(gears.size(), fields.gearBits)));
    readSymbolPlanes(planes, fields.gearBits, gears);
    KVSCOPE_ASSIGN(const Bytes mantissas, takeFrame(source, mantissaBytes(fields, gears.size())));
    joinGear(fields, gears, mantissas, size, words);
    return {};
}

Result<void> gearEncodeSymbols(const SymbolGrid& grid, int level, CodeSink& sink) {
    Bytes low;
    low.reserve(grid.symbols.size());
    std::vector<std::uint16_t> high(grid.symbols.size());
    for (std::size_t i = 0; i < high.size(); ++i) {
        low.push_back(static_cast<std::byte>(grid.symbols[i] & 0xFFU));
        high[i] = static_cast<std::uint16_t>(grid.symbols[i] >> 8);
    }
    KVSCOPE_TRY(putFrame(low, level, sink));
    if (grid.bits() <= 8)
        return {};
    Bytes bytes;
    putSymbolPlanes(high, 8, bytes);
    return putFrame(bytes, level, sink);
}

Result<void> gearDecodeSymbols(CodeSource& source, SymbolGrid& grid) {
    KVSCOPE_ASSIGN(const Bytes low, takeFrame(source, grid.symbols.size()));
    readSymbolPlanes(low, 8, grid.symbols);
    if (grid.bits() <= 8)
        return {};
    KVSCOPE_ASSIGN(const Bytes high, takeFrame(source, grid.symbols.size()));
    for (std::size_t i = 0; i < high.size(); ++i)
        grid.symbols[i] = static_cast<std::uint16_t>(grid.symbols[i] | std::to_integer<unsigned>(high[i]) << 8);
    return {};
}

} // namespace kvscope
