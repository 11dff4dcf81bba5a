// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/byte_stream.h"

namespace kvscope {

/// One zstd frame; level 1 to 19.
Result<Bytes> zstdCompress(std::span<const std::byte> bytes, int level);

/// Fails unless the frame gives exactly out.size() bytes.
Result<void> zstdDecompress(std::span<const std::byte> frame, std::span<std::byte> out);

/// All first bytes of the elements, then all second bytes, and so on; `size` bytes an element.
Bytes shuffleBytes(std::span<const std::byte> bytes, std::size_t size);
void unshuffleBytes(std::span<const std::byte> shuffled, std::size_t size, std::span<std::byte> out);

} // namespace kvscope
