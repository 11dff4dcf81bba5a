// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/base/result.h"
#include "core/io/tensor_table.h"

#include <cstddef>
#include <filesystem>
#include <span>

namespace kvscope {

/// Whether a file of that size that starts with these bytes (16 or more) is a safetensors file.
bool looksLikeSafetensors(std::span<const std::byte> head, std::int64_t fileSize);

/// Reads the header of a safetensors file. Offsets that leave the file, that overlap, or that do not fit the shape are
/// refused, naming the tensor.
Result<TensorTable> readSafetensors(const ByteSourcePtr& bytes, const std::filesystem::path& path);

} // namespace kvscope
