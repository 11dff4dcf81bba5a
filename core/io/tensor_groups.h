// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/io/model_config.h"
#include "core/io/tensor_names.h"
#include "core/io/tensor_table.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kvscope {

/// Layer of a tensor that holds all layers (or whose layer nothing names).
inline constexpr std::int64_t kAllLayers = -1;

/// Which tensor of a dump is what. Layers are numbered from 0 without holes; `layerNumbers` has those of the names.
struct TensorGroups {
    using Key = std::pair<std::int64_t, TensorRole>;

    /// Key, Value, KeyValue, Latent, LatentRope, Query and KeyBeforeRope tensors by layer (or kAllLayers) and role.
    std::map<Key, StoredTensor> values;
    std::map<Key, StoredTensor> scales;
    std::map<Key, StoredTensor> zeroPoints;
    std::map<Key, StoredTensor> positions;
    std::vector<StoredTensor> tokens;
    std::vector<std::int64_t> layerNumbers;
    std::vector<CacheNote> notes;

    /// Whether the tensors of the role each hold one layer (false: one tensor holds all).
    [[nodiscard]] bool perLayer(TensorRole role) const;
    [[nodiscard]] bool has(TensorRole role) const;
    /// All tensors of a role, by layer.
    [[nodiscard]] std::vector<std::pair<std::int64_t, const StoredTensor*>> of(TensorRole role) const;
    [[nodiscard]] const StoredTensor* find(const std::map<Key, StoredTensor>& map, std::int64_t layer,
                                           TensorRole role) const;
};

/// Sorts a table's tensors by their names; where names say nothing (tuples, lists, positional arrays), by how many
/// there are and by their shapes. Tensors that are no part of a cache are left out, with a note.
Result<TensorGroups> groupTensors(const TensorTable& table, const OpenOptions& options, const ModelConfig* config);

} // namespace kvscope
