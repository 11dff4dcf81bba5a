// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/chunk_codec.h"

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

/// Lossless bfloat16 whose exponents are coded in pairs of neighbouring channels with one table, all else stored: what
/// decodes fastest. Needs a multiple of 64 channels. Bytes: FORMAT.md, "pairs".
namespace kvscope {

struct PairChunk {
    /// `front`, and then what follows the form byte.
    EncodedChunk chunk;
    /// Whether no code by channels could be much smaller, as far as counts tell.
    bool nearBound = false;
};

/// Nothing where the form does not serve: another type, few values, or channels that are no multiple of 64. `front`
/// counts as header.
Result<std::optional<PairChunk>> encodePairs(const ChunkShape& shape, std::span<const std::byte> native,
                                             const std::vector<std::uint32_t>& twins, bool statistics,
                                             std::span<const std::byte> front = {});

/// Decodes exactly shape.values() stored values from what follows the form byte. Trusts nothing.
Result<void> decodePairs(const ChunkShape& shape, std::span<const std::byte> bytes, std::span<std::byte> native);

} // namespace kvscope
