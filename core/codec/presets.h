// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/codec/plan.h"
#include "core/kv/kv_cache.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kvscope {

/// What kind of method a preset is.
enum class PresetFamily : std::uint8_t {
    Kvz,       ///< KVScope's own
    CacheGen,  ///< Liu et al., SIGCOMM 2024
    Quantiser, ///< other published quantisers
    Lossless,
    Baseline, ///< general-purpose compressors and raw
};

/// "KVZ", "CacheGen", "quantisers", "lossless", "baselines".
std::string_view nameOf(PresetFamily family);

/// A named plan.
struct PresetInfo {
    /// As typed on the command line.
    std::string name;
    PresetFamily family = PresetFamily::Baseline;
    bool lossless = false;
    /// Offered in the codec panel; comparison coders are not.
    bool inPanel = true;
    /// One line for a tooltip.
    std::string explanation;
};

/// All presets, by family, from the most to the least bits.
const std::vector<PresetInfo>& presets();

/// What is known of a preset name: one of presets(), or of a family with a number or preset in it:
/// "quant<N>-gear-delta", "block-norm-<N>", "clip-quant<N>", "kivi-<N>", "mixed-<layers>-<preset>",
/// "hadamard-<preset>". The error lists what there is.
Result<PresetInfo> findPreset(std::string_view name);

/// The plan of a preset for caches of that geometry. K keeps its rotation.
Result<CodecPlan> makePreset(std::string_view name, const KvGeometry& geometry);

/// The plan of a preset for a cache: KVScope's own lossy presets undo RoPE in the layers where the rotation is known
/// and a sample of K says that it saves bits. Reads at most some hundred rows a layer.
Result<CodecPlan> makePreset(std::string_view name, const KvCache& cache, const JobControl& job = {});

} // namespace kvscope
