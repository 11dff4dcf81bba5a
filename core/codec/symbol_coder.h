// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/codec/channel_terms.h"
#include "core/codec/chunk_codec.h"
#include "core/codec/pipeline.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// KVScope's coder for planes of integers: whatever a quantiser makes of a chunk becomes bytes here. Each row may be
/// predicted from an earlier row of the chunk that resembles it (a repeated word gives nearly the same values), each
/// channel from its mean or the token before; what is left goes through 32-lane rANS with a table class for each
/// channel. FORMAT.md, section "kvz chunk", describes the bytes.
namespace kvscope {

/// Symbols are within +-kMostSymbol.
inline constexpr std::int32_t kMostSymbol = 1 << 28;

/// What encodeSymbols makes of a plane of integers.
struct EncodedSymbols {
    std::vector<std::byte> bytes;
    /// Adds up to bytes.size().
    PartBytes parts;
    /// Bits of each channel as its tables cost them, raw bits included; empty when the symbols are stored packed.
    std::vector<float> channelBits;
    /// Sum over channels of the order-0 entropy of what is coded (after prediction), in bits.
    double entropyBits = 0;
    /// The same channel by channel; filled where entropyBits is.
    std::vector<float> channelEntropyBits;
    /// Sum over channels of what an ideal adaptive code (Krichevsky and Trofimov's estimator over the channel's range)
    /// would spend on the same, in bits; filled only when asked for.
    double adaptiveBits = 0;
};

/// Further wishes of encodeSymbols.
struct SymbolOptions {
    Predictor predictor = Predictor::Best;
    /// Fills EncodedSymbols::channelBits, entropyBits and channelEntropyBits; coding does without them.
    bool statistics = true;
    /// Fills EncodedSymbols::adaptiveBits.
    bool adaptiveBits = false;
    /// Stands before everything in EncodedSymbols::bytes and counts in none of the parts.
    std::span<const std::byte> front = {};
    /// What channels may be predicted from; whoever decodes needs the same. Not owned.
    const ChannelTerms* terms = nullptr;
};

/// Encodes symbols [tokens][channels]; never longer than packing them at the bits of their range (and a few bytes of
/// header). Fails for symbols beyond +-kMostSymbol and for sizes that do not fit.
Result<EncodedSymbols> encodeSymbols(std::span<const std::int32_t> symbols, std::int64_t tokens, std::int64_t channels,
                                     const SymbolOptions& options = {});
Result<EncodedSymbols> encodeSymbols(std::span<const std::int16_t> symbols, std::int64_t tokens, std::int64_t channels,
                                     const SymbolOptions& options = {});

/// Decodes into symbols [tokens][channels]. Trusts nothing: errors name the part that is wrong; symbols of damaged
/// bytes may be any integers (within int16 for the second).
Result<void> decodeSymbols(std::span<const std::byte> bytes, std::int64_t tokens, std::int64_t channels,
                           std::span<std::int32_t> symbols);
Result<void> decodeSymbols(std::span<const std::byte> bytes, std::int64_t tokens, std::int64_t channels,
                           std::span<std::int16_t> symbols);

} // namespace kvscope
