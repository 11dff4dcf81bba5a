// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/io/open_dump.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace kvscope::fuzz {

inline ByteSourcePtr sourceOf(std::span<const std::uint8_t> data) {
    std::vector<std::byte> bytes(data.size());
    if (!data.empty())
        std::memcpy(bytes.data(), data.data(), data.size());
    return memorySource(std::move(bytes), "input");
}

/// Reads the first and the last rows of some planes, as a window would.
inline void readSome(const KvCache& cache) {
    constexpr std::int64_t kMostValues = 1 << 16;
    const auto ids = cache.geometry().allPlanes();
    for (std::size_t i = 0; i < ids.size(); i += std::max<std::size_t>(1, ids.size() / 16)) {
        const PlaneGeometry& plane = *cache.geometry().find(ids[i]);
        const std::int64_t channels = std::min<std::int64_t>(plane.channels(), 256);
        const std::int64_t rows = std::min(plane.tokens, kMostValues / channels);
        std::vector<float> values(static_cast<std::size_t>(rows * channels));
        for (const std::int64_t begin : {std::int64_t{0}, plane.tokens - rows}) {
            // What opened must be readable: sizes were checked against the data.
            if (!cache.readRows(ids[i], tokenRange(begin, begin + rows), channelRange(0, channels), values))
                std::abort();
        }
        if (plane.channels() <= kMostValues && plane.tokens > 0) {
            std::vector<std::byte> row(static_cast<std::size_t>(plane.channels() * sizeOf(plane.dtype)));
            if (!cache.readNative(ids[i], tokenRange(0, 1), row))
                std::abort();
        }
    }
}

/// Errors must say something; what opened must be readable.
inline void check(const Result<OpenedDump>& opened) {
    if (!opened) {
        if (opened.error().what.empty())
            std::abort();
        return;
    }
    // The chunks of a container may be damaged one by one; fuzz_container reads those.
    if (!opened->cache.info().format.starts_with(".kvz"))
        readSome(opened->cache);
}

} // namespace kvscope::fuzz
