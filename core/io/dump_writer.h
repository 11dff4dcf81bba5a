// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/kv/kv_cache.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace kvscope {

/// What convertDump writes.
enum class DumpFileFormat : std::uint8_t {
    Npy,         ///< one array [(sequence,) layer, K/V, head, token, dim]; all planes must have one shape
    Npz,         ///< layer_<i>_<kind> [sequence, head, token, dim], stored (not deflated)
    Safetensors, ///< layers.<i>.<kind> [sequence, head, token, dim], tokens and RoPE in the metadata
    Raw          ///< the values of Npy without a header, and <file>.json beside them (core/io/RAW_SIDECAR.md)
};

/// The format that a file name's ending asks for; nothing for endings that are not written.
std::optional<DumpFileFormat> dumpFormatOf(const std::filesystem::path& path);

struct ConvertOptions {
    DumpFileFormat format = DumpFileFormat::Safetensors;
    /// f64, f32, f16 or bf16; the dump's own where absent (f32 for types that are not written).
    std::optional<DType> dtype;
    /// Applies or undoes RoPE on K; needs the RoPE to be known.
    std::optional<RopeDirection> rope;
};

/// What rounding to the written dtype did to the planes of one kind. x: values before, e: error.
struct ConversionLoss {
    PlaneKind kind = PlaneKind::Key;
    std::int64_t values = 0;
    double maxAbsError = 0;
    double meanAbsError = 0;
    /// |e| / |x|, both Euclidean norms.
    double relativeError = 0;
    /// Finite values that became infinite.
    std::int64_t overflowed = 0;
    /// Nonzero values that became zero.
    std::int64_t underflowed = 0;
};

struct ConvertReport {
    DType dtype = DType::F32;
    std::int64_t bytes = 0;
    /// One entry a kind written.
    std::vector<ConversionLoss> losses;
};

/// Writes a cache to a file of another format, block by block. The file appears whole under its name or not at all; an
/// existing one is replaced only at the end. Cache planes (K, V, latent) always; recordings (queries, K before RoPE)
/// where the format has room for them. Fails when the format cannot hold the cache (ragged planes in .npy), RoPE is
/// asked for but unknown, or the disk refuses.
Result<ConvertReport> convertDump(const KvCache& cache, const std::filesystem::path& out, const ConvertOptions& options,
                                  const JobControl& job = {});

} // namespace kvscope
