// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"

#include <cstdint>

namespace kvscope {

/// Tokens a second where nothing can recompute: no policy prefers that to any link.
inline constexpr double kNoPrefill = 1e-6;

/// How fast the receiving machine computes and decodes; measured there or entered.
struct ComputeModel {
    /// Prompt tokens a second, as a mean over a context of `referenceTokens`.
    double prefillTokensPerSecond = 8000;
    double referenceTokens = 16384;
    /// Share of attention in the prefill time of `referenceTokens`. Attention of a token costs in proportion to the
    /// tokens before it, everything else costs the same for each token.
    double attentionShare = 0.21;
    /// Speed of decoding entropy-coded levels, bytes of 16-bit output a second.
    double decodeBytesPerSecond = 10e9;
    /// Speed of copying raw and of widening 8-bit chunks, bytes of 16-bit output a second.
    double unpackBytesPerSecond = 50e9;
    /// A chunk is decoded in so many pieces while the next piece arrives; 1: decoding waits for the whole chunk.
    int decodePieces = 4;
    /// Share of the prefill speed that decoding takes while it runs (0: decoding on the CPU, or on another device).
    double gpuContention = 0;
    /// One decoding step of the model: from the last chunk to the first token, seconds.
    double firstStepSeconds = 0.008;

    bool operator==(const ComputeModel&) const = default;

    /// Seconds to compute `tokens` tokens when `before` are already there.
    [[nodiscard]] double prefillSeconds(double before, double tokens) const {
        const double attention = (before + tokens / 2) / (referenceTokens / 2);
        return tokens / prefillTokensPerSecond * (1.0 - attentionShare + attentionShare * attention);
    }
};

/// Refuses speeds that are not positive and finite, shares outside [0, 1) and piece counts outside 1 to 1,024.
Result<void> validate(const ComputeModel& model);

/// Link bandwidth in bits per second below which sending `ratio` times fewer bytes still pays, when a chunk is decoded
/// only after all of it has come: B < decode * (ratio - 1) / ratio. 0 for ratios up to 1.
double breakEvenSerial(double decodeBytesPerSecond, double ratio);
/// The same when decoding runs while bytes arrive: B < decode.
double breakEvenPipelined(double decodeBytesPerSecond, double ratio);

} // namespace kvscope
