// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace kvscope {

/// A position along one axis of a KV cache; positions of different axes do not mix.
template <class Axis> struct Index {
    std::int64_t value = 0;

    constexpr Index() = default;
    constexpr explicit Index(std::int64_t position)
        : value(position) {}

    constexpr auto operator<=>(const Index&) const = default;
    constexpr Index& operator++() {
        ++value;
        return *this;
    }
    constexpr Index operator+(std::int64_t offset) const { return Index(value + offset); }
    constexpr Index operator-(std::int64_t offset) const { return Index(value - offset); }
    constexpr std::int64_t operator-(Index other) const { return value - other.value; }
};

using LayerIndex = Index<struct LayerAxis>;
using HeadIndex = Index<struct HeadAxis>;
/// Channel of a plane: head * headDim + dimension within the head.
using ChannelIndex = Index<struct ChannelAxis>;
/// Slot of a token in the cache (not its position in the text; see PlaneGeometry::position).
using TokenIndex = Index<struct TokenAxis>;
/// Sequence of a batch.
using SequenceIndex = Index<struct SequenceAxis>;

/// Half-open range [begin, end) along one axis.
template <class Axis> struct Range {
    Index<Axis> begin;
    Index<Axis> end;

    constexpr auto operator<=>(const Range&) const = default;
    [[nodiscard]] constexpr std::int64_t size() const { return end - begin; }
    [[nodiscard]] constexpr bool empty() const { return end <= begin; }
    [[nodiscard]] constexpr bool contains(Index<Axis> position) const { return begin <= position && position < end; }
    [[nodiscard]] constexpr bool contains(Range other) const { return begin <= other.begin && other.end <= end; }
    /// What both ranges cover; empty (begin == end) when they do not meet.
    [[nodiscard]] constexpr Range intersected(Range other) const {
        const auto first = std::max(begin, other.begin);
        return {first, std::max(first, std::min(end, other.end))};
    }
};

using LayerRange = Range<LayerAxis>;
using ChannelRange = Range<ChannelAxis>;
using TokenRange = Range<TokenAxis>;

/// Short forms for ranges from plain numbers.
constexpr TokenRange tokenRange(std::int64_t begin, std::int64_t end) {
    return {TokenIndex(begin), TokenIndex(end)};
}
constexpr ChannelRange channelRange(std::int64_t begin, std::int64_t end) {
    return {ChannelIndex(begin), ChannelIndex(end)};
}
constexpr LayerRange layerRange(std::int64_t begin, std::int64_t end) {
    return {LayerIndex(begin), LayerIndex(end)};
}

} // namespace kvscope

template <class Axis> struct std::hash<kvscope::Index<Axis>> {
    std::size_t operator()(kvscope::Index<Axis> index) const noexcept { return std::hash<std::int64_t>{}(index.value); }
};
