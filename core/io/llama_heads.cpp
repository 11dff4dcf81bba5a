// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/llama_heads.h"

#include "core/io/ggml_types.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>

namespace kvscope {

namespace {

// As llama.cpp's model loader assigns them; architectures in neither list are left open.
constexpr auto kNeighbours = std::to_array<std::string_view>(
    {"llama",   "llama4",  "mistral3",  "mistral4", "deci",        "baichuan",  "starcoder",  "internlm2",
     "minicpm", "xverse",  "command-r", "cohere2",  "olmo",        "arctic",    "deepseek",   "deepseek2",
     "plm",     "chatglm", "glm4",      "granite",  "granitemoe",  "chameleon", "bailingmoe", "neo-bert",
     "smollm3", "arcee",   "ernie4_5",  "llada",    "ernie4_5-moe"});
constexpr auto kHalves = std::to_array<std::string_view>(
    {"falcon",  "falcon-h1",    "grok",     "dbrx",     "stablelm",    "bitnet",        "qwen",
     "qwen2",   "qwen2moe",     "qwen3",    "qwen3moe", "olmo2",       "olmoe",         "phi2",
     "phi3",    "phimoe",       "plamo",    "plamo2",   "gemma",       "gemma2",        "gemma3",
     "gemma3n", "starcoder2",   "openelm",  "gptneox",  "codeshell",   "orion",         "nemotron",
     "exaone",  "exaone4",      "minicpm3", "dots1",    "hunyuan-moe", "hunyuan-dense", "gpt-oss",
     "lfm2",    "smallthinker", "glm4moe",  "seed_oss", "apertus",     "dream"});

constexpr std::array kThetas{10'000.0, 500'000.0, 1'000'000.0, 100'000.0};
/// Customary head dimensions, the most common first.
constexpr auto kCustomary = std::to_array<std::int64_t>({128, 64, 256, 96, 80, 112, 160, 192, 32, 48, 16, 8});

bool contains(std::span<const std::string_view> list, std::string_view name) {
    return std::find(list.begin(), list.end(), name) != list.end();
}

/// How the two values of a channel pair turn from one position to the next, summed over positions: the argument is the
/// angle, the size (against `energy`) how steadily they turn.
struct Turn {
    std::complex<double> sum;
    double energy = 0;
};

Turn turnOf(std::span<const float> keys, std::int64_t width, std::span<const std::int64_t> positions,
            std::int64_t first, std::int64_t second) {
    Turn turn;
    for (std::size_t t = 0; t + 1 < positions.size(); ++t) {
        if (positions[t + 1] - positions[t] != 1)
            continue;
        const auto* here = keys.data() + static_cast<std::ptrdiff_t>(t) * width;
        const auto* next = here + width;
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

/// The turns of all pairs of a head dimension, in the order of heads and pairs.
std::vector<Turn> turnsOf(std::span<const float> keys, std::int64_t width, std::span<const std::int64_t> positions,
                          std::int64_t headDim, Rope::Pairing pairing) {
    std::vector<Turn> turns;
    const auto half = headDim / 2;
    for (std::int64_t head = 0; head < width / headDim; ++head) {
        for (std::int64_t i = 0; i < half; ++i) {
            const auto base = head * headDim;
            turns.push_back(pairing == Rope::Pairing::Interleaved
                                ? turnOf(keys, width, positions, base + 2 * i, base + 2 * i + 1)
                                : turnOf(keys, width, positions, base + i, base + i + half));
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

std::vector<std::int64_t> candidatesOf(std::int64_t width, const HeadHints& hints) {
    if (hints.headDim)
        return {*hints.headDim};
    std::vector<std::int64_t> candidates;
    for (const auto dim : kCustomary) {
        if (width % dim == 0)
            candidates.push_back(dim);
    }
    if (candidates.empty())
        candidates.push_back(width);
    return candidates;
}

} // namespace

std::optional<Rope::Pairing> llamaPairing(std::string_view architecture) {
    if (contains(kNeighbours, architecture))
        return Rope::Pairing::Interleaved;
    if (contains(kHalves, architecture))
        return Rope::Pairing::HalfSplit;
    return std::nullopt;
}

LlamaWindowPattern llamaWindowPattern(std::string_view architecture) {
    if (architecture == "gemma2" || architecture == "gpt-oss")
        return {2, false};
    if (architecture == "gemma3")
        return {6, false};
    if (architecture == "gemma3n")
        return {5, false};
    if (architecture == "cohere2" || architecture == "llama4" || architecture == "olmo2" || architecture == "exaone4")
        return {4, false};
    if (architecture == "smallthinker")
        return {4, true};
    return {};
}

std::int64_t keyHadamardSize(std::int64_t headDim) {
    if (headDim <= 0 || headDim % 64 != 0)
        return 0;
    std::int64_t size = 64;
    while (headDim % (2 * size) == 0)
        size *= 2;
    return size;
}

HeadGuess guessHeads(std::span<const float> keys, std::int64_t width, std::span<const std::int64_t> positions,
                     const HeadHints& hints) {
    HeadGuess best;
    best.gain = best.runnerUp = best.plainScore = best.rotatedScore = -1;
    double steps = 0;
    for (std::size_t t = 0; t + 1 < positions.size(); ++t)
        steps += positions[t + 1] - positions[t] == 1 ? 1 : 0;
    std::vector<float> turned;
    for (const auto headDim : candidatesOf(width, hints)) {
        const auto before = best;
        double gainOfDim = -1;
        for (const bool rotated : {false, true}) {
            const auto size = keyHadamardSize(headDim);
            if (headDim % 2 != 0 || (rotated && (!hints.mayBeRotated || size == 0)))
                continue;
            auto values = keys;
            if (rotated) {
                turned.assign(keys.begin(), keys.end());
                hadamard(turned, size);
                values = turned;
            }
            for (const auto pairing : {Rope::Pairing::Interleaved, Rope::Pairing::HalfSplit}) {
                if (hints.pairing && *hints.pairing != pairing)
                    continue;
                const auto turns = turnsOf(values, width, positions, headDim, pairing);
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
    if (best.headDim == 0 || !best.clear())
        best.headDim = candidatesOf(width, hints).front();
    return best;
}

} // namespace kvscope
