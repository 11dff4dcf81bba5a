// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/host_device.h"
#include "core/codec/chunk_codec.h"

namespace kvscope {

/// Says why the transform does not fit the plane: RoPE inverse wants K with a known rotation, Hadamard a head dimension
/// that is a power of two.
Result<void> checkTransform(Transform transform, const ChunkShape& shape);

/// Transforms rows [tokens][channels] in place. checkTransform() has passed.
void applyTransform(Transform transform, const ChunkShape& shape, std::span<float> rows);
void undoTransform(Transform transform, const ChunkShape& shape, std::span<float> rows);

/// Multiplies `size` values (a power of two) by the orthonormal Walsh-Hadamard matrix, which is its own inverse.
KVSCOPE_HD inline void hadamard(float* values, std::int64_t size, float norm) {
    for (std::int64_t half = 1; half < size; half *= 2) {
        for (std::int64_t block = 0; block < size; block += 2 * half) {
            for (std::int64_t i = block; i < block + half; ++i) {
                const float a = values[i];
                const float b = values[i + half];
                values[i] = a + b;
                values[i + half] = a - b;
            }
        }
    }
    for (std::int64_t i = 0; i < size; ++i)
        values[i] *= norm;
}

} // namespace kvscope
