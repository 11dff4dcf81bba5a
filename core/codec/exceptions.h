// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/quantised.h"

namespace kvscope {

/// Largest magnitude that lossy stages work on: their sums and products then stay finite in float32.
inline constexpr float kLargestWorked = 0x1p100F;

/// Values that lossy stages leave out: NaN, infinities and magnitudes above kLargestWorked, kept as the dump stores
/// them.
struct Exceptions {
    /// Places in the chunk, rising.
    std::vector<std::int64_t> places;
    /// Bits of each, sizeOf(dtype) bytes.
    Bytes bits;
};

/// Takes the exceptions out of `rows` (float32 of input) and puts zeros in their places.
Exceptions takeExceptions(const ChunkInput& input, std::span<float> rows);

void putExceptions(const Exceptions& exceptions, DType type, Bytes& out);
/// `values`: how many values the chunk has.
Result<Exceptions> readExceptions(ByteReader& reader, DType type, std::int64_t values);

/// Writes them back over decoded values.
void restore(const Exceptions& exceptions, DType type, std::span<float> values);
void restore(const Exceptions& exceptions, DType type, std::span<std::byte> native);

/// Values that the quantiser kept.
void putKept(std::span<const KeptValue> kept, Bytes& out);
Result<std::vector<KeptValue>> readKept(ByteReader& reader, std::int64_t values);

} // namespace kvscope
