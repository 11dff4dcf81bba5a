// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/chunk_codec.h"

#include <cstddef>
#include <span>

/// Chunks of EntropyCoder::Kvz with Quantiser Step (lossy) or Lossless; FORMAT.md, section "kvz chunk", describes the
/// bytes. Other quantisers use symbol_coder.h.
namespace kvscope {

/// Encodes one chunk; does all stages of the pipeline. Step: values are rounded to multiples of step *
/// calibration.centredRms (after the transform), so that each is off by at most half of that plus the rounding of
/// float32, or, where usesTrellises(), to points of a trellis, with the same mean squared error in fewer bits, each off
/// by at most 1.5 times that; NaN, infinities and values beyond 2^20 steps are kept bit by bit (before the transform).
/// Planes whose step is zero or beyond float32 are kept bit by bit. Lossless: every bit of input.native comes back.
/// Without `statistics`, which take longer than the coding, channelBits and entropyBits stay empty.
Result<EncodedChunk> encodeKvzChunk(const Pipeline& pipeline, const PlaneCalibration& calibration,
                                    const ChunkInput& input, bool statistics = true);

/// Decodes into float32 rows [tokens][channels]. Trusts nothing; errors name the part that is wrong.
Result<void> decodeKvzChunk(const Pipeline& pipeline, const PlaneCalibration& calibration, const ChunkShape& shape,
                            std::span<const std::byte> bytes, std::span<float> out);

/// Decodes into the plane's dtype, little-endian [tokens][channels].
Result<void> decodeKvzChunkNative(const Pipeline& pipeline, const PlaneCalibration& calibration,
                                  const ChunkShape& shape, std::span<const std::byte> bytes, std::span<std::byte> out);

/// Whether undoing RoPE before quantisation makes the plane smaller at equal error, measured on `rows` (whole tokens of
/// the plane, as they are stored): Transform::RopeInverse or Transform::None; always None where shape.rope is null or
/// the plane is not K. `step` is that of the quantiser.
Transform chooseTransform(const ChunkShape& shape, std::span<const float> rows, double step);

} // namespace kvscope
