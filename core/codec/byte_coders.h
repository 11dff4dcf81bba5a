// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/byte_stream.h"
#include "core/codec/pipeline.h"

namespace kvscope {

/// Whether the coder takes plain bytes: raw, zlib, lz4, zstd, shuffle and zstd.
constexpr bool isByteCoder(EntropyCoder coder) {
    return coder == EntropyCoder::Raw || coder == EntropyCoder::Zlib || coder == EntropyCoder::Lz4 ||
           coder == EntropyCoder::Zstd || coder == EntropyCoder::ShuffleZstd;
}

/// Compresses with a byte coder; `elementSize` is the number of bytes that ShuffleZstd takes for one value.
Result<Bytes> compressBytes(EntropyCoder coder, int effort, std::size_t elementSize, std::span<const std::byte> bytes);

/// Fails unless the stream gives exactly out.size() bytes.
Result<void> decompressBytes(EntropyCoder coder, std::size_t elementSize, std::span<const std::byte> stream,
                             std::span<std::byte> out);

} // namespace kvscope
