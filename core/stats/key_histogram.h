// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/thread_pool.h"
#include "core/kv/kv_cache.h"
#include "core/stats/histogram.h"
#include "core/stats/moments.h"

#include <cstdint>
#include <span>
#include <vector>

namespace kvscope {

/// How 16-bit keys stand for values. A key is sign and magnitude: within a sign, keys sort as their values do, and the
/// exponent bits all set mean NaN or infinity.
enum class KeyEncoding : std::uint8_t {
    F16,   ///< the bits of a binary16 value: exact
    BF16,  ///< the bits of a bfloat16 value: exact
    F32Top ///< the upper 16 bits of a binary32 value: a bucket of 65,536 neighbouring values
};

/// A counter for each of the 65,536 keys. For 16-bit types this is the exact distribution, from which moments,
/// percentiles and every binning follow; for float32 it is the first of two passes (see rank_refinement.h).
class KeyHistogram {
public:
    static constexpr std::size_t kKeys = 65536;

    explicit KeyHistogram(KeyEncoding encoding);

    [[nodiscard]] KeyEncoding encoding() const { return encoding_; }
    /// Whether a key is one value.
    [[nodiscard]] bool isExact() const { return encoding_ != KeyEncoding::F32Top; }
    /// Counts by key.
    [[nodiscard]] std::span<const std::int64_t> counts() const { return counts_; }
    std::span<std::int64_t> counts() { return counts_; }
    /// Adds the counts of another histogram of the same encoding.
    void merge(const KeyHistogram& other);

    /// The first key above zero's whose value is not finite: keys & 0x7FFF from here on are NaN and infinity.
    [[nodiscard]] std::uint16_t nonFiniteFrom() const;
    /// The value of a key; for F32Top the one of its bucket that is nearest to zero.
    [[nodiscard]] float valueOf(std::uint16_t key) const;
    /// Finite values.
    [[nodiscard]] std::int64_t total() const;

    /// For exact encodings: the moments of the values.
    [[nodiscard]] Moments moments() const;
    /// For exact encodings: the values in equal bins.
    [[nodiscard]] Histogram binned(const BinRange& range) const;
    /// For exact encodings: how many values have |x - centre| > distance.
    [[nodiscard]] std::int64_t beyond(double centre, double distance) const;
    /// For exact encodings: sum of |x - centre|.
    [[nodiscard]] double sumAbsDeviation(double centre) const;

private:
    KeyEncoding encoding_;
    std::vector<std::int64_t> counts_;
};

/// Counts keys into a KeyHistogram at memory speed. 32-bit counters in two banks, so that runs of equal values wait
/// less for each other while the counters still fit a core's cache; drain() moves them out.
class KeyCounter {
public:
    KeyCounter();

    /// Counts 16-bit keys.
    void add(std::span<const std::uint16_t> keys, KeyHistogram& into);
    /// Counts values by their upper 16 bits (encodings BF16 and F32Top).
    void addTopBits(std::span<const float> values, KeyHistogram& into);
    /// Moves all counts into the histogram.
    void drain(KeyHistogram& into);

private:
    std::vector<std::uint32_t> banks_;
    std::int64_t pending_ = 0;
};

/// The exact distribution of a 16-bit plane, read natively and counted on all workers of the pool. Fails for planes
/// that are not stored as plain f16 or bf16.
Result<KeyHistogram> computeKeyHistogram(const KvCache& cache, PlaneId plane, TokenRange tokens, ThreadPool& pool,
                                         const JobControl& job = {});

} // namespace kvscope
