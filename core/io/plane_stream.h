// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/io/dump_writer.h"
#include "core/kv/kv_cache.h"

#include <array>
#include <cstddef>
#include <span>
#include <vector>

namespace kvscope {

/// Delivers planes one after the other as bytes [head][token][dim] in one dtype, with RoPE changed on the way, and
/// counts what rounding does.
class PlaneStream {
public:
    /// `planes` are delivered in this order. The cache must outlive the stream.
    PlaneStream(const KvCache& cache, std::vector<PlaneId> planes, DType dtype, std::optional<RopeDirection> rope);

    /// The next block of bytes, valid until the next call; empty when all has been delivered.
    Result<std::span<const std::byte>> next();
    /// Bytes of all planes together.
    [[nodiscard]] std::int64_t totalBytes() const;
    /// What rounding did so far in all of these streams, by kind.
    static std::vector<ConversionLoss> losses(std::span<const PlaneStream* const> streams);

private:
    struct Sums {
        std::int64_t values = 0;
        std::int64_t overflowed = 0;
        std::int64_t underflowed = 0;
        double maxAbsError = 0;
        double absError = 0;
        double squaredError = 0;
        double squares = 0;
    };

    void rotateBlock(PlaneId plane, const PlaneGeometry& shape, TokenRange tokens);
    void count(PlaneKind kind);

    const KvCache& cache_;
    std::vector<PlaneId> planes_;
    DType dtype_;
    std::optional<RopeDirection> rope_;
    std::size_t plane_ = 0;
    std::int64_t head_ = 0;
    std::int64_t token_ = 0;
    std::vector<float> values_;
    std::vector<float> rounded_;
    std::vector<std::byte> bytes_;
    std::array<Sums, kAllPlaneKinds.size()> sums_{};
};

} // namespace kvscope
