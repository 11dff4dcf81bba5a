// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/io/open_dump.h"
#include "core/io/rope_guess.h"
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

/// Looks in a sample of K for heads of one of the dimensions, turned by RoPE; nothing when no rotation is clear.
std::optional<HeadGuess> findRope(const KvCache& cache, std::vector<std::int64_t> headDims, const JobControl& job = {});

} // namespace kvscope
