// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/kv_cache.h"

#include <vector>

namespace kvscope {

/// Which axis the caches continue along: each holds some of the layers, of the heads (tensor-parallel shards) or of the
/// tokens (chunks of one context).
enum class JoinAxis : std::uint8_t { Layers, Heads, Tokens };

/// One cache from several, in the given order. Along the other axes they must agree (kinds, head dimension, dtype, and
/// heads, tokens or layers); the error names the cache that does not. Positions continue from one chunk of tokens to
/// the next unless the chunks hold positions of their own. Name, path, model, tokens and RoPE come from `info`; where
/// it has no RoPE, those of the caches are kept.
Result<KvCache> joinCaches(JoinAxis axis, std::vector<KvCache> caches, CacheInfo info);

} // namespace kvscope
