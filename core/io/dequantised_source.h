// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/io/ggml_types.h"

#include <cstdint>

namespace kvscope {

/// Block-quantised values as if they were stored as little-endian float32: value i of the run that begins at byte
/// `offset` of `file` lies at byte 4 * i. Decodes what is read, when it is read. With `hadamardSize` > 0 (a power of
/// two, multiple of the block) each run of that many values is also multiplied by the Walsh-Hadamard matrix. `values`
/// is a multiple of the block and of hadamardSize; fails when the blocks are not all inside the file.
Result<ByteSourcePtr> dequantisedSource(ByteSourcePtr file, std::int64_t offset, const GgmlType& type,
                                        std::int64_t values, std::int64_t hadamardSize);

} // namespace kvscope
