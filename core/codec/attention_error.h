// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/base/thread_pool.h"
#include "core/codec/encode_report.h"
#include "core/kv/kv_cache.h"

#include <cstdint>
#include <vector>

namespace kvscope {

/// Relative L2 error of softmax(Q K^T / sqrt(d)) V between a cache and its decoded copy, over about `rows` evenly
/// spaced query slots of every query head (fewer for long caches). Query head h attends to KV head h / (query heads /
/// KV heads); a query sees the keys whose text position is not after its own. Q and K are taken as recorded, after
/// RoPE. Layers without queries, K or V, or whose heads do not match, are left out.
Result<std::vector<AttentionError>> measureAttention(const KvCache& original, const KvCache& decoded,
                                                     const std::vector<LayerIndex>& layers, std::int64_t rows,
                                                     ThreadPool& pool, const JobControl& job);

} // namespace kvscope
