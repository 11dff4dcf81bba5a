// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/thread_pool.h"
#include "core/io/dump_writer.h"

#include <cstdint>
#include <filesystem>

namespace kvscope {

/// What writeSyntheticDump makes. The values follow what is measured on the caches of trained models:
/// - every channel is an offset plus a first-order autoregression along the tokens; offsets are normal, spreads
///   log-normal (sigma 0.4 of the logarithm for K, 0.3 for V) over the channels of a layer;
/// - K before RoPE: lag-1 correlations uniform in 0.80..0.98, offsets 1.5 times the layer's spread, and two outlier
///   channels a head whose offset is `outlierStrength` times the layer's spread;
/// - V: lag-1 correlations uniform in 0.05..0.45, offsets 0.1 times the layer's spread, and an attention sink: token 0
///   has a twentieth of its size;
/// - the layer's spread doubles from the first layer to the last for K and grows eightfold for V;
/// - K is rotated by RoPE (half-split pairs, all dimensions).
struct SynthOptions {
    std::int64_t layers = 32;
    std::int64_t heads = 8;
    std::int64_t headDim = 128;
    std::int64_t tokens = 4096;
    /// f16, bf16 or f32.
    DType dtype = DType::F16;
    std::uint64_t seed = 1;
    double ropeTheta = 500000.0;
    double outlierStrength = 12.0;
    /// Safetensors (heads before tokens) or Raw (tokens before heads, with a sidecar): the formats that can say of
    /// themselves that they are synthetic.
    DumpFileFormat format = DumpFileFormat::Safetensors;
};

/// Outlier channels of every head of K before RoPE.
inline constexpr std::int64_t kSynthOutliersPerHead = 2;

/// Bytes of the values of such a dump; an error when the options make no sense.
Result<std::int64_t> syntheticBytes(const SynthOptions& options);

/// Writes a dump of made-up values, plane by plane on the pool, never holding more than a few blocks. The same options
/// give the same bytes on any number of threads. The file says that it is synthetic and from which seed, and appears
/// under its name only when it is complete.
Result<void> writeSyntheticDump(const std::filesystem::path& out, const SynthOptions& options, ThreadPool& pool,
                                const JobControl& job = {});

} // namespace kvscope
