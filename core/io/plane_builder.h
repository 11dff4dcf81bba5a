// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/io/adapted_cache.h"
#include "core/io/layout_templates.h"
#include "core/io/tensor_groups.h"
#include "core/kv/strided_cache.h"

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace kvscope {

/// The planes of a dump under one layout, before the cache is made.
struct BuiltPlanes {
    KvGeometry geometry;
    std::vector<StridedPlane> planes;
    std::unordered_map<PlaneId, PlaneScaling> scalings;
    /// Where the planes are stored in more heads than they have (a latent in two tensors); empty otherwise.
    std::optional<KvGeometry> storedGeometry;
    std::vector<CacheNote> notes;
    /// Channels are merged and nothing says how many heads they are; one head is assumed.
    bool headsUnknown = false;

    /// Drops what lies behind the first `tokens` tokens of a layer (padding).
    void keepTokens(LayerIndex layer, std::int64_t tokens);
    /// Makes the cache.
    [[nodiscard]] Result<KvCache> cache(CacheInfo info) const;
};

/// Cuts the tensors into planes. `heads`, if not 0, overrules how merged channels split into heads.
Result<BuiltPlanes> buildPlanes(const TensorGroups& groups, const LayoutChoice& choice, const GeometryHints& hints,
                                const std::string& where, std::int64_t heads = 0);

} // namespace kvscope
