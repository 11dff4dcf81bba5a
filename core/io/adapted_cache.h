// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/kv_cache.h"

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

namespace kvscope {

/// Factors or offsets of the values of one plane: entry base + t * tokenStride + h * headStride + d * dimStride belongs
/// to (token, head, dimension); a stride of 0 shares one entry along that axis.
struct ValueGrid {
    std::shared_ptr<const std::vector<float>> entries;
    std::int64_t base = 0;
    std::int64_t tokenStride = 0;
    std::int64_t headStride = 0;
    std::int64_t dimStride = 0;
};

/// How stored values become the values of a plane: (stored - zero) * scale. Either grid may have no entries.
struct PlaneScaling {
    ValueGrid zero;
    ValueGrid scale;
};

/// A cache whose planes are those of `inner`, scaled where a plane has a scaling, and with its channels shared out
/// among heads as `geometry` says (channel and token counts must equal inner's). Fails when a grid does not cover its
/// plane.
Result<KvCache> makeAdaptedCache(const KvCache& inner, KvGeometry geometry,
                                 std::unordered_map<PlaneId, PlaneScaling> scalings);

} // namespace kvscope
