// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/byte_stream.h"

namespace kvscope {

/// One LZ4 block (no frame). Fails past LZ4's 2 GB.
Result<Bytes> lz4Compress(std::span<const std::byte> bytes);

/// Fails unless the block gives exactly out.size() bytes.
Result<void> lz4Decompress(std::span<const std::byte> block, std::span<std::byte> out);

} // namespace kvscope
