// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/base/thread_pool.h"
#include "core/kv/kv_cache.h"
#include "core/stats/moments.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace kvscope {

/// How far a tensor y is from its original x, e = y - x. Over the pairs of which both sides are finite.
struct TensorError {
    std::int64_t count = 0;
    /// Pairs with a NaN or infinity that the other side does not have in the same place.
    std::int64_t mismatches = 0;
    double meanAbs = 0;
    double meanSquared = 0;
    double max = 0;
    /// |e| / |x|; nothing when x is all zero.
    std::optional<double> relativeL2;
    /// sum e^2 / sum x^2; nothing when x is all zero.
    std::optional<double> nmse;
    /// NMSEc = sum e^2 / sum (x - channel mean)^2, K's headline: an offset that is constant over tokens cancels in
    /// softmax. Nothing when no channel varies.
    std::optional<double> nmseCentred;
    /// x.y / (|x| |y|); nothing when either is all zero.
    std::optional<double> cosine;
    /// 10 log10(sum x^2 / sum e^2); nothing when there is no error or no signal.
    std::optional<double> snrDb;
    /// 20 log10((max x - min x) / rms e); nothing when there is no error or x is constant.
    std::optional<double> psnrDb;

    bool operator==(const TensorError&) const = default;
    [[nodiscard]] bool isExact() const { return max == 0 && mismatches == 0; }
};

/// The sums from which TensorError follows; those of different planes add up.
struct TensorErrorSums {
    std::int64_t count = 0;
    std::int64_t mismatches = 0;
    double sumAbs = 0;
    double sumSquared = 0;
    double max = 0;
    double dot = 0;
    double originalEnergy = 0;
    double changedEnergy = 0;
    /// Of the original about its channels' means, per plane.
    double centredEnergy = 0;
    double originalMin = 0;
    double originalMax = 0;

    void merge(const TensorErrorSums& other);
    [[nodiscard]] TensorError result() const;
};

/// Adds up the error of one plane over rows [tokens][channels]. Parts over different tokens merge.
class TensorErrorAccumulator {
public:
    explicit TensorErrorAccumulator(std::int64_t channels);

    /// Adds whole rows; both spans have the same size, a multiple of the channel count.
    void add(std::span<const float> original, std::span<const float> changed);
    void merge(const TensorErrorAccumulator& other);
    [[nodiscard]] TensorErrorSums sums() const;
    [[nodiscard]] TensorError result() const { return sums().result(); }

private:
    TensorErrorSums sums_;
    ChannelMoments original_;
};

/// Error of one plane, and of all planes of a kind.
struct PlaneError {
    PlaneId plane;
    TensorError error;
};
struct KindError {
    PlaneKind kind = PlaneKind::Key;
    TensorError error;
};
struct CacheError {
    std::vector<PlaneError> planes;
    std::vector<KindError> kinds;
};

/// Compares every plane that both caches have with equal heads and head dimension, over the tokens that both hold.
/// Fails when there is none. Progress is in bytes of the original.
Result<CacheError> compareCaches(const KvCache& original, const KvCache& changed, ThreadPool& pool,
                                 const JobControl& job = {});

} // namespace kvscope
