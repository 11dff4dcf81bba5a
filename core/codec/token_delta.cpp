// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/token_delta.h"

namespace kvscope {

namespace {

std::uint64_t load(const std::byte* at, std::size_t size) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, size);
    return word;
}

} // namespace

void subtractTokenBefore(SymbolGrid& grid) {
    const auto channels = static_cast<std::size_t>(grid.channels);
    const auto mask = static_cast<unsigned>((1U << grid.bits()) - 1);
    for (std::size_t i = grid.symbols.size(); i-- > channels;)
        grid.symbols[i] = static_cast<std::uint16_t>((grid.symbols[i] - grid.symbols[i - channels]) & mask);
}

void addTokenBefore(SymbolGrid& grid) {
    const auto channels = static_cast<std::size_t>(grid.channels);
    const auto mask = static_cast<unsigned>((1U << grid.bits()) - 1);
    for (std::size_t i = channels; i < grid.symbols.size(); ++i)
        grid.symbols[i] = static_cast<std::uint16_t>((grid.symbols[i] + grid.symbols[i - channels]) & mask);
}

void subtractTokenBefore(std::span<std::byte> words, std::size_t wordSize, std::size_t channels) {
    const std::size_t row = channels * wordSize;
    for (std::size_t at = words.size(); at > row;) {
        at -= wordSize;
        const std::uint64_t word = load(&words[at], wordSize) - load(&words[at - row], wordSize);
        std::memcpy(&words[at], &word, wordSize);
    }
}

void addTokenBefore(std::span<std::byte> words, std::size_t wordSize, std::size_t channels) {
    const std::size_t row = channels * wordSize;
    for (std::size_t at = row; at < words.size(); at += wordSize) {
        const std::uint64_t word = load(&words[at], wordSize) + load(&words[at - row], wordSize);
        std::memcpy(&words[at], &word, wordSize);
    }
}

} // namespace kvscope
