// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/chunk_codec.h"

#include <cstddef>
#include <span>

namespace kvscope {

/// Encodes the stored bits of a chunk, whatever they are; every bit comes back. `statistics`: channelBits, entropyBits.
/// The bytes begin with `front`, a part of the header.
Result<EncodedChunk> encodeKvzLossless(const ChunkShape& shape, std::span<const std::byte> native, bool statistics,
                                       std::span<const std::byte> front = {});

/// Decodes exactly shape.values() stored values. Trusts nothing.
Result<void> decodeKvzLossless(const ChunkShape& shape, std::span<const std::byte> bytes, std::span<std::byte> native);

} // namespace kvscope
