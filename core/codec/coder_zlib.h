// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/byte_stream.h"

namespace kvscope {

/// DEFLATE with zlib's header; level 1 to 9.
Result<Bytes> zlibCompress(std::span<const std::byte> bytes, int level);

/// Fails unless the stream gives exactly out.size() bytes.
Result<void> zlibDecompress(std::span<const std::byte> stream, std::span<std::byte> out);

} // namespace kvscope
