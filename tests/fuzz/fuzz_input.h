// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/kv/kv_cache.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace kvscope::fuzz {

inline ByteSourcePtr sourceOf(const std::uint8_t* data, std::size_t size) {
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    return memorySource(std::vector<std::byte>(bytes, bytes + size), "fuzz");
}

/// Reads the corners of every plane of a cache that was opened, as far as that is little.
inline void readSome(const KvCache& cache) {
    int planes = 0;
    for (const PlaneId id : cache.geometry().allPlanes()) {
        if (++planes > 16)
            return;
        const auto& plane = *cache.geometry().find(id);
        const auto channels = std::min<std::int64_t>(plane.channels(), 64);
        const auto tokens = std::min<std::int64_t>(plane.tokens, 16);
        std::vector<float> values(static_cast<std::size_t>(tokens * channels));
        const auto first = cache.readRows(id, tokenRange(0, tokens), channelRange(0, channels), values);
        const auto last = cache.readRows(id, tokenRange(plane.tokens - tokens, plane.tokens),
                                         channelRange(plane.channels() - channels, plane.channels()), values);
        if (!first || !last)
            return;
    }
}

} // namespace kvscope::fuzz
