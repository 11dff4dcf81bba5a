// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/symbol_grid.h"
#include "core/kv/dtype.h"

namespace kvscope {

/// How the bits of a stored value fall into gear (sign and exponent, the high bits) and mantissa (the low ones).
struct GearFields {
    int gearBits = 0;
    int mantissaBits = 0;
};

/// f16 6|10, bf16 9|7, f32 9|23, f64 12|52, e4m3 5|3, e5m2 6|2; integers are all gear.
GearFields gearFieldsOf(DType type);

/// The high fields of words (each word in `wordSize` bytes, little-endian) as symbols.
void splitGear(GearFields fields, std::span<const std::byte> words, std::size_t wordSize,
               std::span<std::uint16_t> gears);

/// Appends the mantissas: for each eight bits from the top a plane of one byte a value, then the bits that are left
/// packed, least significant bit first.
void splitMantissas(GearFields fields, std::span<const std::byte> words, std::size_t wordSize, Bytes& out);

/// Bytes of `count` mantissas.
std::size_t mantissaBytes(GearFields fields, std::size_t count);

/// Puts words together again. `mantissas` holds mantissaBytes() bytes.
void joinGear(GearFields fields, std::span<const std::uint16_t> gears, std::span<const std::byte> mantissas,
              std::size_t wordSize, std::span<std::byte> words);

/// Symbols as bytes: a plane of the low eight bits, one byte a symbol, then what is above them, packed.
void putSymbolPlanes(std::span<const std::uint16_t> symbols, int bits, Bytes& out);
std::size_t symbolPlaneBytes(std::size_t count, int bits);
/// Reads symbolPlaneBytes() bytes.
void readSymbolPlanes(std::span<const std::byte> planes, int bits, std::span<std::uint16_t> symbols);

} // namespace kvscope
