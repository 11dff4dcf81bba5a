// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/kv/rope.h"

#include <algorithm>
#include <cmath>

namespace kvscope {

Rope Rope::plain(double theta, std::int64_t rotaryDim, Pairing pairing) {
    Rope rope;
    rope.pairing = pairing;
    rope.inverseFrequencies.resize(static_cast<std::size_t>(rotaryDim / 2));
    for (std::size_t i = 0; i < rope.inverseFrequencies.size(); ++i)
        rope.inverseFrequencies[i] = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(rotaryDim));
    return rope;
}

namespace {

/// Turns the pairs of one head; the four ranges do not overlap, which lets the compiler do several at once.
void turnHalves(float* __restrict first, float* __restrict second, const float* __restrict cosines,
                const float* __restrict sines, std::size_t pairs) {
    for (std::size_t p = 0; p < pairs; ++p) {
        const float a = first[p];
        const float b = second[p];
        first[p] = a * cosines[p] - b * sines[p];
        second[p] = b * cosines[p] + a * sines[p];
    }
}

void turnNeighbours(float* __restrict row, const float* __restrict cosines, const float* __restrict sines,
                    std::size_t pairs) {
    for (std::size_t p = 0; p < pairs; ++p) {
        const float a = row[2 * p];
        const float b = row[2 * p + 1];
        row[2 * p] = a * cosines[p] - b * sines[p];
        row[2 * p + 1] = b * cosines[p] + a * sines[p];
    }
}

} // namespace

void rotate(const Rope& rope, RopeDirection direction, const PlaneGeometry& plane, TokenRange tokens,
            std::span<float> rows) {
    const auto pairs =
        std::min<std::size_t>(rope.inverseFrequencies.size(), static_cast<std::size_t>(plane.headDim / 2));
    const auto headDim = static_cast<std::size_t>(plane.headDim);
    const auto channels = static_cast<std::size_t>(plane.channels());
    const double scale = direction == RopeDirection::Apply ? rope.attentionScale : 1.0 / rope.attentionScale;
    std::vector<float> cosines(pairs);
    std::vector<float> sines(pairs);
    for (std::int64_t i = 0; i < tokens.size(); ++i) {
        const auto position = static_cast<double>(plane.position(tokens.begin + i));
        for (std::size_t p = 0; p < pairs; ++p) {
            const double angle = position * rope.inverseFrequencies[p];
            cosines[p] = static_cast<float>(scale * std::cos(angle));
            sines[p] =
                static_cast<float>(scale * (direction == RopeDirection::Apply ? std::sin(angle) : -std::sin(angle)));
        }
        float* row = rows.data() + static_cast<std::size_t>(i) * channels;
        for (std::int64_t head = 0; head < plane.heads; ++head, row += headDim) {
            if (rope.pairing == Rope::Pairing::HalfSplit)
                turnHalves(row, row + pairs, cosines.data(), sines.data(), pairs);
            else
                turnNeighbours(row, cosines.data(), sines.data(), pairs);
        }
    }
}

} // namespace kvscope
