// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/coder_zlib.h"

#include <zlib.h>

namespace kvscope {

Result<Bytes> zlibCompress(std::span<const std::byte> bytes, int level) {
    uLongf size = compressBound(bytes.size());
    Bytes out(size);
    const int status = compress2(reinterpret_cast<Bytef*>(out.data()), &size,
                                 reinterpret_cast<const Bytef*>(bytes.data()), bytes.size(), level);
    if (status != Z_OK)
        return fail("zlib could not compress (status " + std::to_string(status) + ")", {}, {}, Error::Kind::System);
    out.resize(size);
    return out;
}

Result<void> zlibDecompress(std::span<const std::byte> stream, std::span<std::byte> out) {
    // zlib writes nowhere when nothing is expected, but wants an address.
    Bytef none = 0;
    uLongf size = out.size();
    uLong used = stream.size();
    const int status = uncompress2(out.empty() ? &none : reinterpret_cast<Bytef*>(out.data()), &size,
                                   reinterpret_cast<const Bytef*>(stream.data()), &used);
    if (status != Z_OK || size != out.size() || used != stream.size())
        return fail("the zlib stream does not give the chunk's bytes", "payload",
                    "The chunk is damaged; encode it again from the original");
    return {};
}

} // namespace kvscope
