// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/byte_stream.h"
#include "core/codec/chunk_codec.h"

namespace kvscope {

/// Lossless prediction: every stored value becomes its distance to a predicted one, counted in values of the dtype and
/// folded to an unsigned number (0, -1, 1, -2 ... become 0, 1, 2, 3 ...). The prediction is the channel's mean over the
/// chunk (kept in the dtype), the token before, or the first token of each group of ten; under Transform::RopeInverse
/// it is turned to the position of the token, which is K before RoPE as a predictor. Bit-exact whatever the values;
/// predictions that are not finite count as zero. For f16, bf16 and f32.
///
/// Replaces the words; appends the means to `side`.
Result<void> wordsToResiduals(const Pipeline& pipeline, const ChunkShape& shape, std::span<std::byte> words,
                              Bytes& side);

Result<void> residualsToWords(const Pipeline& pipeline, const ChunkShape& shape, ByteReader& side,
                              std::span<std::byte> words);

} // namespace kvscope
