// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvscope {

/// What is done to values before prediction. Rotations act on each head.
enum class Transform : std::uint8_t {
    None,
    RopeInverse, ///< K before RoPE; lossy pipelines only (a rotation in floating point is not exactly undone)
    Hadamard,    ///< normalised Walsh-Hadamard; the head dimension must be a power of two
};

/// What is subtracted from a value before it is quantised (or, without quantisation, XORed or compared with).
enum class Predictor : std::uint8_t {
    None,
    ChannelMean, ///< the channel's mean over the chunk
    Anchor,      ///< the same channel of the first token of the group (CacheGen, section 5.1; groups of 10)
    Previous,    ///< the same channel of the token before
    SameToken,   ///< the row of the last token with the same id
    Best         ///< chosen per plane and channel by measured bits
};

/// How values become symbols.
enum class Quantiser : std::uint8_t {
    None,        ///< lossless
    MaxAbsBins,  ///< per token over all heads: s = max|x|, M = bins/2 - 1, q = round(x*M/s + M) (CacheGen's released code)
    Uniform,     ///< `bits` per value over `axis` in groups of `group` values: asymmetric min-max, or symmetric
    BlockNorm,   ///< blocks of `block` values scaled by their max-abs, the `topFraction` largest kept exactly
    Float8E4M3,  ///< with a scale per tensor
    Float8E5M2,
    Kivi,        ///< K per channel, V per token, in groups; the last `residual` tokens as they are (KIVI)
    Step         ///< one step for the whole plane, centred by prediction: the kvz levels
};

/// Values that share a scale.
enum class ScaleAxis : std::uint8_t { Token, Channel, Head, Plane };

/// How symbols (or the bytes of unquantised values) become bytes.
enum class EntropyCoder : std::uint8_t {
    Raw,          ///< as they are
    Packed,       ///< symbols in as few whole bits as their range needs
    Zlib,
    Lz4,
    Zstd,         ///< at `level`
    ShuffleZstd,  ///< bytes of equal significance together, then zstd
    Gear,         ///< sign+exponent | mantissa as two streams, zstd on each (fp16 6|10, bf16 9|7, fp32 9|23 bits)
    GearDelta,    ///< the same after the difference to the previous token, as integers
    Huffman,      ///< one codebook for all planes of the call
    Arithmetic,   ///< CacheGen's: 32-bit binary renormalisation, 16-bit CDF of each (layer, channel)
    ContextRans,  ///< order-1 contexts
    Cabac,        ///< adaptive binary contexts
    Rans          ///< 32 interleaved lanes, tables chosen by class (kvz)
};

/// One chain of stages with its parameters: how one plane's chunk is encoded. A parameter that its stage does not use has no effect
/// and is left out of the JSON.
struct Pipeline {
    Transform transform = Transform::None;
    Predictor predictor = Predictor::None;
    Quantiser quantiser = Quantiser::None;
    EntropyCoder coder = EntropyCoder::Raw;
    /// Values are limited to +- this many standard deviations of their channel before they are quantised.
    std::optional<double> clipSigmas;
    /// MaxAbsBins.
    int bins = 32;
    /// Uniform, BlockNorm, Kivi.
    int bits = 8;
    ScaleAxis axis = ScaleAxis::Token;
    /// Uniform, Kivi: values that share a scale along the axis; 0 means all of them.
    int group = 0;
    /// Uniform: the range is +- max-abs instead of min to max.
    bool symmetric = true;
    /// BlockNorm.
    int block = 128;
    double topFraction = 0.02;
    /// Kivi.
    int residual = 128;
    /// Step: quantisation step in units of the plane's centred rms.
    double step = 0.25;
    /// Zstd and its kin, Zlib.
    int level = 3;
    /// Predictor::Anchor.
    int anchorGroup = 10;

    bool operator==(const Pipeline&) const = default;

    /// Whether decoding gives the values back bit for bit.
    [[nodiscard]] bool isLossless() const { return quantiser == Quantiser::None && transform == Transform::None && !clipSigmas; }
};

/// Names used in JSON and shown: "rope-inverse", "max-abs bins", "rans" ...
std::string_view nameOf(Transform transform);
std::string_view nameOf(Predictor predictor);
std::string_view nameOf(Quantiser quantiser);
std::string_view nameOf(ScaleAxis axis);
std::string_view nameOf(EntropyCoder coder);

/// One line for people: "K/V per-token 8 bit, rANS".
std::string describe(const Pipeline& pipeline);

} // namespace kvscope
