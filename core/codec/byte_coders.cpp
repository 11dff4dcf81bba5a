// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/byte_coders.h"

#include "core/codec/coder_lz4.h"
#include "core/codec/coder_zlib.h"
#include "core/codec/coder_zstd.h"

#include <cstring>

namespace kvscope {

Result<Bytes> compressBytes(EntropyCoder coder, int effort, std::size_t elementSize, std::span<const std::byte> bytes) {
    switch (coder) {
    case EntropyCoder::Zlib:
        return zlibCompress(bytes, effort);
    case EntropyCoder::Lz4:
        return lz4Compress(bytes);
    case EntropyCoder::Zstd:
        return zstdCompress(bytes, effort);
    case EntropyCoder::ShuffleZstd:
        return zstdCompress(shuffleBytes(bytes, elementSize), effort);
    default:
        return Bytes(bytes.begin(), bytes.end());
    }
}

Result<void> decompressBytes(EntropyCoder coder, std::size_t elementSize, std::span<const std::byte> stream,
                             std::span<std::byte> out) {
    switch (coder) {
    case EntropyCoder::Zlib:
        return zlibDecompress(stream, out);
    case EntropyCoder::Lz4:
        return lz4Decompress(stream, out);
    case EntropyCoder::Zstd:
        return zstdDecompress(stream, out);
    case EntropyCoder::ShuffleZstd: {
        Bytes shuffled(out.size());
        KVSCOPE_TRY(zstdDecompress(stream, shuffled));
        unshuffleBytes(shuffled, elementSize, out);
        return {};
    }
    default:
        if (stream.size() != out.size())
            return fail("the stored bytes are " + std::to_string(stream.size()) + ", not " + std::to_string(out.size()),
                        "payload", "The chunk is damaged; encode it again from the original");
        // An algorithm would go byte by byte where iterators are checked.
        if (!stream.empty())
            std::memcpy(out.data(), stream.data(), stream.size());
        return {};
    }
}

} // namespace kvscope
