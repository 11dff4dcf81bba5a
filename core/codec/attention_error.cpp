// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/attention_error.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <new>
#include <optional>
#include <span>

namespace kvscope {

namespace {

/// Multiplications that one layer may take.
constexpr std::int64_t kWork = std::int64_t{1} << 31;
constexpr std::int64_t kFewestRows = 8;

/// One layer of one sequence, with all that its attention needs.
struct Subject {
    LayerIndex layer;
    SequenceIndex sequence;
    const PlaneGeometry* query = nullptr;
    const PlaneGeometry* key = nullptr;
    const PlaneGeometry* value = nullptr;
};

std::optional<Subject> subjectOf(const KvGeometry& geometry, LayerIndex layer, SequenceIndex sequence) {
    const Subject subject{layer, sequence, geometry.find({layer, PlaneKind::Query, sequence}),
                          geometry.find({layer, PlaneKind::Key, sequence}),
                          geometry.find({layer, PlaneKind::Value, sequence})};
    if (subject.query == nullptr || subject.key == nullptr || subject.value == nullptr)
        return std::nullopt;
    const bool fits = subject.query->headDim == subject.key->headDim &&
                      subject.query->heads % subject.key->heads == 0 && subject.key->heads == subject.value->heads &&
                      subject.key->tokens == subject.value->tokens && subject.query->tokens > 0 &&
                      subject.key->tokens > 0;
    return fits ? std::optional(subject) : std::nullopt;
}

float dot(const float* a, const float* b, std::int64_t count) {
    constexpr std::int64_t kLanes = 8;
    float lanes[kLanes] = {};
    std::int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
        for (std::int64_t lane = 0; lane < kLanes; ++lane)
            lanes[lane] += a[i + lane] * b[i + lane];
    }
    float sum = 0;
    for (const float lane : lanes)
        sum += lane;
    for (; i < count; ++i)
        sum += a[i] * b[i];
    return sum;
}

/// Attention of one query to one KV head.
class Attention {
public:
    Attention(const Subject& subject, std::int64_t head, std::int64_t position)
        : subject_(subject)
        , head_(head)
        , position_(position)
        , weights_(static_cast<std::size_t>(subject.key->tokens)) {}

    /// Softmax weights of a query row over keys [tokens][channels]; zero for keys after the query.
    void weigh(const float* query, std::span<const float> keys) {
        const PlaneGeometry& plane = *subject_.key;
        const double scale = 1.0 / std::sqrt(static_cast<double>(plane.headDim));
        double top = -std::numeric_limits<double>::infinity();
        for (std::int64_t t = 0; t < plane.tokens; ++t) {
            double& weight = weights_[static_cast<std::size_t>(t)];
            weight = -std::numeric_limits<double>::infinity();
            if (plane.position(TokenIndex(t)) > position_)
                continue;
            weight = scale * dot(query, keys.data() + t * plane.channels() + head_ * plane.headDim, plane.headDim);
            top = std::max(top, weight);
        }
        double sum = 0;
        for (double& weight : weights_) {
            weight = std::isfinite(top) ? std::exp(weight - top) : 0.0;
            sum += weight;
        }
        for (double& weight : weights_)
            weight = sum > 0 ? weight / sum : 0.0;
    }

    /// Weighted sum of the values' rows.
    [[nodiscard]] std::vector<double> mix(std::span<const float> values) const {
        const PlaneGeometry& plane = *subject_.value;
        std::vector<double> out(static_cast<std::size_t>(plane.headDim));
        for (std::int64_t t = 0; t < plane.tokens; ++t) {
            const double weight = weights_[static_cast<std::size_t>(t)];
            if (weight == 0)
                continue;
            const float* row = values.data() + t * plane.channels() + head_ * plane.headDim;
            for (std::size_t d = 0; d < out.size(); ++d)
                out[d] += weight * static_cast<double>(row[d]);
        }
        return out;
    }

private:
    const Subject& subject_;
    std::int64_t head_;
    std::int64_t position_;
    std::vector<double> weights_;
};

/// Sums over query rows: energy of the exact output and of its three errors.
struct Energies {
    double exact = 0;
    double both = 0;
    double keys = 0;
    double values = 0;

    void add(const Energies& other) {
        exact += other.exact;
        both += other.both;
        keys += other.keys;
        values += other.values;
    }
};

double distance(std::span<const double> a, std::span<const double> b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return std::isfinite(sum) ? sum : 0.0;
}

struct LayerRows {
    std::vector<float> keys;
    std::vector<float> values;

    static Result<LayerRows> read(const KvCache& cache, const Subject& subject) {
        LayerRows rows;
        rows.keys.resize(static_cast<std::size_t>(subject.key->values()));
        rows.values.resize(static_cast<std::size_t>(subject.value->values()));
        KVSCOPE_TRY(cache.readRows({subject.layer, PlaneKind::Key, subject.sequence},
                                   tokenRange(0, subject.key->tokens), rows.keys));
        KVSCOPE_TRY(cache.readRows({subject.layer, PlaneKind::Value, subject.sequence},
                                   tokenRange(0, subject.value->tokens), rows.values));
        return rows;
    }
};

Energies energiesOf(const Subject& subject, std::int64_t queryHead, std::int64_t slot, const float* query,
                    const LayerRows& exact, const LayerRows& coded) {
    const std::int64_t head = queryHead / (subject.query->heads / subject.key->heads);
    Attention attention(subject, head, subject.query->position(TokenIndex(slot)));
    const float* row = query + queryHead * subject.query->headDim;
    attention.weigh(row, exact.keys);
    const auto truth = attention.mix(exact.values);
    const auto codedValues = attention.mix(coded.values);
    attention.weigh(row, coded.keys);
    const auto codedKeys = attention.mix(exact.values);
    const auto codedBoth = attention.mix(coded.values);
    const std::vector<double> zero(truth.size());
    return {distance(truth, zero), distance(truth, codedBoth), distance(truth, codedKeys),
            distance(truth, codedValues)};
}

Result<AttentionError> measure(const KvCache& original, const KvCache& decoded, const Subject& subject,
                               std::int64_t rows, ThreadPool& pool, const JobControl& job) {
    KVSCOPE_ASSIGN(const LayerRows exact, LayerRows::read(original, subject));
    KVSCOPE_ASSIGN(const LayerRows coded, LayerRows::read(decoded, subject));
    const std::int64_t cost = std::max<std::int64_t>(1, 4 * subject.query->channels() * subject.key->tokens);
    const std::int64_t most = std::max(kFewestRows, kWork / cost);
    const std::int64_t count = std::min({rows, most, subject.query->tokens});
    std::vector<Energies> parts(static_cast<std::size_t>(count));
    std::vector<std::vector<float>> queries(parts.size());
    std::vector<std::int64_t> slots(parts.size());
    for (std::int64_t i = 0; i < count; ++i) {
        // The last token of each of `count` equal stretches: those that see the most keys.
        const std::int64_t slot = (i + 1) * subject.query->tokens / count - 1;
        auto& query = queries[static_cast<std::size_t>(i)];
        query.resize(static_cast<std::size_t>(subject.query->channels()));
        KVSCOPE_TRY(
            original.readRows({subject.layer, PlaneKind::Query, subject.sequence}, tokenRange(slot, slot + 1), query));
        slots[static_cast<std::size_t>(i)] = slot;
    }
    std::atomic<bool> outOfMemory{false};
    pool.parallelFor(count, [&](std::int64_t i) {
        if (job.stopRequested() || outOfMemory)
            return;
        const auto row = static_cast<std::size_t>(i);
        try {
            for (std::int64_t head = 0; head < subject.query->heads; ++head)
                parts[row].add(energiesOf(subject, head, slots[row], queries[row].data(), exact, coded));
        } catch (const std::bad_alloc&) {
            outOfMemory = true;
        }
    });
    if (job.stopRequested())
        return cancelled();
    if (outOfMemory)
        return fail("needs more memory than there is to measure attention", original.info().name, "Close other dumps",
                    Error::Kind::System);
    Energies sum;
    for (const Energies& part : parts)
        sum.add(part);
    const auto relative = [&](double energy) { return sum.exact > 0 ? std::sqrt(energy / sum.exact) : 0.0; };
    return AttentionError{subject.layer,      subject.sequence,   count * subject.query->heads,
                          relative(sum.both), relative(sum.keys), relative(sum.values)};
}

} // namespace

Result<std::vector<AttentionError>> measureAttention(const KvCache& original, const KvCache& decoded,
                                                     const std::vector<LayerIndex>& layers, std::int64_t rows,
                                                     ThreadPool& pool, const JobControl& job) {
    std::vector<AttentionError> errors;
    for (std::int64_t sequence = 0; sequence < original.geometry().sequences; ++sequence) {
        for (const LayerIndex layer : layers) {
            const auto subject = subjectOf(original.geometry(), layer, SequenceIndex(sequence));
            if (!subject)
                continue;
            KVSCOPE_ASSIGN(const AttentionError error, measure(original, decoded, *subject, rows, pool, job));
            errors.push_back(error);
        }
    }
    return errors;
}

} // namespace kvscope
