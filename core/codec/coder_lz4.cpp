// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/coder_lz4.h"

#include <lz4.h>

#include <limits>

namespace kvscope {

Result<Bytes> lz4Compress(std::span<const std::byte> bytes) {
    if (bytes.size() > LZ4_MAX_INPUT_SIZE)
        return fail("is larger than an LZ4 block can be", "coder", "Use smaller chunks");
    const auto size = static_cast<int>(bytes.size());
    Bytes out(static_cast<std::size_t>(LZ4_compressBound(size)));
    const int written = LZ4_compress_default(reinterpret_cast<const char*>(bytes.data()),
                                             reinterpret_cast<char*>(out.data()), size, static_cast<int>(out.size()));
    if (written <= 0)
        return fail("LZ4 could not compress", {}, {}, Error::Kind::System);
    out.resize(static_cast<std::size_t>(written));
    return out;
}

Result<void> lz4Decompress(std::span<const std::byte> block, std::span<std::byte> out) {
    constexpr std::size_t kMost = std::numeric_limits<int>::max();
    char none = 0;
    if (block.size() <= kMost && out.size() <= kMost) {
        const int written = LZ4_decompress_safe(reinterpret_cast<const char*>(block.data()),
                                                out.empty() ? &none : reinterpret_cast<char*>(out.data()),
                                                static_cast<int>(block.size()), static_cast<int>(out.size()));
        if (written >= 0 && static_cast<std::size_t>(written) == out.size())
            return {};
    }
    return fail("the LZ4 block does not give the chunk's bytes", "payload",
                "The chunk is damaged; encode it again from the original");
}

} // namespace kvscope
