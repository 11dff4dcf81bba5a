// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/io/open_dump.h"
#include "core/kv/kv_cache.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace kvscope {

/// A dump under one reading of its shape.
struct LayoutReading {
    /// As in OpenOptions::axes.
    std::string axes;
    /// Relative weight before the values are looked at.
    double prior = 1.0;
    KvCache cache;
};

/// Scores readings of the same dump on a sample of the values; the results are in the order of the readings and their
/// confidences add up to 1. What speaks for a reading: channels keep their mean from token to token, neighbouring
/// tokens resemble each other, and K (not V) turns with the position as RoPE makes it. A reading whose values cannot be
/// read gets 0.
std::vector<LayoutCandidate> checkLayouts(std::span<const LayoutReading> readings, const JobControl& job = {});

/// How K seems to be rotated.
struct RopeFinding {
    std::int64_t headDim = 0;
    double theta = 0;
    Rope::Pairing pairing = Rope::Pairing::HalfSplit;
    /// Bits a value by which undoing the rotation makes channels more constant.
    double gain = 0;
    /// The gain of the best rotation with another head dimension.
    double runnerUp = 0;
};

/// Tries head dimensions that divide the width of K, usual thetas and both pairings on a sample of K; nothing when no
/// rotation explains it.
std::optional<RopeFinding> findRope(const KvCache& cache, std::span<const std::int64_t> headDims,
                                    const JobControl& job = {});

} // namespace kvscope
