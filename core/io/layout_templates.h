// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/io/model_config.h"
#include "core/io/open_dump.h"
#include "core/io/tensor_groups.h"

#include <cstdint>
#include <string>
#include <vector>

namespace kvscope {

/// One way to read the tensors of a dump: the axes of the main role (and of V where V's differ), and how usual that is.
struct LayoutChoice {
    /// Axes of Key, KeyValue or Latent tensors.
    std::string main;
    /// Axes of Value tensors; the same as `main` unless V is stored transposed.
    std::string value;
    /// Relative weight before any value has been looked at.
    double prior = 1.0;

    /// "LXHTD", or "SHTD/SHDT" where V differs: as in OpenOptions::axes.
    [[nodiscard]] std::string text() const { return value == main ? main : main + "/" + value; }
};

/// What is known about the numbers that the axes should show.
struct GeometryHints {
    const OpenOptions* options = nullptr;
    const ModelConfig* config = nullptr;
    /// Number of tokens of the text where tokens are known.
    std::int64_t tokens = 0;
    /// The dump is an object or has the names of transformers, whose layers are [B,H,T,D].
    bool fromTransformers = false;

    /// KV heads as the user or the configuration says; nothing when neither does.
    [[nodiscard]] std::optional<std::int64_t> heads() const;
    [[nodiscard]] std::optional<std::int64_t> headDim() const;
    /// How `channels` merged channels split into heads: the user's word, the configuration's where it fits, else 0.
    [[nodiscard]] std::int64_t headsOf(std::int64_t channels) const;
};

/// The role whose tensors decide the layout: KeyValue, Key, Value, Latent, or a recording when the dump holds no cache.
TensorRole mainRole(const TensorGroups& groups);

/// All readings that the shapes allow, most usual first. With options.axes only that one; it is an error when it does
/// not fit, or when the shapes allow none.
Result<std::vector<LayoutChoice>> findLayouts(const TensorGroups& groups, const GeometryHints& hints,
                                              const std::string& where);

/// Axes of a companion (Query or KeyBeforeRope) tensor under the layout chosen for the cache: the same order, without
/// K/V and with heads merged or apart as its rank says; empty when its shape does not go with the cache.
std::string companionAxes(const StoredTensor& tensor, bool perLayer, std::int64_t layers, std::int64_t tokens);

} // namespace kvscope
