// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/dtype.h"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvscope {

/// What the name of an LMCache chunk file says: [fmt@]model@world size@worker@hash[@dtype][@layer]. The hash names the
/// tokens of the chunk and of all chunks before it.
struct LmcacheKey {
    std::string model;
    std::int64_t worldSize = 1;
    std::int64_t worker = 0;
    std::string hash;
    std::optional<DType> dtype;
    /// Layerwise storage: one file a chunk and layer.
    std::optional<std::int64_t> layer;
};

/// Reads a file name (with or without its ending); nothing when it is not such a key.
std::optional<LmcacheKey> parseLmcacheKey(std::string_view fileName);

/// LMCache's ways of hashing a chunk into its key.
enum class LmcacheHash : std::uint8_t {
    Sha256Int64,  ///< SHA-256 over the hash before (as text) and the token ids as int64 (2024)
    Sha256Uint32, ///< the same with ids as uint32 (0.3)
    Builtin ///< Python's hash of (hash before, token ids, ()), hexadecimal with a sign ("builtin", later versions)
};
inline constexpr std::array kAllLmcacheHashes{LmcacheHash::Sha256Int64, LmcacheHash::Sha256Uint32,
                                              LmcacheHash::Builtin};

/// The hashes of all chunks of a context, in order, as its file names would have them.
std::vector<std::string> lmcacheChain(LmcacheHash hash, std::span<const std::int64_t> tokens, std::int64_t chunkTokens);

} // namespace kvscope
