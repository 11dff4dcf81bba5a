// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/transform.h"

#include <bit>
#include <cmath>

namespace kvscope {

namespace {

void hadamardRows(const ChunkShape& shape, std::span<float> rows) {
    const std::int64_t size = shape.plane.headDim;
    const auto norm = static_cast<float>(1.0 / std::sqrt(static_cast<double>(size)));
    for (std::size_t at = 0; at < rows.size(); at += static_cast<std::size_t>(size))
        hadamard(rows.data() + at, size, norm);
}

} // namespace

Result<void> checkTransform(Transform transform, const ChunkShape& shape) {
    if (transform == Transform::RopeInverse) {
        if (shape.kind != PlaneKind::Key)
            return fail("undoes a rotation that only K carries", "transform", "Use it for K alone");
        if (shape.rope == nullptr)
            return fail("undoes RoPE, which is not known for this cache", "transform",
                        "Give the model's configuration, or use another transform");
    }
    if (transform == Transform::Hadamard && !std::has_single_bit(static_cast<std::uint64_t>(shape.plane.headDim)))
        return fail("is Hadamard, which does not fit a head dimension of " + std::to_string(shape.plane.headDim),
                    "transform", "Use it where the head dimension is a power of two");
    return {};
}

void applyTransform(Transform transform, const ChunkShape& shape, std::span<float> rows) {
    if (transform == Transform::RopeInverse)
        rotate(*shape.rope, RopeDirection::Undo, shape.plane, shape.tokens, rows);
    else if (transform == Transform::Hadamard)
        hadamardRows(shape, rows);
}

void undoTransform(Transform transform, const ChunkShape& shape, std::span<float> rows) {
    if (transform == Transform::RopeInverse)
        rotate(*shape.rope, RopeDirection::Apply, shape.plane, shape.tokens, rows);
    else if (transform == Transform::Hadamard)
        hadamardRows(shape, rows);
}

} // namespace kvscope
