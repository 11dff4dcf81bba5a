// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/rope.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace kvscope {

/// Which dimensions llama.cpp turns together for a GGUF architecture ("llama": neighbours, as its converter reorders
/// the weights; "qwen2": halves); empty for architectures that do not rotate, or in another way, or are not known.
std::optional<Rope::Pairing> llamaPairing(std::string_view architecture);

/// How often a layer attends to everything where the others have a sliding window (GGUF architecture): every n-th
/// layer, the last of each n, or the first; 0 when not known.
struct LlamaWindowPattern {
    int period = 0;
    bool fullFirst = false;

    [[nodiscard]] bool windowed(std::int64_t layer) const {
        return fullFirst ? layer % period != 0 : layer % period != period - 1;
    }
};
LlamaWindowPattern llamaWindowPattern(std::string_view architecture);

/// What the keys of a layer look like.
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
    std::optional<std::int64_t> headDim;
    std::optional<Rope::Pairing> pairing;
    std::optional<double> theta;
    /// The values may be Hadamard-rotated in blocks of the largest 64 * 2^j that divides the head dimension.
    bool mayBeRotated = false;
};

/// Guesses the head dimension, pairing and theta of RoPE from keys [positions.size()][width]: the right ones make the
/// keys of neighbouring positions turn alike. Without such structure the guess is a customary head dimension and not
/// clear().
HeadGuess guessHeads(std::span<const float> keys, std::int64_t width, std::span<const std::int64_t> positions,
                     const HeadHints& hints);

/// Size of the Hadamard blocks of K for a head dimension: the largest 64 * 2^j that divides it; 0 when there is none.
std::int64_t keyHadamardSize(std::int64_t headDim);

} // namespace kvscope
