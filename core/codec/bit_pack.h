// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/byte_stream.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace kvscope {

/// Bytes that `count` numbers of `bits` bits take.
constexpr std::size_t packedSize(std::size_t count, int bits) {
    return count / 8 * static_cast<std::size_t>(bits) + (count % 8 * static_cast<std::size_t>(bits) + 7) / 8;
}

/// Appends the low `bits` (0..16) of each symbol, least significant bit first, padded to a whole byte with zeros.
void packBits(std::span<const std::uint16_t> symbols, int bits, Bytes& out);

/// Reads out.size() numbers of `bits` bits from packedSize(out.size(), bits) bytes.
void unpackBits(std::span<const std::byte> bytes, int bits, std::span<std::uint16_t> out);

} // namespace kvscope
