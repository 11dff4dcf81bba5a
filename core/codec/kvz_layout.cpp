// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/kvz_layout.h"

#include "core/base/checked.h"
#include "core/base/hash.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

namespace kvscope {

namespace {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they lie");

constexpr std::size_t kVersionOffset = 8;
constexpr std::size_t kHeaderSizeOffset = 12;
constexpr std::size_t kHeaderHashOffset = 16;
constexpr std::size_t kRootHashOffset = 56;
constexpr const char* kDamaged = "The file is damaged or was never finished; encode the dump again";

template <class T> void put(std::span<std::byte> bytes, std::size_t offset, T value) {
    std::memcpy(bytes.data() + offset, &value, sizeof value);
}

template <class T> T take(std::span<const std::byte> bytes, std::size_t offset) {
    T value{};
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

/// The root, where its hash says that it is whole and its ranges lie in the file.
std::optional<KvzRoot> rootFrom(std::span<const std::byte> bytes, std::int64_t fileSize) {
    if (take<std::uint64_t>(bytes, kRootHashOffset) != hashBytes(bytes.first(kRootHashOffset)))
        return std::nullopt;
    const KvzRoot root{take<std::uint64_t>(bytes, 0), take<std::int64_t>(bytes, 8), take<std::int64_t>(bytes, 16),
                       take<std::uint64_t>(bytes, 24), take<std::int64_t>(bytes, 32)};
    const auto end = checkedAdd(root.directoryOffset, root.directoryBytes);
    if (root.generation == 0 || root.directoryOffset < kKvzHeaderBytes || root.directoryBytes <= 0 || !end ||
        *end > root.fileBytes || root.fileBytes > fileSize)
        return std::nullopt;
    return root;
}

} // namespace

bool looksLikeKvz(std::span<const std::byte> head) {
    return head.size() >= kKvzMagic.size() && std::memcmp(head.data(), kKvzMagic.data(), kKvzMagic.size()) == 0;
}

std::array<std::byte, kKvzHeaderBytes> kvzHeader() {
    std::array<std::byte, kKvzHeaderBytes> header{};
    std::memcpy(header.data(), kKvzMagic.data(), kKvzMagic.size());
    put(header, kVersionOffset, kKvzVersion);
    put(header, kHeaderSizeOffset, static_cast<std::uint32_t>(kKvzHeaderBytes));
    put(header, kHeaderHashOffset, hashBytes(std::span(header).first(kHeaderHashOffset)));
    return header;
}

std::array<std::byte, kKvzRootBytes> toBytes(const KvzRoot& root) {
    std::array<std::byte, kKvzRootBytes> bytes{};
    put(bytes, 0, root.generation);
    put(bytes, 8, root.directoryOffset);
    put(bytes, 16, root.directoryBytes);
    put(bytes, 24, root.directoryHash);
    put(bytes, 32, root.fileBytes);
    put(bytes, kRootHashOffset, hashBytes(std::span(bytes).first(kRootHashOffset)));
    return bytes;
}

Result<std::vector<KvzRoot>> readKvzRoots(const ByteSource& file) {
    if (file.size() < kKvzHeaderBytes)
        return fail("is too short for a .kvz file (" + std::to_string(file.size()) + " bytes)", file.name(), kDamaged);
    KVSCOPE_ASSIGN(const auto header, file.read(0, kKvzHeaderBytes));
    if (!looksLikeKvz(header))
        return fail("does not start like a .kvz file", file.name(), "Choose another file");
    const auto version = take<std::uint32_t>(header, kVersionOffset);
    if (version != kKvzVersion)
        return fail("is of version " + std::to_string(version) + " of the format; this program reads version " +
                        std::to_string(kKvzVersion),
                    file.name(), "Use a newer version of the program");
    if (take<std::uint64_t>(header, kHeaderHashOffset) != hashBytes(std::span(header).first(kHeaderHashOffset)) ||
        take<std::uint32_t>(header, kHeaderSizeOffset) != static_cast<std::uint32_t>(kKvzHeaderBytes))
        return fail("has a damaged header", file.name() + ", byte 0", kDamaged);
    std::vector<KvzRoot> roots;
    for (const std::int64_t offset : kKvzRootOffsets) {
        const auto bytes = std::span(header).subspan(static_cast<std::size_t>(offset), kKvzRootBytes);
        if (const auto root = rootFrom(bytes, file.size()); root && root->offset() == offset)
            roots.push_back(*root);
    }
    std::ranges::sort(roots, std::greater<>(), &KvzRoot::generation);
    if (roots.empty())
        return fail("has no whole directory", file.name() + ", bytes 512 and 1024", kDamaged);
    return roots;
}

} // namespace kvscope
