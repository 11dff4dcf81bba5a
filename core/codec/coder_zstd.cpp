// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/coder_zstd.h"

#include <zstd.h>

namespace kvscope {

Result<Bytes> zstdCompress(std::span<const std::byte> bytes, int level) {
    Bytes out(ZSTD_compressBound(bytes.size()));
    const std::size_t size = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), level);
    if (ZSTD_isError(size))
        return fail(std::string("zstd could not compress: ") + ZSTD_getErrorName(size), {}, {}, Error::Kind::System);
    out.resize(size);
    return out;
}

Result<void> zstdDecompress(std::span<const std::byte> frame, std::span<std::byte> out) {
    const std::size_t size = ZSTD_decompress(out.data(), out.size(), frame.data(), frame.size());
    if (ZSTD_isError(size) || size != out.size())
        return fail("the zstd frame does not give the chunk's bytes", "payload",
                    "The chunk is damaged; encode it again from the original");
    return {};
}

Bytes shuffleBytes(std::span<const std::byte> bytes, std::size_t size) {
    Bytes out(bytes.size());
    const std::size_t count = bytes.size() / size;
    for (std::size_t plane = 0; plane < size; ++plane) {
        for (std::size_t i = 0; i < count; ++i)
            out[plane * count + i] = bytes[i * size + plane];
    }
    return out;
}

void unshuffleBytes(std::span<const std::byte> shuffled, std::size_t size, std::span<std::byte> out) {
    const std::size_t count = shuffled.size() / size;
    for (std::size_t plane = 0; plane < size; ++plane) {
        for (std::size_t i = 0; i < count; ++i)
            out[i * size + plane] = shuffled[plane * count + i];
    }
}

} // namespace kvscope
