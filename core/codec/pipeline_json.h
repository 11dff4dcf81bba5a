// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/codec/pipeline.h"

#include <nlohmann/json.hpp>

#include <string>

namespace kvscope {

/// A pipeline as JSON; every field is written except `clip_sigmas` where nothing is clipped:
///
///     {"transform": "none", "clip_sigmas": 3, "quantiser": {"type": "step", "step": 0.45}, "predictor": "best",
///      "coder": "kvz", "effort": 3}
///
/// Quantisers: lossless; max-abs-bins (bins); uniform (bits, axis, group, symmetric); block-norm (bits, block,
/// top_fraction); float8 (format); kivi (bits, group, residual); anchor-delta (group, anchor_bits, step); step (step).
nlohmann::ordered_json toJson(const Pipeline& pipeline);

/// Reads and validates a pipeline. Fields that are left out have their defaults, but for "quantiser" and its "type".
/// `path` is where it stands, for errors ("rules[2].pipeline"); `source` names the text.
Result<Pipeline> pipelineFromJson(const nlohmann::json& json, const std::string& path, const std::string& source);

} // namespace kvscope
