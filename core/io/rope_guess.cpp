// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/rope_guess.h"

#include "core/io/ggml_types.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>

namespace kvscope {

namespace {

constexpr std::array kThetas{10'000.0, 500'000.0, 1'000'000.0, 100'000.0};
/// Customary head dimensions, the most common first.
constexpr auto kCustomary = std::to_array<std::int64_t>({128, 64, 256, 96, 80, 112, 160, 192, 32, 48, 16, 8});

/// How the two values of a channel pair turn from one position to the next, summed over positions: the argument is the
/// angle, the size (against `energy`) how steadily they turn.
struct Turn {
    std::complex<double> sum;
    double energy = 0;
};

Turn turnOf(const KeySample& sample, std::int64_t first, std::int64_t second) {
    Turn turn;
    for (std::size_t t = 0; t + 1 < sample.positions.size(); ++t) {
        if (sample.positions[t + 1] - sample.positions[t] != 1)
            continue;
        const auto* here = sample.keys.data() + static_cast<std::ptrdiff_t>(t) * sample.width;
        const auto* next = here + sample.width;
        const std::complex<double> a(here[first], here[second]);
        const std::complex<double> b(next[first], next[second]);
        const auto energy = std::sqrt(std::norm(a) * std::norm(b));
        if (!std::isfinite(energy))
            continue;
        turn.sum += std::conj(a) * b;
        turn.energy += energy;
    }
    return turn;
}

/// The turns of all pairs of a head dimension, in the order of samples, heads and pairs.
std::vector<Turn> turnsOf(std::span<const KeySample> samples, std::int64_t headDim, Rope::Pairing pairing) {
    std::vector<Turn> turns;
    const auto half = headDim / 2;
    for (const KeySample& sample : samples) {
        for (std::int64_t base = 0; base < sample.width; base += headDim) {
            for (std::int64_t i = 0; i < half; ++i)
                turns.push_back(pairing == Rope::Pairing::Interleaved ? turnOf(sample, base + 2 * i, base + 2 * i + 1)
                                                                      : turnOf(sample, base + i, base + i + half));
        }
    }
    return turns;
}

/// What taking plain RoPE off gains in agreement, against leaving the keys as they are, and the most that it could.
/// Slow pairs, which look the same either way, so have no voice; loud channels have no more than others.
struct Gain {
    double sum = 0;
    double possible = 0;
};

Gain gainOf(const std::vector<Turn>& turns, std::int64_t headDim, double theta) {
    const auto half = headDim / 2;
    Gain gain;
    for (std::size_t i = 0; i < turns.size(); ++i) {
        if (turns[i].energy <= 0)
            continue;
        const auto pair = static_cast<double>(static_cast<std::int64_t>(i) % half);
        const auto angle = std::pow(theta, -2.0 * pair / static_cast<double>(headDim));
        gain.sum += (turns[i].sum * (std::polar(1.0, -angle) - 1.0)).real() / turns[i].energy;
        gain.possible += 1.0 - std::cos(angle);
    }
    return gain;
}

std::vector<std::int64_t> candidatesOf(std::span<const KeySample> samples, const HeadHints& hints) {
    std::vector<std::int64_t> candidates = hints.headDims;
    if (candidates.empty())
        candidates.assign(kCustomary.begin(), kCustomary.end());
    std::erase_if(candidates, [samples](std::int64_t dim) {
        return dim <= 0 || std::any_of(samples.begin(), samples.end(),
                                       [dim](const KeySample& sample) { return sample.width % dim != 0; });
    });
    if (candidates.empty() && !samples.empty())
        candidates.push_back(samples.front().width);
    return candidates;
}

/// Steps from one position to the next in all samples.
double stepsIn(std::span<const KeySample> samples) {
    double steps = 0;
    for (const KeySample& sample : samples) {
        for (std::size_t t = 0; t + 1 < sample.positions.size(); ++t)
            steps += sample.positions[t + 1] - sample.positions[t] == 1 ? 1 : 0;
    }
    return samples.empty() ? 0 : steps / static_cast<double>(samples.size());
}

/// The samples with the blocks of `size` channels Hadamard-rotated; `storage` holds the values.
std::vector<KeySample> hadamardOf(std::span<const KeySample> samples, std::int64_t size,
                                  std::vector<std::vector<float>>& storage) {
    storage.clear();
    std::vector<KeySample> turned(samples.begin(), samples.end());
    for (KeySample& sample : turned) {
        storage.emplace_back(sample.keys.begin(), sample.keys.end());
        hadamard(storage.back(), size);
        sample.keys = storage.back();
    }
    return turned;
}

} // namespace

std::int64_t keyHadamardSize(std::int64_t headDim) {
    if (headDim <= 0 || headDim % 64 != 0)
        return 0;
    std::int64_t size = 64;
    while (headDim % (2 * size) == 0)
        size *= 2;
    return size;
}

HeadGuess guessHeads(std::span<const KeySample> samples, const HeadHints& hints) {
    HeadGuess best;
    best.gain = best.runnerUp = best.plainScore = best.rotatedScore = -1;
    const double steps = stepsIn(samples);
    const auto candidates = candidatesOf(samples, hints);
    std::vector<std::vector<float>> storage;
    for (const auto headDim : candidates) {
        const auto before = best;
        double gainOfDim = -1;
        for (const bool rotated : {false, true}) {
            const auto size = keyHadamardSize(headDim);
            if (headDim % 2 != 0 || (rotated && (!hints.mayBeRotated || size == 0)))
                continue;
            const std::vector<KeySample> turned =
                rotated ? hadamardOf(samples, size, storage) : std::vector(samples.begin(), samples.end());
            for (const auto pairing : {Rope::Pairing::Interleaved, Rope::Pairing::HalfSplit}) {
                if (hints.pairing && *hints.pairing != pairing)
                    continue;
                const auto turns = turnsOf(turned, headDim, pairing);
                for (const auto usual : kThetas) {
                    const auto theta = hints.theta.value_or(usual);
                    const auto gain = gainOf(turns, headDim, theta);
                    const auto score = gain.possible > 0 ? gain.sum / gain.possible : 0;
                    auto& ofKind = rotated ? best.rotatedScore : best.plainScore;
                    ofKind = std::max(ofKind, score);
                    gainOfDim = std::max(gainOfDim, gain.sum);
                    if (gain.sum <= best.gain)
                        continue;
                    best.gain = gain.sum;
                    best.score = score;
                    best.threshold = std::max(0.15, 3.0 / std::sqrt(std::max(1.0, steps * gain.possible)));
                    best.headDim = headDim;
                    best.pairing = pairing;
                    best.theta = theta;
                    best.rotated = rotated;
                }
            }
        }
        best.runnerUp = std::max(before.runnerUp, best.headDim == headDim ? before.gain : gainOfDim);
    }
    if ((best.headDim == 0 || !best.clear()) && !candidates.empty())
        best.headDim = candidates.front();
    return best;
}

} // namespace kvscope
