// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/hash.h"

#include <xxhash.h>

#ifdef KVSCOPE_HASH_DISPATCH
#include <xxh_x86dispatch.h>
#endif

namespace kvscope {

std::uint64_t hashBytes(std::span<const std::byte> bytes, std::uint64_t seed) {
#ifdef KVSCOPE_HASH_DISPATCH
    // The library looks at the processor at its first call, and writes down what it saw unguarded.
    [[maybe_unused]] static const std::uint64_t kFirstCall = XXH3_64bits_withSeed_dispatch(nullptr, 0, 0);
    return XXH3_64bits_withSeed_dispatch(bytes.data(), bytes.size(), seed);
#else
    return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
#endif
}

} // namespace kvscope
