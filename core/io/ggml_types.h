// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/dtype.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace kvscope {

/// An element type of ggml: `blockValues` values share `blockBytes` bytes.
struct GgmlType {
    std::int32_t id = 0;
    std::string_view name;
    std::int64_t blockValues = 1;
    std::int64_t blockBytes = 0;
    /// The same type among ours where values are stored one by one; empty for block-quantised types.
    std::optional<DType> plain;

    [[nodiscard]] bool quantised() const { return !plain.has_value(); }
};

/// The type of an id as state files have it; null for the types that KVScope does not read (none of those can be
/// chosen for a cache in llama.cpp).
const GgmlType* ggmlType(std::int32_t id);

/// Values of whole blocks as ggml's dequantisation gives them: values.size() is a multiple of blockValues and `blocks`
/// holds just those blocks. The type must be a quantised one.
void dequantise(const GgmlType& type, std::span<const std::byte> blocks, std::span<float> values);

/// Multiplies each run of `size` values (a power of two) by the orthonormal Walsh-Hadamard matrix in Sylvester order,
/// which is its own inverse. values.size() is a multiple of `size`.
void hadamard(std::span<float> values, std::int64_t size);

} // namespace kvscope
