// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/symbol_coder.h"

#include "core/base/checked.h"
#include "core/codec/side_bits.h"
#include "core/codec/symbol_plan.h"
#include "core/codec/symbol_plane.h"
#include "core/codec/symbol_predict.h"

#include <algorithm>
#include <bit>
#include <new>
#include <string>
#include <utility>

namespace kvscope {

namespace {

Result<void> checkShape(std::int64_t tokens, std::int64_t channels, std::size_t symbols) {
    const auto values = checkedProduct({tokens, channels});
    if (!values || *values != static_cast<std::int64_t>(symbols))
        return fail("a plane of " + std::to_string(tokens) + " tokens and " + std::to_string(channels) +
                        " channels does not hold " + std::to_string(symbols) + " symbols",
                    "symbol coder");
    return {};
}

auto outOfMemory() {
    return fail("there is not enough memory", "symbol coder", "Close other programs or use smaller chunks.",
                Error::Kind::System);
}

/// Means of the channels, rounded, halves up.
template <class Symbol> std::vector<std::int32_t> meansOf(std::span<const Symbol> symbols, std::size_t channels) {
    std::vector<std::int64_t> sums(channels);
    for (std::size_t i = 0; i < symbols.size();) {
        for (std::size_t c = 0; c < channels; ++c, ++i)
            sums[c] += symbols[i];
    }
    std::vector<std::int32_t> means(channels);
    const auto count = static_cast<std::int64_t>(symbols.size() / channels);
    for (std::size_t c = 0; c < channels; ++c) {
        const std::int64_t twice = 2 * sums[c] + count;
        means[c] = static_cast<std::int32_t>(twice / (2 * count) - (twice % (2 * count) < 0 ? 1 : 0));
    }
    return means;
}

/// Sets small means to zero where they save less than they take.
template <class Symbol> void dropMeans(std::span<const Symbol> symbols, std::vector<std::int32_t>& means) {
    constexpr std::int32_t kSmall = 64;
    constexpr std::int32_t kMostSquared = 1 << 16;
    std::vector<std::uint64_t> squares(means.size());
    for (std::size_t i = 0; i < symbols.size();) {
        for (std::size_t c = 0; c < means.size(); ++c, ++i) {
            const std::int64_t number = std::clamp(symbols[i] - means[c], -kMostSquared, kMostSquared);
            squares[c] += static_cast<std::uint64_t>(number * number);
        }
    }
    const auto count = static_cast<std::int64_t>(symbols.size() / means.size());
    for (std::size_t c = 0; c < means.size(); ++c) {
        if (means[c] > kSmall || means[c] < -kSmall)
            continue;
        const std::uint64_t without =
            squares[c] + static_cast<std::uint64_t>(count) * static_cast<std::uint64_t>(means[c] * means[c]);
        if (modelledBits(count, without) - modelledBits(count, squares[c]) < golombBits(zigzagOf(means[c]), 2) * 256)
            means[c] = 0;
    }
}

template <class Symbol>
SymbolPlane centred(std::span<const Symbol> symbols, std::int64_t tokens, std::vector<std::int32_t> means) {
    SymbolPlane plane{tokens, static_cast<std::int64_t>(means.size()), {}, {}, true, std::move(means)};
    plane.narrow.resize(symbols.size());
    const auto isNarrow = [](std::int32_t number) { return number >= -kMostNarrow && number <= kMostNarrow; };
    for (std::size_t i = 0; i < symbols.size() && plane.isNarrow;) {
        for (std::size_t c = 0; c < plane.means.size(); ++c, ++i) {
            const std::int32_t number = symbols[i] - plane.means[c];
            plane.isNarrow = plane.isNarrow && isNarrow(number);
            plane.narrow[i] = static_cast<std::int16_t>(number);
        }
    }
    if (plane.isNarrow)
        return plane;
    plane.narrow = {};
    plane.wide.resize(symbols.size());
    for (std::size_t i = 0; i < symbols.size();) {
        for (std::size_t c = 0; c < plane.means.size(); ++c, ++i)
            plane.wide[i] = symbols[i] - plane.means[c];
    }
    return plane;
}

template <class Symbol>
Result<EncodedSymbols> encode(std::span<const Symbol> symbols, std::int64_t tokens, std::int64_t channels,
                              const SymbolOptions& options) {
    KVSCOPE_TRY(checkShape(tokens, channels, symbols.size()));
    const auto inRange = [](std::int32_t symbol) { return symbol >= -kMostSymbol && symbol <= kMostSymbol; };
    if (!std::ranges::all_of(symbols, inRange))
        return fail("a symbol is beyond 2^28", "symbol coder");
    try {
        std::vector<std::int32_t> means(static_cast<std::size_t>(channels));
        if (symbols.empty() || options.predictor == Predictor::None)
            return encodePlane(centred(symbols, tokens, std::move(means)), options);
        means = meansOf(symbols, means.size());
        if (options.predictor == Predictor::Best)
            dropMeans(symbols, means);
        KVSCOPE_ASSIGN(auto encoded, encodePlane(centred(symbols, tokens, std::move(means)), options));
        // In a few tokens means are a large part, and wild symbols are best packed without them.
        constexpr std::int64_t kFewTokens = 16;
        const auto [least, most] = std::ranges::minmax(symbols);
        const auto width = static_cast<std::size_t>(std::bit_width(static_cast<std::uint32_t>(most - least)));
        const bool few = options.predictor == Predictor::Best && tokens <= kFewTokens;
        if (!few && encoded.bytes.size() * 8 <= symbols.size() * width)
            return encoded;
        KVSCOPE_ASSIGN(auto without, encodePlane(centred(symbols, tokens,
                                                         std::vector<std::int32_t>(static_cast<std::size_t>(channels))),
                                                 options));
        return without.bytes.size() < encoded.bytes.size() ? std::move(without) : std::move(encoded);
    } catch (const std::bad_alloc&) {
        return outOfMemory();
    }
}

template <class Symbol>
Result<void> decode(std::span<const std::byte> bytes, std::int64_t tokens, std::int64_t channels,
                    std::span<Symbol> symbols) {
    KVSCOPE_TRY(checkShape(tokens, channels, symbols.size()));
    try {
        KVSCOPE_ASSIGN(const auto plane, decodePlane(bytes, tokens, channels));
        const auto add = [&](const auto& numbers) {
            for (std::size_t i = 0; i < symbols.size();) {
                for (std::size_t c = 0; c < plane.means.size(); ++c, ++i)
                    symbols[i] = wrapped<Symbol>(static_cast<std::uint32_t>(numbers[i]) +
                                                 static_cast<std::uint32_t>(plane.means[c]));
            }
        };
        if (plane.isNarrow)
            add(plane.narrow);
        else
            add(plane.wide);
        return {};
    } catch (const std::bad_alloc&) {
        return outOfMemory();
    }
}

} // namespace

Result<EncodedSymbols> encodeSymbols(std::span<const std::int32_t> symbols, std::int64_t tokens, std::int64_t channels,
                                     const SymbolOptions& options) {
    return encode(symbols, tokens, channels, options);
}

Result<EncodedSymbols> encodeSymbols(std::span<const std::int16_t> symbols, std::int64_t tokens, std::int64_t channels,
                                     const SymbolOptions& options) {
    return encode(symbols, tokens, channels, options);
}

Result<void> decodeSymbols(std::span<const std::byte> bytes, std::int64_t tokens, std::int64_t channels,
                           std::span<std::int32_t> symbols) {
    return decode(bytes, tokens, channels, symbols);
}

Result<void> decodeSymbols(std::span<const std::byte> bytes, std::int64_t tokens, std::int64_t channels,
                           std::span<std::int16_t> symbols) {
    return decode(bytes, tokens, channels, symbols);
}

} // namespace kvscope
