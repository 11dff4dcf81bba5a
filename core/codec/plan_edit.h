// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/codec/plan.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvscope {

/// A stretch of a plane's tokens with one pipeline.
struct PlaneSegment {
    TokenRange tokens;
    Pipeline pipeline;

    bool operator==(const PlaneSegment&) const = default;
};

/// What the plan does to one layer's K, V or latent: stretches in order without gaps from slot 0; those that begin at
/// or after `tokens` are left out and the last one has the open end.
std::vector<PlaneSegment> segmentsOf(const CodecPlan& plan, LayerKind cell, std::int64_t tokens = kOpenEnd);

/// Makes the cell do what the segments say.
void setSegments(CodecPlan& plan, LayerKind cell, std::span<const PlaneSegment> segments);

/// Changes every pipeline of the cells, each stretch of tokens by itself; only tokens in the range (whose ends are
/// multiples of the chunk, or open) are changed.
void adjust(CodecPlan& plan, std::span<const LayerKind> cells, const std::function<Pipeline(const Pipeline&)>& change,
            TokenRange tokens = tokenRange(0, kOpenEnd));

/// The plan with chunks of another size; ends of token ranges move to the nearest chunk boundary.
CodecPlan withChunkTokens(CodecPlan plan, std::int64_t chunkTokens);

/// The one number that says how coarse a quantiser is.
struct Strength {
    enum class Unit : std::uint8_t {
        Bits, ///< a value, before entropy coding
        Bins, ///< of a token
        Step, ///< in standard deviations
    };
    Unit unit = Unit::Bits;
    double value = 0;

    bool operator==(const Strength&) const = default;
};

/// Nothing for quantisers without such a number (lossless, fp8).
std::optional<Strength> strengthOf(const Pipeline& pipeline);

/// The pipeline at a strength. Step and anchor-delta quantisers take steps, max-abs bins take bins, all others bits;
/// bits are understood by every quantiser (see withBits). Fails when the number is outside the quantiser's range or its
/// unit does not go with the quantiser; the error names the field.
Result<Pipeline> withStrength(const Pipeline& pipeline, Strength strength);

/// The pipeline at about so many bits a value: the nearest number of bits or bins the quantiser has, or the step at
/// which Gaussian values need so many bits (gaussianStep). Values kept bit by bit and fp8 become steps with the kvz
/// coder.
Pipeline withBits(const Pipeline& pipeline, double bits);

/// So many notches coarser (negative: finer), as far as the quantiser goes: a bit, a halving of the bins or a tenth of
/// a factor of two of the step each. Quantisers without a strength stay as they are.
Pipeline coarser(const Pipeline& pipeline, int notches);

/// Entropy in bits of a Gaussian value of unit variance rounded to multiples of the step.
double gaussianBits(double step);
/// The step at which gaussianBits gives so many bits (0.05 to 16).
double gaussianStep(double bits);

/// A strength as people type it: "4" or "4 bits", "32 bins", "0.45s" or "0.45 sigma".
Result<Strength> strengthFromText(std::string_view text);
/// What strengthFromText reads back.
std::string toText(Strength strength);

/// A few letters for a table cell, e.g. "kvz 0.45σ", "gear", "32 bins huffman".
std::string shortForm(const Pipeline& pipeline);

} // namespace kvscope
