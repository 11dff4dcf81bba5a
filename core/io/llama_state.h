// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/base/result.h"
#include "core/io/ggml_types.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace kvscope {

/// One slot of llama.cpp's cache that holds a token.
struct LlamaCell {
    std::int64_t position = 0;
    /// Its sequence ids: LlamaStream::sequences[sequenceBegin ... sequenceBegin + sequenceCount).
    std::size_t sequenceBegin = 0;
    std::size_t sequenceCount = 0;
};

/// The K or V of one layer of a stream: `width` values for each cell.
struct LlamaTensor {
    const GgmlType* type = nullptr;
    std::int64_t width = 0;
    /// Byte offset of the first value. Cell by cell, or channel by channel where `transposed`.
    std::int64_t offset = 0;
    bool transposed = false;
};

struct LlamaStream {
    std::vector<LlamaCell> cells;
    std::vector<std::int32_t> sequences;
    std::vector<LlamaTensor> keys;
    /// As many as keys, or none (MLA).
    std::vector<LlamaTensor> values;
};

/// One cache of a model: all layers of it, or only those with (or without) a sliding window.
struct LlamaMemory {
    std::vector<LlamaStream> streams;
};

/// A llama.cpp state file: a session (llama_state_save_file) or a sequence (llama_state_seq_save_file).
struct LlamaState {
    bool session = false;
    std::uint32_t version = 0;
    /// Architecture as GGUF names it ("llama", "qwen2"); only sessions have it.
    std::string architecture;
    std::vector<std::int32_t> tokens;
    std::vector<LlamaMemory> memories;
    /// Written by a version that multiplies quantised K and V by Hadamard matrices where it can (the file does not say
    /// whether it did).
    bool mayBeRotated = false;
};

/// Whether a file that starts with these bytes is a llama.cpp session or sequence state.
bool looksLikeLlamaState(std::span<const std::byte> head);

/// Reads everything but the values. The version does not tell which of the layouts in the wild a file has (with or
/// without outputs, streams, extended cells, V): the one that ends exactly where the file does is taken. Errors name
/// the byte.
Result<LlamaState> parseLlamaState(const ByteSource& file);

} // namespace kvscope
