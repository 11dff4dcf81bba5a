// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/model_geometry.h"

#include <algorithm>
#include <array>

namespace kvscope {

namespace {

// Geometries as in the models' published configurations. Attention's share of the prefill of 16,384 tokens is
// 4 * heads * headDim * layers * 8,192 multiply-adds a token beside twice the number of (active) parameters.
constexpr std::array kModels{
    ModelGeometry{"llama-3.1-8b", "Llama-3.1-8B", 32, 8, 128, 0, 0, 0, 0.21},
    ModelGeometry{"llama-2-7b", "Llama-2-7B", 32, 32, 128, 0, 0, 0, 0.24},
    ModelGeometry{"mistral-7b", "Mistral-7B v0.1", 32, 8, 128, 0, 4096, 1, 0.13},
    ModelGeometry{"mistral-7b-v0.3", "Mistral-7B v0.3", 32, 8, 128, 0, 0, 0, 0.23},
    ModelGeometry{"llama-2-13b", "Llama-2-13B", 40, 40, 128, 0, 0, 0, 0.20},
    ModelGeometry{"llama-3.1-70b", "Llama-3.1-70B", 80, 8, 128, 0, 0, 0, 0.13},
    ModelGeometry{"qwen2.5-7b", "Qwen2.5-7B", 28, 4, 128, 0, 0, 0, 0.18},
    ModelGeometry{"qwen3-8b", "Qwen3-8B", 36, 8, 128, 0, 0, 0, 0.23},
    ModelGeometry{"qwen3-32b", "Qwen3-32B", 64, 8, 128, 0, 0, 0, 0.21},
    ModelGeometry{"gemma-2-9b", "Gemma-2-9B", 42, 8, 256, 0, 4096, 2, 0.17},
    ModelGeometry{"gemma-3-12b", "Gemma-3-12B", 48, 8, 256, 0, 1024, 6, 0.07},
    ModelGeometry{"gemma-3-27b", "Gemma-3-27B", 62, 16, 128, 0, 1024, 6, 0.04},
    ModelGeometry{"deepseek-v2-lite", "DeepSeek-V2-Lite (MLA)", 27, 0, 0, 576, 0, 0, 0.32},
    ModelGeometry{"deepseek-v3", "DeepSeek-V3 (MLA)", 61, 0, 0, 576, 0, 0, 0.36},
};

} // namespace

std::int64_t ModelGeometry::heldTokens(std::int64_t layer, std::int64_t begin, std::int64_t end,
                                       std::int64_t context) const {
    if (windowed(layer))
        begin = std::max(begin, context - window);
    return std::max<std::int64_t>(0, end - begin);
}

std::span<const ModelGeometry> modelGeometries() {
    return kModels;
}

const ModelGeometry* findModelGeometry(std::string_view id) {
    const auto found = std::ranges::find(kModels, id, &ModelGeometry::id);
    return found == kModels.end() ? nullptr : &*found;
}

} // namespace kvscope
