// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/rope.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace kvscope {

/// How keys seem to be divided into heads and turned by RoPE.
struct HeadGuess {
    std::int64_t headDim = 0;
    Rope::Pairing pairing = Rope::Pairing::Interleaved;
    double theta = 0;
    bool rotated = false;
    /// How much better neighbouring keys agree once RoPE is taken off, against what perfectly steady keys would gain:
    /// about 0 without such structure, up to 1.
    double score = 0;
    /// What a score must exceed to be no chance.
    double threshold = 1;
    /// The gain summed over channels; the best, and the best of another head dimension.
    double gain = 0;
    double runnerUp = 0;
    /// The best score if the keys are not, or are, Hadamard-rotated.
    double plainScore = 0;
    double rotatedScore = 0;

    /// Whether the data, rather than habit, chose headDim.
    [[nodiscard]] bool clear() const { return score > threshold && gain > 1.15 * runnerUp; }
};

/// What is known when the guess is made.
struct HeadHints {
    /// Head dimensions that may be; customary ones where empty.
    std::vector<std::int64_t> headDims;
    std::optional<Rope::Pairing> pairing;
    std::optional<double> theta;
    /// The values may be Hadamard-rotated in blocks of the largest 64 * 2^j that divides the head dimension.
    bool mayBeRotated = false;
};

/// Keys of one plane, or of its first channels: [positions.size()][width].
struct KeySample {
    std::span<const float> keys;
    std::int64_t width = 0;
    std::span<const std::int64_t> positions;
};

/// Guesses the head dimension, pairing and theta of RoPE from keys: the right ones make the keys of neighbouring
/// positions turn alike in all samples. Without such structure the guess is the first head dimension that the hints or
/// custom allow, and not clear(). A head dimension has to divide the width of every sample.
HeadGuess guessHeads(std::span<const KeySample> samples, const HeadHints& hints);

/// Size of the Hadamard blocks of K for a head dimension: the largest 64 * 2^j that divides it; 0 when there is none.
std::int64_t keyHadamardSize(std::int64_t headDim);

} // namespace kvscope
