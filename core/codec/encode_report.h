// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/chunk_codec.h"
#include "core/codec/plan.h"
#include "core/stats/tensor_error.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kvscope {

/// What one chunk of a plane took.
struct ChunkReport {
    TokenRange tokens;
    /// Index into PlaneReport::pipelines.
    std::size_t pipeline = 0;
    /// With the chunk's share, by tokens, of the channel terms that the plane's chunks have in common.
    PartBytes parts;
    /// By the published method's own accounting where it differs; otherwise what parts add up to.
    std::int64_t publishedBytes = 0;
    /// Order-0 entropy of the symbols, channel by channel, in bits; nothing where there are no symbols.
    std::optional<double> entropyBits;
    /// Bits spent on each channel, everything included: the coder's payload bits where it knows them, the rest shared
    /// out evenly. Adds up to 8 * parts.total().
    std::vector<float> channelBits;
    /// Order-0 entropy of each channel's symbols, in bits; may be empty.
    std::vector<float> channelEntropyBits;
    /// Processor time.
    double encodeSeconds = 0;
    double decodeSeconds = 0;
};

/// What one plane took and lost.
struct PlaneReport {
    PlaneId plane;
    std::int64_t heads = 0;
    std::int64_t headDim = 0;
    /// Tokens that the chunks cover: all, or those that were appended.
    std::int64_t tokens = 0;
    /// What is decoded: the dump's own, or f32 for scaled and block-quantised dumps.
    DType dtype = DType::F16;
    /// As stored in the dump.
    std::int64_t dumpBytes = 0;
    std::vector<Pipeline> pipelines;
    /// In order, without gaps.
    std::vector<ChunkReport> chunks;

    /// Whether the fields below were measured.
    bool hasError = false;
    TensorErrorSums error;
    std::vector<TensorErrorSums> headErrors;
    /// Per channel: sums of e^2, x^2 and (x - channel mean)^2.
    std::vector<double> channelErrorEnergy;
    std::vector<double> channelEnergy;
    std::vector<double> channelCentredEnergy;
    /// Per token slot: sums over channels of e^2 and x^2.
    std::vector<float> tokenErrorEnergy;
    std::vector<float> tokenEnergy;

    [[nodiscard]] std::int64_t channels() const { return heads * headDim; }
    [[nodiscard]] std::int64_t values() const { return tokens * channels(); }
};

/// Relative L2 error of softmax(Q K^T / sqrt(d)) V of one layer over sampled causal query rows of all query heads, with
/// K and V decoded, only K, and only V.
struct AttentionError {
    LayerIndex layer;
    SequenceIndex sequence;
    std::int64_t queries = 0;
    double relative = 0;
    double keysOnly = 0;
    double valuesOnly = 0;
};

/// Sums over some planes, and the figures that follow from them.
struct EncodeTotals {
    std::int64_t values = 0;
    /// At the dump's own dtype.
    std::int64_t dumpBytes = 0;
    PartBytes parts;
    std::int64_t publishedBytes = 0;
    /// Of the chunks that have symbols, with their values.
    double entropyBits = 0;
    std::int64_t entropyValues = 0;
    double encodeSeconds = 0;
    double decodeSeconds = 0;
    bool hasError = false;
    TensorErrorSums error;

    void add(const PlaneReport& plane);

    [[nodiscard]] std::int64_t bytes() const { return parts.total(); }
    /// Everything included. These are 0 where there is nothing to divide by.
    [[nodiscard]] double bitsPerValue() const;
    [[nodiscard]] double publishedBitsPerValue() const;
    /// Against 16 bits a value: the headline everywhere.
    [[nodiscard]] double ratio() const;
    [[nodiscard]] double publishedRatio() const;
    /// Against the dump's own dtype.
    [[nodiscard]] double ratioToDump() const;
    /// Order-0 entropy of the symbols, bits a value; nothing where there are no symbols.
    [[nodiscard]] std::optional<double> entropyPerValue() const;
    /// Dump bytes a second of processor time, in GB (10^9); nothing where no time was measured.
    [[nodiscard]] std::optional<double> encodeGBps() const;
    [[nodiscard]] std::optional<double> decodeGBps() const;
};

/// The headline error of a kind: NMSEc for K and latent (a constant offset cancels in softmax), NMSE for V; 0 where the
/// plane carries no energy.
double headlineError(PlaneKind kind, const TensorErrorSums& sums);

/// Everything about one plan on one dump; all charts of the codec read only this.
struct EncodeReport {
    std::string dump;
    CodecPlan plan;
    /// By plane id.
    std::vector<PlaneReport> planes;
    /// By sequence and layer; empty where the dump has no queries.
    std::vector<AttentionError> attention;
    /// Wall time of the whole job.
    double seconds = 0;
    /// What the model needs to compute the same tokens; given or measured.
    std::optional<double> prefillTokensPerSecond;

    [[nodiscard]] const PlaneReport* find(PlaneId plane) const;
    /// Puts a plane in, in the place of an older report of it.
    void put(PlaneReport plane);
    /// All planes of a kind, in all sequences.
    [[nodiscard]] EncodeTotals totals(PlaneKind kind) const;
    /// All cache planes: K, V and latent weighted by their bytes.
    [[nodiscard]] EncodeTotals totals() const;
    [[nodiscard]] EncodeTotals totals(LayerIndex layer, PlaneKind kind) const;
    /// Encoding time as a share of the time that the prefill of the same tokens takes; nothing while that is unknown.
    [[nodiscard]] std::optional<double> encodeTimeToPrefill() const;
};

/// Adds the planes of a report over other planes (or sequences) of the same dump and plan.
void merge(EncodeReport& into, const EncodeReport& other);

/// Error and bits of a kind by text slot: one point for each stretch of `stride` tokens.
struct TokenPoint {
    TokenRange tokens;
    double bitsPerValue = 0;
    /// sum e^2 / sum x^2; 0 without energy.
    double nmse = 0;
};
std::vector<TokenPoint> byToken(const EncodeReport& report, PlaneKind kind, std::int64_t stride);

/// Everything as JSON: totals by kind and weighted, layers, planes with heads; arrays over channels and tokens only
/// when `detailed`.
std::string toJson(const EncodeReport& report, bool detailed = false);

/// One line a plane, with a header: figures of EncodeTotals and TensorError.
std::string toCsv(const EncodeReport& report);

} // namespace kvscope
