// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

namespace kvscope {

/// What is done to the rows [tokens][channels] of a plane before prediction and quantisation.
enum class Transform : std::uint8_t {
    None,
    /// Undoes the rotary embedding of K, so that channels keep their level over the tokens.
    RopeInverse,
    /// Multiplies each head by an orthonormal Walsh-Hadamard matrix (head dimension a power of two).
    Hadamard,
};

/// What a value or its symbol is expressed against.
enum class Predictor : std::uint8_t {
    None,
    /// Mean of the channel over the chunk.
    ChannelMean,
    /// First token of each group of ten (CacheGen).
    Anchor,
    /// The token before.
    Previous,
    /// Whichever of the above takes the fewest bits, chosen for each channel by measurement.
    Best,
};

/// Which values share one scale.
enum class ScaleAxis : std::uint8_t { Token, Channel, Head, Plane };

/// Values are kept bit by bit. With a transform and no predictor: the transformed values, rounded to the plane's dtype.
/// With Transform::RopeInverse and a predictor, what is predicted is K before RoPE, and every value still comes back.
struct Lossless {
    bool operator==(const Lossless&) const = default;
};

/// CacheGen's released quantiser: for each token over all channels s = max|x|, M = bins / 2 - 1,
/// symbol = round(x M / s + M). 256 bins are its 8-bit baseline.
struct MaxAbsBins {
    int bins = 32;
    bool operator==(const MaxAbsBins&) const = default;
};

/// n-bit quantisation over groups of values along an axis. Symmetric: scale max|x| / (2^(n-1) - 1); asymmetric: zero
/// point min x and scale (max x - min x) / (2^n - 1).
struct Uniform {
    int bits = 8;
    ScaleAxis axis = ScaleAxis::Token;
    /// Values that share a scale along the axis' row; 0: all of them.
    int group = 0;
    bool symmetric = true;
    bool operator==(const Uniform&) const = default;
};

/// Blocks of values of one token are divided by their largest magnitude and quantised; the largest `topFraction` of
/// each block are kept exactly beside it and do not count towards the scale.
struct BlockNorm {
    int bits = 10;
    int block = 128;
    double topFraction = 0.02;
    bool operator==(const BlockNorm&) const = default;
};

/// Eight-bit floating point with one power-of-two scale for each token.
struct Float8 {
    enum class Format : std::uint8_t { E4M3, E5M2 };
    Format format = Format::E4M3;
    bool operator==(const Float8&) const = default;
};

/// KIVI (Liu et al., arXiv 2402.02750): asymmetric groups, K along tokens within a channel, V along channels within a
/// token; the last `residual` tokens of the plane stay in 16 bit.
struct Kivi {
    int bits = 2;
    int group = 32;
    int residual = 128;
    bool operator==(const Kivi&) const = default;
};

/// The CacheGen paper's anchors: of each group of tokens the first at `anchorBits`, the others as differences to it in
/// steps of `step` standard deviations of the plane's differences (our reading of the paper's delta bin sizes).
struct AnchorDelta {
    int group = 10;
    int anchorBits = 8;
    double step = 1.0;
    bool operator==(const AnchorDelta&) const = default;
};

/// One step size for the whole plane, as least squares wants it: `step` times the rms of the plane about its channel
/// means (after the transform).
struct Step {
    double step = 0.45;
    bool operator==(const Step&) const = default;
};

using Quantiser = std::variant<Lossless, MaxAbsBins, Uniform, BlockNorm, Float8, Kivi, AnchorDelta, Step>;

/// How symbols (or, for lossless baselines, the dump's bytes) become bytes.
enum class EntropyCoder : std::uint8_t {
    /// Bytes as they are; symbols packed at the bits of their alphabet.
    Raw,
    Zlib,
    Lz4,
    Zstd,
    /// Bytes of equal significance together, then zstd.
    ShuffleZstd,
    /// Sign and exponent apart from the mantissa (symbols: high byte apart from low byte), zstd on each.
    Gear,
    /// The same after subtracting the token before, channel by channel.
    GearDelta,
    /// Huffman code of the whole plane's symbols or sign-and-exponent fields.
    Huffman,
    /// Arithmetic code with one static table for each channel.
    Arithmetic,
    /// rANS whose table depends on the symbol before.
    ContextRans,
    /// Context-adaptive binary arithmetic code.
    Cabac,
    /// 32-lane rANS with a table class for each channel; KVScope's own.
    Kvz,
};

inline constexpr int kTrellisEffort = 2;

/// All that is done to one plane (or a part of its tokens), in this order.
struct Pipeline {
    Transform transform = Transform::None;
    /// Values beyond so many standard deviations of their channel are set to that bound; none: nothing is clipped.
    std::optional<double> clipSigmas = std::nullopt;
    Quantiser quantiser = Lossless{};
    Predictor predictor = Predictor::None;
    EntropyCoder coder = EntropyCoder::Raw;
    /// Level of zlib (1-9) and zstd (1-19) where the coder uses them; of kvz in steps: from kTrellisEffort on it
    /// searches trellises, which makes chunks some 4 % smaller at equal error and takes a third longer.
    int effort = 3;

    bool operator==(const Pipeline&) const = default;
    /// Every value comes back bit by bit.
    [[nodiscard]] bool isLossless() const;
};

/// Whether trellises are searched for: kvz in steps, with the predictor of its choice and the effort for it.
bool usesTrellises(const Pipeline& pipeline);

/// Refuses parameters outside their ranges and stages that do not go together; the error names the field.
Result<void> validate(const Pipeline& pipeline);

/// A line for people, e.g. "RoPE undone, step 0.45 sigma, best predictor, kvz".
std::string describe(const Pipeline& pipeline);

} // namespace kvscope
