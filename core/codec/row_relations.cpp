// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/row_relations.h"

#include "core/base/hash.h"
#include "core/codec/reference_kernels.h"
#include "core/codec/side_bits.h"
#include "core/codec/symbol_layout.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <numeric>
#include <unordered_map>

namespace kvscope {

namespace {

/// For rows of which `counts` says so, which earlier row they are related to.
template <class Counts>
void putRelation(SideBitWriter& writer, const std::vector<std::uint32_t>& relation, const Counts& counts) {
    const bool any = anyOther(relation);
    writer.put(any ? 1 : 0, 1);
    for (std::size_t t = 1; any && t < relation.size(); ++t) {
        if (!counts(t))
            continue;
        writer.put(relation[t] != t ? 1 : 0, 1);
        if (relation[t] != t)
            writer.put(relation[t], static_cast<int>(std::bit_width(t - 1)));
    }
}

/// False when a row is related to a later one.
template <class Counts>
bool getRelation(SideBitReader& reader, std::vector<std::uint32_t>& relation, const Counts& counts) {
    std::iota(relation.begin(), relation.end(), 0U);
    if (reader.get(1) == 0)
        return true;
    for (std::size_t t = 1; t < relation.size() && reader.good(); ++t) {
        if (!counts(t) || reader.get(1) == 0)
            continue;
        relation[t] = reader.get(static_cast<int>(std::bit_width(t - 1)));
        if (relation[t] >= t)
            return false;
    }
    return true;
}

} // namespace

std::vector<std::uint32_t> findTwins(std::span<const std::byte> native, std::size_t tokens) {
    std::vector<std::uint32_t> twins(tokens);
    const std::size_t rowBytes = tokens > 0 ? native.size() / tokens : 0;
    std::unordered_map<std::uint64_t, std::uint32_t> seen;
    seen.reserve(tokens);
    for (std::size_t t = 0; t < tokens; ++t) {
        const auto row = native.subspan(t * rowBytes, rowBytes);
        const auto [at, isNew] = seen.try_emplace(hashBytes(row), static_cast<std::uint32_t>(t));
        const bool equal = !isNew && std::memcmp(row.data(), native.data() + at->second * rowBytes, rowBytes) == 0;
        twins[t] = equal ? at->second : static_cast<std::uint32_t>(t);
    }
    return twins;
}

std::vector<std::uint32_t> findLikes(std::span<const std::byte> native, std::size_t valueBytes, bool rotate,
                                     const std::vector<std::uint32_t>& twins) {
    constexpr std::size_t kMostBefore = 512;
    const std::size_t tokens = twins.size();
    const std::size_t channels = tokens > 0 ? native.size() / tokens / valueBytes : 0;
    const std::size_t width = std::min(channels, kLikenessWidth);
    std::vector<std::uint8_t> sketch(tokens * kLikenessWidth);
    for (std::size_t t = 0; t < tokens; ++t) {
        for (std::size_t i = 0; i < width; ++i) {
            const std::byte* value = native.data() + (t * channels + i * channels / width) * valueBytes;
            const auto top = std::to_integer<unsigned>(value[valueBytes - 1]);
            const auto next = valueBytes > 1 ? std::to_integer<unsigned>(value[valueBytes - 2]) : 0U;
            sketch[t * kLikenessWidth + i] = static_cast<std::uint8_t>(rotate ? top << 1 | next >> 7 : top);
        }
    }
    std::vector<std::uint32_t> likes(tokens);
    std::iota(likes.begin(), likes.end(), 0U);
    std::array<std::uint8_t, kMostBefore> same{};
    // What narrow rows lack is zero in all of them.
    const std::size_t least = (width + 2) / 3 + (kLikenessWidth - width);
    for (std::size_t t = 1; t < tokens; ++t) {
        if (twins[t] != t)
            continue;
        const std::size_t first = t > kMostBefore ? t - kMostBefore : 0;
        countSame(sketch.data() + t * kLikenessWidth, sketch.data() + first * kLikenessWidth, t - first, same.data());
        // The last of those that share most.
        const auto before = std::span(same).first(t - first);
        const auto most = std::ranges::max_element(before.rbegin(), before.rend());
        if (*most > least)
            likes[t] = static_cast<std::uint32_t>(t - 1 - static_cast<std::size_t>(most - before.rbegin()));
    }
    return likes;
}

bool anyOther(const std::vector<std::uint32_t>& relation) {
    for (std::size_t t = 0; t < relation.size(); ++t) {
        if (relation[t] != t)
            return true;
    }
    return false;
}

void putRelations(const RowRelations& relations, std::vector<std::byte>& out) {
    SideBitWriter writer(out);
    putRelation(writer, relations.twins, [](std::size_t) { return true; });
    putRelation(writer, relations.likes, [&](std::size_t t) { return relations.twins[t] == t; });
    writer.finish();
}

Result<ReadRelations> getRelations(std::span<const std::byte> bytes, std::size_t tokens) {
    SideBitReader reader(bytes);
    ReadRelations read;
    std::vector<std::uint32_t>& twins = read.relations.twins;
    std::vector<std::uint32_t>& likes = read.relations.likes;
    twins.resize(tokens);
    likes.resize(tokens);
    if (!getRelation(reader, twins, [](std::size_t) { return true; }) ||
        !getRelation(reader, likes, [&](std::size_t t) { return twins[t] == t; }))
        return damagedChunk("equal rows", "a row is said to be like a later one");
    if (!reader.good())
        return damagedChunk("equal rows", "the bytes end too early");
    read.bytes = reader.bytesRead();
    return read;
}

} // namespace kvscope
