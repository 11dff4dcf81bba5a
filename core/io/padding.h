// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/kv/kv_cache.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace kvscope {

/// A layer of a static cache that is not full.
struct HeldTokens {
    /// Tokens before the zero padding.
    std::int64_t tokens = 0;
    /// Tokens and padding together.
    std::int64_t slots = 0;
};

/// For each layer whose K, V and latent planes all end in zero rows (in every sequence): where the zeros start. Layers
/// without padding, and layers that are zero altogether while others are not, have none. Reads a few rows a layer: the
/// end first, then it halves the range.
Result<std::vector<std::optional<HeldTokens>>> findHeldTokens(const KvCache& cache, const JobControl& job = {});

} // namespace kvscope
