// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"

#include <cstdint>
#include <span>
#include <string_view>

namespace kvscope {

/// The cache of a published model, as far as its size goes. Values are counted for each token and layer.
struct ModelGeometry {
    std::string_view id;
    std::string_view name;
    std::int64_t layers = 0;
    /// 0 for models with one latent plane a layer (MLA).
    std::int64_t kvHeads = 0;
    std::int64_t headDim = 0;
    /// Width of the latent plane with its shared rotary key; 0 for models with K and V.
    std::int64_t latentDim = 0;
    /// Tokens that a layer with a sliding window holds; 0 where all layers hold everything.
    std::int64_t window = 0;
    /// Of so many layers in a row the last holds everything, the others a window (1: every layer has a window,
    /// 0: none has).
    std::int64_t globalEvery = 0;
    /// Share of attention in the prefill of 16,384 tokens (multiplications of attention against all).
    double attentionShare = 0.21;

    /// Whether a layer keeps only its window.
    [[nodiscard]] bool windowed(std::int64_t layer) const {
        return window > 0 && (globalEvery <= 1 || (layer + 1) % globalEvery != 0);
    }
    /// Values that a layer keeps for a token: K and V, or the latent.
    [[nodiscard]] std::int64_t valuesPerToken() const { return latentDim > 0 ? latentDim : 2 * kvHeads * headDim; }
    /// Bytes a token in 16 bit over all layers, windows left aside.
    [[nodiscard]] std::int64_t bytesPerToken() const { return 2 * layers * valuesPerToken(); }
    /// Tokens of [begin, end) that a layer still holds when the context has `context` tokens.
    [[nodiscard]] std::int64_t heldTokens(std::int64_t layer, std::int64_t begin, std::int64_t end,
                                          std::int64_t context) const;
};

/// Llama-3.1-8B (the default) first.
std::span<const ModelGeometry> modelGeometries();

/// The model of that id, or null.
const ModelGeometry* findModelGeometry(std::string_view id);

} // namespace kvscope
