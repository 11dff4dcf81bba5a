// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/base/result.h"
#include "core/kv/rope.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kvscope {

/// How a model rotates its keys, before it is known how many layers and dimensions a dump holds.
struct RopeSettings {
    enum class Scaling : std::uint8_t { None, Linear, Llama3, Yarn, LongRope };

    double theta = 10000.0;
    Rope::Pairing pairing = Rope::Pairing::HalfSplit;
    /// Share of each head that turns, or the number of its dimensions where that is given.
    double partialFactor = 1.0;
    std::optional<std::int64_t> rotaryDim;
    Scaling scaling = Scaling::None;
    double factor = 1.0;
    double originalPositions = 0;
    double lowFrequencyFactor = 1.0;
    double highFrequencyFactor = 4.0;
    double betaFast = 32.0;
    double betaSlow = 1.0;
    bool truncate = true;
    double attentionScale = 1.0;
    /// LongRope: a divisor for each frequency.
    std::vector<double> divisors;
    /// Theta of the layers with a sliding window where it differs (Gemma 3); scaling does not apply to them then.
    std::optional<double> localTheta;

    /// The rotation of one head of `headDim` dimensions; `local` selects a sliding-window layer.
    [[nodiscard]] Rope rope(std::int64_t headDim, bool local) const;
};

/// What a model's configuration (a Hugging Face config.json, or a dump's own description) says about its cache.
struct ModelConfig {
    /// The file, for messages.
    std::string source;
    std::string model;
    std::optional<std::int64_t> layers;
    std::optional<std::int64_t> queryHeads;
    std::optional<std::int64_t> kvHeads;
    std::optional<std::int64_t> headDim;
    /// MLA: width of the latent, and of the rotary key beside it.
    std::optional<std::int64_t> latentDim;
    std::optional<std::int64_t> latentRopeDim;
    std::optional<std::int64_t> slidingWindow;
    /// Empty when the configuration does not tell (or there is nothing to tell: see rotatesNothing).
    std::optional<RopeSettings> rope;
    /// The model is known to rotate nothing (ALiBi or learned positions).
    bool rotatesNothing = false;
    /// Per layer, where given: whether it attends to a sliding window; whether it rotates at all.
    std::vector<bool> slidingLayers;
    std::vector<bool> rotatedLayers;
    /// Layers whose rotation is described on its own; empty optional: none.
    std::map<std::int64_t, std::optional<RopeSettings>> layerRopes;
    bool synthetic = false;
    /// Things that the reader of the configuration wants the user to know.
    std::vector<std::string> notes;

    /// RoPE of `count` layers of `headDim` dimensions; empty when nothing is known.
    [[nodiscard]] std::vector<std::optional<Rope>> ropes(std::int64_t count, std::int64_t headDim) const;
};

/// Reads a configuration: Hugging Face's names, llama2.c's, and those of dump descriptions ("kv_heads", "rope":
/// "interleaved pairs"). Unknown fields are skipped; a known field with an impossible value is an error naming it.
Result<ModelConfig> readModelConfig(const ByteSource& file);

} // namespace kvscope
