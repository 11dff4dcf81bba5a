// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/gear_fields.h"

#include "core/codec/bit_pack.h"

namespace kvscope {

namespace {

std::uint64_t wordAt(std::span<const std::byte> words, std::size_t size, std::size_t index) {
    std::uint64_t word = 0;
    std::memcpy(&word, words.data() + index * size, size);
    return word;
}

} // namespace

GearFields gearFieldsOf(DType type) {
    switch (type) {
    case DType::F64:
        return {12, 52};
    case DType::F32:
        return {9, 23};
    case DType::F16:
        return {6, 10};
    case DType::BF16:
        return {9, 7};
    case DType::F8E4M3:
        return {5, 3};
    case DType::F8E5M2:
        return {6, 2};
    case DType::I8:
    case DType::U8:
        break;
    }
    return {8, 0};
}

void splitGear(GearFields fields, std::span<const std::byte> words, std::size_t wordSize,
               std::span<std::uint16_t> gears) {
    for (std::size_t i = 0; i < gears.size(); ++i)
        gears[i] = static_cast<std::uint16_t>(wordAt(words, wordSize, i) >> fields.mantissaBits);
}

std::size_t mantissaBytes(GearFields fields, std::size_t count) {
    return count * static_cast<std::size_t>(fields.mantissaBits / 8) + packedSize(count, fields.mantissaBits % 8);
}

void splitMantissas(GearFields fields, std::span<const std::byte> words, std::size_t wordSize, Bytes& out) {
    const std::size_t count = words.size() / wordSize;
    int shift = fields.mantissaBits;
    for (; shift >= 8; shift -= 8) {
        for (std::size_t i = 0; i < count; ++i)
            out.push_back(static_cast<std::byte>(wordAt(words, wordSize, i) >> (shift - 8) & 0xFFU));
    }
    std::vector<std::uint16_t> rest(count);
    for (std::size_t i = 0; i < count; ++i)
        rest[i] = static_cast<std::uint16_t>(wordAt(words, wordSize, i) & ((1U << shift) - 1));
    packBits(rest, shift, out);
}

void joinGear(GearFields fields, std::span<const std::uint16_t> gears, std::span<const std::byte> mantissas,
              std::size_t wordSize, std::span<std::byte> words) {
    const std::size_t count = gears.size();
    const auto planes = static_cast<std::size_t>(fields.mantissaBits / 8);
    const int restBits = fields.mantissaBits % 8;
    std::vector<std::uint16_t> rest(count);
    unpackBits(mantissas.subspan(planes * count), restBits, rest);
    for (std::size_t i = 0; i < count; ++i) {
        std::uint64_t word = gears[i];
        for (std::size_t plane = 0; plane < planes; ++plane)
            word = word << 8 | std::to_integer<std::uint64_t>(mantissas[plane * count + i]);
        word = word << restBits | rest[i];
        std::memcpy(words.data() + i * wordSize, &word, wordSize);
    }
}

void putSymbolPlanes(std::span<const std::uint16_t> symbols, int bits, Bytes& out) {
    for (const std::uint16_t symbol : symbols)
        out.push_back(static_cast<std::byte>(symbol & 0xFFU));
    if (bits <= 8)
        return;
    std::vector<std::uint16_t> high(symbols.size());
    for (std::size_t i = 0; i < high.size(); ++i)
        high[i] = static_cast<std::uint16_t>(symbols[i] >> 8);
    packBits(high, bits - 8, out);
}

std::size_t symbolPlaneBytes(std::size_t count, int bits) {
    return count + (bits > 8 ? packedSize(count, bits - 8) : 0);
}

void readSymbolPlanes(std::span<const std::byte> planes, int bits, std::span<std::uint16_t> symbols) {
    std::vector<std::uint16_t> high(symbols.size());
    if (bits > 8)
        unpackBits(planes.subspan(symbols.size()), bits - 8, high);
    for (std::size_t i = 0; i < symbols.size(); ++i)
        symbols[i] = static_cast<std::uint16_t>(high[i] << 8 | std::to_integer<unsigned>(planes[i]));
}

} // namespace kvscope
