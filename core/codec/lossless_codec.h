// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/chunk_codec.h"
#include "core/codec/symbol_grid.h"

namespace kvscope {

/// Codes the stored bits of a chunk with any coder but Kvz: byte coders see them as they are, the others code gears and
/// mantissas apart; a predictor makes residuals of them first. Fills `encoded.entropyBits` and its channels where gears
/// are symbols.
Result<void> encodeLossless(const Pipeline& pipeline, const ChunkShape& shape, std::span<const std::byte> native,
                            CodeSink& sink, EncodedChunk& encoded);

/// Gives back exactly shape.values() stored values.
Result<void> decodeLossless(const Pipeline& pipeline, const ChunkShape& shape, CodeSource& source,
                            std::span<std::byte> native);

} // namespace kvscope
