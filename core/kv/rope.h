// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/geometry.h"

#include <cstdint>
#include <span>
#include <vector>

namespace kvscope {

/// Rotary position embedding (Su et al., arXiv 2104.09864) of one layer's keys.
struct Rope {
    /// Which two dimensions of a head turn together: i and i + rotaryDim/2 (Llama in Hugging Face, NeoX) or 2i and 2i +
    /// 1 (GPT-J, llama2.c, llama.cpp's Llama).
    enum class Pairing : std::uint8_t { HalfSplit, Interleaved };

    Pairing pairing = Pairing::HalfSplit;
    /// Angle per position of each pair; its size is half the rotated dimensions. Carries theta and any context scaling.
    std::vector<double> inverseFrequencies;
    /// Factor on sine and cosine (YaRN's attention scaling); 1 otherwise.
    double attentionScale = 1.0;

    bool operator==(const Rope&) const = default;

    /// Dimensions of each head that turn; the rest is left alone.
    [[nodiscard]] std::int64_t rotaryDim() const { return 2 * static_cast<std::int64_t>(inverseFrequencies.size()); }

    /// Plain RoPE: frequencies theta^(-2i/rotaryDim).
    static Rope plain(double theta, std::int64_t rotaryDim, Pairing pairing);
};

/// Direction of a rotation.
enum class RopeDirection : std::uint8_t { Apply, Undo };

/// Rotates rows [tokens][channels] in place; `plane` gives heads and head dimension and row i has text position
/// plane.position(tokens.begin + i). Rows must hold whole heads (all channels). Angles are computed in double.
void rotate(const Rope& rope, RopeDirection direction, const PlaneGeometry& plane, TokenRange tokens,
            std::span<float> rows);

} // namespace kvscope
