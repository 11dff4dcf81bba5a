// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/kv/geometry.h"
#include "core/stream/model_geometry.h"
#include "core/stream/stream_input.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kvscope {

/// What was measured for one plane kind of one layer at one level.
struct MeasuredRate {
    /// All side information included.
    double bitsPerValue = 0;
    /// Error as a share of the signal's energy (NMSE).
    double error = 0;
};

/// Rates of one layer by PlaneKind (Key, Value, Latent); those that the dump lacks are empty.
using MeasuredLayer = std::array<std::optional<MeasuredRate>, kAllPlaneKinds.size()>;

/// One level (or the 8-bit baseline) as measured on a dump, layer by layer.
struct MeasuredLevel {
    ChunkForm form = ChunkForm::Level;
    /// 0 the finest.
    int level = 0;
    std::string name;
    std::vector<MeasuredLayer> layers;
};

/// All that projecting needs to know of a dump.
struct MeasuredRates {
    std::string source;
    std::vector<MeasuredLevel> levels;
};

struct ProjectionTarget {
    ModelGeometry model;
    std::int64_t contextTokens = 16384;
    std::int64_t chunkTokens = 1024;
};

/// Applies measured rates to another geometry and context: the target's layers take the rates of the dump's layers at
/// the same relative depth (linear in between). K and V of a target take the latent's rate where the dump has only
/// latents, a latent takes the mean of K's and V's where it has none. Candidates are text, raw (16 bit) and the
/// measured levels; the result is marked as projected.
Result<StreamInput> project(const MeasuredRates& rates, const ProjectionTarget& target);

} // namespace kvscope
