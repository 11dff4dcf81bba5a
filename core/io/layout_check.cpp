// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/layout_check.h"

#include "core/io/rope_guess.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <set>

namespace kvscope {

namespace {

constexpr std::int64_t kSampleTokens = 160;
constexpr std::int64_t kSampleChannels = 256;
/// How much one bit a value weighs against the priors (as a factor e^kBitWeight).
constexpr double kBitWeight = 20.0;
/// Readings whose logarithmic weight is this far behind the best one's cannot win by RoPE any more.
constexpr double kContention = 8.0;
/// Planes in which rotations are looked for.
constexpr std::size_t kRotationSamples = 3;

/// A few rows of one plane, [tokens][channels].
struct Sample {
    PlaneGeometry plane;
    TokenRange tokens;
    std::int64_t channels = 0;
    std::vector<float> values;

    [[nodiscard]] float at(std::int64_t token, std::int64_t channel) const {
        const float value = values[static_cast<std::size_t>(token * channels + channel)];
        return std::isfinite(value) ? value : 0.0F;
    }
};

/// Bits a value that a plane's own structure saves against coding it as noise of its variance.
struct Structure {
    /// By knowing each channel's mean from the other tokens.
    double channelBits = 0;
    /// By knowing the previous token besides.
    double tokenBits = 0;
    double correlation = 0;

    [[nodiscard]] double bits() const { return channelBits + tokenBits; }
};

std::optional<Sample> readSample(const KvCache& cache, PlaneId id, bool wholeHeads) {
    const PlaneGeometry* plane = cache.geometry().find(id);
    if (plane == nullptr || plane->tokens < 2)
        return std::nullopt;
    Sample sample;
    sample.plane = *plane;
    // The first tokens are attention sinks, whose values are unlike all others.
    const std::int64_t skip = plane->tokens > 2 * kSampleTokens ? 16 : 0;
    sample.tokens = tokenRange(skip, std::min(plane->tokens, skip + kSampleTokens));
    std::int64_t channels = std::min(plane->channels(), kSampleChannels);
    if (wholeHeads)
        channels = std::max<std::int64_t>(1, channels / plane->headDim) * plane->headDim;
    if (channels > 32 * kSampleChannels)
        return std::nullopt;
    sample.channels = channels;
    sample.values.resize(static_cast<std::size_t>(sample.tokens.size() * channels));
    if (!cache.readRows(id, sample.tokens, channelRange(0, channels), sample.values))
        return std::nullopt;
    return sample;
}

Structure structureOf(const Sample& sample) {
    const std::int64_t rows = sample.tokens.size();
    const auto n = static_cast<double>(rows);
    const auto count = n * static_cast<double>(sample.channels);
    const auto channels = static_cast<std::size_t>(sample.channels);
    std::vector<double> means(channels);
    double sum = 0;
    double squares = 0;
    for (std::int64_t t = 0; t < rows; ++t) {
        for (std::size_t c = 0; c < channels; ++c) {
            const double value = sample.at(t, static_cast<std::int64_t>(c));
            means[c] += value;
            squares += value * value;
        }
    }
    for (double& mean : means) {
        sum += mean;
        mean /= n;
    }
    std::vector<double> before(channels);
    double within = 0;
    double neighbours = 0;
    for (std::int64_t t = 0; t < rows; ++t) {
        for (std::size_t c = 0; c < channels; ++c) {
            const double deviation = sample.at(t, static_cast<std::int64_t>(c)) - means[c];
            within += deviation * deviation;
            neighbours += deviation * before[c];
            before[c] = deviation;
        }
    }
    const double total = squares - sum * sum / count;
    Structure structure;
    if (!(total > 0) || !(within > 0))
        return structure;
    // Leave-one-out residuals are n/(n-1) times the plain ones: few tokens must not look like a good fit.
    const double residual = within * (n / (n - 1)) * (n / (n - 1));
    structure.channelBits = std::clamp(0.5 * std::log2(total / residual), -1.0, 8.0);
    // The mean takes about 1/n off every correlation.
    structure.correlation = std::clamp(neighbours / within * (n / (n - 1)) + 1.0 / n, -1.0, 0.999);
    if (structure.correlation > 0)
        structure.tokenBits = -0.5 * std::log2(1.0 - structure.correlation * structure.correlation);
    return structure;
}

/// Bits that channel means save once a rotation is undone.
double bitsWithout(const Sample& sample, std::int64_t headDim, double theta, Rope::Pairing pairing) {
    Sample turned = sample;
    for (float& value : turned.values)
        value = std::isfinite(value) ? value : 0.0F;
    turned.plane.headDim = headDim;
    turned.plane.heads = sample.channels / headDim;
    rotate(Rope::plain(theta, headDim, pairing), RopeDirection::Undo, turned.plane, turned.tokens, turned.values);
    return structureOf(turned).channelBits;
}

/// The first, the middle and the last layer's planes of a kind, of the first and the last sequence.
std::vector<PlaneId> sampledPlanes(const KvGeometry& geometry, PlaneKind kind) {
    std::vector<PlaneId> planes;
    for (const std::int64_t sequence : {std::int64_t{0}, geometry.sequences - 1}) {
        const auto all = geometry.planes(kind, SequenceIndex(sequence));
        if (all.empty() || (sequence == 0 && !planes.empty()))
            continue;
        for (const std::size_t i : std::set<std::size_t>{0, all.size() / 2, all.size() - 1})
            planes.push_back(all[i]);
    }
    return planes;
}

/// What the keys' rotation looks like under the head dimensions that may be.
HeadGuess guessRotation(std::span<const Sample> samples, std::vector<std::int64_t> headDims) {
    samples = samples.first(std::min(samples.size(), kRotationSamples));
    std::vector<std::vector<std::int64_t>> positions;
    std::vector<KeySample> keys;
    for (const Sample& sample : samples) {
        auto& all = positions.emplace_back();
        for (std::int64_t t = sample.tokens.begin.value; t < sample.tokens.end.value; ++t)
            all.push_back(sample.plane.position(TokenIndex(t)));
        keys.push_back({sample.values, sample.channels, all});
    }
    HeadHints hints;
    hints.headDims = std::move(headDims);
    return guessHeads(keys, hints);
}

/// Bits a value by which undoing a rotation makes channels more constant.
double bitsGained(std::span<const Sample> samples, const HeadGuess& rotation) {
    samples = samples.first(std::min(samples.size(), kRotationSamples));
    double gained = 0;
    for (const Sample& sample : samples)
        gained +=
            bitsWithout(sample, rotation.headDim, rotation.theta, rotation.pairing) - structureOf(sample).channelBits;
    return gained / static_cast<double>(samples.size());
}

/// What the data say about one reading.
struct Score {
    bool readable = false;
    double bits = 0;
    double keyGain = 0;
    double valueGain = 0;
    double correlation = 0;
    double channelBits = 0;
    HeadGuess rope;
    std::vector<Sample> keys;
    std::vector<Sample> values;

    [[nodiscard]] double weight(double prior) const {
        return std::log(std::max(prior, 1e-12)) + kBitWeight * (bits + keyGain - valueGain);
    }
};

/// Looks for the rotation that RoPE leaves in K and not in V.
void scoreRotation(Score& score) {
    for (const auto* samples : {&score.keys, &score.values}) {
        if (samples->empty())
            continue;
        const std::int64_t headDim = samples->front().plane.headDim;
        const bool sameDims = std::all_of(samples->begin(), samples->end(),
                                          [&](const Sample& sample) { return sample.plane.headDim == headDim; });
        if (headDim % 2 != 0 || headDim > 512 || !sameDims || samples->front().tokens.size() < 8)
            continue;
        const HeadGuess rotation = guessRotation(*samples, {headDim});
        const double gain = rotation.theta > 0 ? bitsGained(*samples, rotation) : 0;
        (samples == &score.keys ? score.keyGain : score.valueGain) = std::max(0.0, gain);
        if (samples == &score.keys)
            score.rope = rotation;
    }
}

Score scoreOf(const KvCache& cache, const JobControl& job) {
    Score score;
    const KvGeometry& geometry = cache.geometry();
    int planes = 0;
    for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value, PlaneKind::Latent}) {
        std::vector<Sample> samples;
        for (const PlaneId id : sampledPlanes(geometry, kind)) {
            if (job.stopRequested())
                return score;
            if (auto sample = readSample(cache, id, true))
                samples.push_back(std::move(*sample));
        }
        for (const Sample& sample : samples) {
            const Structure structure = structureOf(sample);
            // A few tokens show little: their savings count in part.
            const auto rows = static_cast<double>(sample.tokens.size());
            score.bits += structure.bits() * rows / (rows + 8.0);
            score.correlation += structure.correlation;
            score.channelBits += structure.channelBits;
            ++planes;
        }
        if (kind == PlaneKind::Key)
            score.keys = std::move(samples);
        else if (kind == PlaneKind::Value)
            score.values = std::move(samples);
    }
    if (planes == 0)
        return score;
    score.readable = true;
    // Less than nothing is saved where there is no structure: no reading is better than another for that.
    score.bits = std::max(0.0, score.bits / planes);
    score.correlation /= planes;
    score.channelBits /= planes;
    return score;
}

std::string evidenceOf(const Score& score) {
    if (!score.readable)
        return "too few tokens to tell";
    std::array<char, 256> text{};
    std::snprintf(text.data(), text.size(), "neighbouring tokens correlate %.2f, channel means save %.2f bits a value",
                  score.correlation, score.channelBits);
    std::string evidence = text.data();
    if (score.keyGain > 0.05 && score.keyGain > score.valueGain) {
        std::snprintf(text.data(), text.size(), "; K turns with the position as RoPE does (theta %.0f, %s)",
                      score.rope.theta, score.rope.pairing == Rope::Pairing::HalfSplit ? "half-split" : "interleaved");
        evidence += text.data();
    }
    return evidence;
}

} // namespace

std::vector<LayoutCandidate> checkLayouts(std::span<const LayoutReading> readings, const JobControl& job) {
    std::vector<Score> scores;
    double leader = -1e300;
    for (const LayoutReading& reading : readings) {
        scores.push_back(scoreOf(reading.cache, job));
        leader = std::max(leader, scores.back().weight(reading.prior));
    }
    // Trying rotations is most of the work: it is done only where it can still change the order.
    std::vector<std::size_t> contenders;
    for (std::size_t i = 0; i < scores.size(); ++i) {
        if (scores[i].weight(readings[i].prior) > leader - kContention)
            contenders.push_back(i);
    }
    for (const std::size_t i : contenders) {
        if (contenders.size() > 1 && !job.stopRequested())
            scoreRotation(scores[i]);
    }
    std::vector<LayoutCandidate> candidates;
    std::vector<double> logs;
    for (std::size_t i = 0; i < scores.size(); ++i) {
        candidates.push_back({readings[i].axes, 0, evidenceOf(scores[i])});
        logs.push_back(scores[i].weight(readings[i].prior));
    }
    const double best = logs.empty() ? 0 : *std::max_element(logs.begin(), logs.end());
    double sum = 0;
    for (double& value : logs) {
        value = std::exp(value - best);
        sum += value;
    }
    for (std::size_t i = 0; i < candidates.size(); ++i)
        candidates[i].confidence = logs[i] / sum;
    return candidates;
}

std::optional<HeadGuess> findRope(const KvCache& cache, std::vector<std::int64_t> headDims, const JobControl& job) {
    std::vector<Sample> samples;
    for (const PlaneId id : sampledPlanes(cache.geometry(), PlaneKind::Key)) {
        if (job.stopRequested())
            return std::nullopt;
        if (auto sample = readSample(cache, id, false))
            samples.push_back(std::move(*sample));
    }
    std::erase_if(samples, [](const Sample& sample) { return sample.tokens.size() < 8; });
    if (samples.empty())
        return std::nullopt;
    const HeadGuess found = guessRotation(samples, std::move(headDims));
    return found.clear() ? std::optional(found) : std::nullopt;
}

} // namespace kvscope
