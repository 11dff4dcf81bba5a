// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/store/context_store.h"

#include "core/base/hash.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

namespace kvscope {

namespace {

bool isNameByte(char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
           byte == '.' || byte == '_' || byte == '-';
}

} // namespace

std::string ChunkKey::text() const {
    std::array<char, 48> text{};
    const int length = std::snprintf(text.data(), text.size(), "%016llx-%lld", static_cast<unsigned long long>(hash),
                                     static_cast<long long>(bytes));
    return {text.data(), static_cast<std::size_t>(length)};
}

std::optional<ChunkKey> chunkKeyFrom(std::string_view text) {
    ChunkKey key;
    const char* end = text.data() + text.size();
    const auto hash = std::from_chars(text.data(), end, key.hash, 16);
    if (hash.ec != std::errc() || hash.ptr == end || *hash.ptr != '-')
        return std::nullopt;
    const auto size = std::from_chars(hash.ptr + 1, end, key.bytes);
    if (size.ec != std::errc() || size.ptr != end || key.bytes < 0 || key.text() != text)
        return std::nullopt;
    return key;
}

Result<std::vector<std::byte>> ContextStore::readChunk(const ChunkKey& key) const {
    KVSCOPE_ASSIGN(auto bytes, fetchChunk(key));
    if (static_cast<std::int64_t>(bytes.size()) != key.bytes || hashBytes(bytes) != key.hash)
        return fail("is damaged: its content does not match its key", name() + ", chunk " + key.text(),
                    "Put the context into the store again");
    return bytes;
}

Result<bool> ContextStore::writeChunk(const ChunkKey& key, std::span<const std::byte> bytes) {
    if (key.bytes > kMaxRecordBytes)
        return fail("is larger than a store's records may be (512 MiB)", name() + ", chunk " + key.text(),
                    "Encode with smaller chunks");
    KVSCOPE_ASSIGN(const bool there, holdsChunk(key));
    if (there)
        return false;
    if (auto kept = keepChunk(key, bytes); !kept) {
        // Someone else may have written the same chunk meanwhile.
        if (const auto now = holdsChunk(key); now && *now)
            return false;
        return tl::unexpected<Error>(std::move(kept.error()));
    }
    return true;
}

bool isContextName(std::string_view name) {
    return !name.empty() && name.size() <= kMaxContextName && name.front() != '.' &&
           std::ranges::all_of(name, isNameByte);
}

std::string contextNameFrom(std::string_view text) {
    std::string name(text.substr(0, kMaxContextName));
    std::ranges::replace_if(
        name, [](char byte) { return !isNameByte(byte); }, '-');
    if (name.empty() || name.front() == '.')
        name.insert(name.begin(), '_');
    name.resize(std::min(name.size(), kMaxContextName));
    return name;
}

} // namespace kvscope
