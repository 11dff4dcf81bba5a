// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/codec/channel_terms.h"
#include "core/codec/pipeline.h"
#include "core/kv/geometry.h"
#include "core/kv/rope.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace kvscope {

/// What the bytes of an encoded chunk are for.
enum class BytePart : std::uint8_t { Payload, Tables, Scales, Exceptions, Header };
inline constexpr std::array kAllByteParts{BytePart::Payload, BytePart::Tables, BytePart::Scales, BytePart::Exceptions,
                                          BytePart::Header};

/// Bytes by part; everything a decoder needs is in one of them.
struct PartBytes {
    std::array<std::int64_t, kAllByteParts.size()> bytes{};

    bool operator==(const PartBytes&) const = default;
    std::int64_t& operator[](BytePart part) { return bytes[static_cast<std::size_t>(part)]; }
    std::int64_t operator[](BytePart part) const { return bytes[static_cast<std::size_t>(part)]; }
    [[nodiscard]] std::int64_t total() const;
    PartBytes& operator+=(const PartBytes& other);
};

/// What is measured once for a plane and then holds for all its chunks, those appended later included. After the
/// pipeline's transform, over finite values.
struct PlaneCalibration {
    /// Rms about the channels' means.
    float centredRms = 0;
    /// Standard deviation of the differences between each token and the anchor of its group.
    float anchorDeltaSigma = 0;
    /// Mean and standard deviation of each channel; filled only for pipelines that clip.
    std::vector<float> channelMean;
    std::vector<float> channelSigma;
    /// What channels are predicted from; only for pipelines that usesChannelTerms() names.
    ChannelTerms channelTerms;

    bool operator==(const PlaneCalibration&) const = default;
};

/// Which part of which plane a chunk is.
struct ChunkShape {
    PlaneKind kind = PlaneKind::Key;
    PlaneGeometry plane;
    TokenRange tokens;
    /// RoPE of the plane where it is known; needed by Transform::RopeInverse.
    const Rope* rope = nullptr;

    [[nodiscard]] std::int64_t values() const { return tokens.size() * plane.channels(); }
};

/// Rows [tokens][channels] of a chunk, as float32 and as stored.
struct ChunkInput {
    ChunkShape shape;
    std::span<const float> values;
    /// In the plane's dtype, little-endian.
    std::span<const std::byte> native;
};

struct EncodedChunk {
    /// All that decodeChunk needs besides pipeline, shape and calibration.
    std::vector<std::byte> bytes;
    /// Adds up to bytes.size().
    PartBytes parts;
    /// Bytes by the published method's own accounting, where it has one that differs.
    std::optional<std::int64_t> publishedBytes;
    /// Payload bits spent on each channel, as the coder's tables cost them; empty where the coder has no channels.
    std::vector<float> channelBits;
    /// Sum over channels of the order-0 entropy of the symbols, in bits; nothing where there are no symbols.
    std::optional<double> entropyBits;
    /// The same channel by channel, beside channelBits; may be empty.
    std::vector<float> channelEntropyBits;
};

/// Measures a plane for a pipeline. `rows` are all tokens of the plane, or a sample of whole rows of it.
PlaneCalibration calibrate(const Pipeline& pipeline, const ChunkShape& shape, std::span<const float> rows);

/// What calibrating a plane for `to` would give, where the calibration of the same plane for `from` says it; nothing
/// where it does not (another transform, groups of another length, or nothing known of the channels).
std::optional<PlaneCalibration> calibrationFor(const Pipeline& to, const Pipeline& from,
                                               const PlaneCalibration& calibration);
/// Whether channels may be predicted from each other: kvz's own steps with the predictor of its choice.
bool usesChannelTerms(const Pipeline& pipeline);
/// The groups of tokens that a sample for calibration must not cut.
std::int64_t calibrationGroup(const Pipeline& pipeline);

/// Encodes one chunk. The pipeline has been validated; errors say which stage does not fit the plane.
Result<EncodedChunk> encodeChunk(const Pipeline& pipeline, const PlaneCalibration& calibration,
                                 const ChunkInput& input);

/// Decodes into float32 rows [tokens][channels]. Never trusts the bytes: errors name the part that is wrong.
Result<void> decodeChunk(const Pipeline& pipeline, const PlaneCalibration& calibration, const ChunkShape& shape,
                         std::span<const std::byte> bytes, std::span<float> out);

/// Decodes into the plane's dtype, little-endian [tokens][channels]; bit-exact for lossless pipelines, rounded to
/// nearest for others.
Result<void> decodeChunkNative(const Pipeline& pipeline, const PlaneCalibration& calibration, const ChunkShape& shape,
                               std::span<const std::byte> bytes, std::span<std::byte> out);

/// The values of a chunk that holds them as they are, in the plane's dtype: `bytes` itself, which nothing has to
/// decode. Nothing for all other chunks, and for one whose size does not fit.
std::optional<std::span<const std::byte>> storedValues(const Pipeline& pipeline, const ChunkShape& shape,
                                                       std::span<const std::byte> bytes);

} // namespace kvscope
