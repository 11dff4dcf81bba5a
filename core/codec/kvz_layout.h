// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/base/result.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

/// The fixed parts of a .kvz file; core/codec/FORMAT.md describes every byte.
namespace kvscope {

inline constexpr std::array<unsigned char, 8> kKvzMagic{0x89, 'K', 'V', 'Z', '\r', '\n', 0x1A, '\n'};
inline constexpr std::uint32_t kKvzVersion = 4;
/// The header with both roots; chunks start behind it.
inline constexpr std::int64_t kKvzHeaderBytes = 1536;
inline constexpr std::array<std::int64_t, 2> kKvzRootOffsets{512, 1024};
inline constexpr std::int64_t kKvzRootBytes = 64;

/// Says which directory holds; a file has two and writes them by turns, so that one is always whole.
struct KvzRoot {
    /// Counts the times the file was written; the root with the higher one holds. Its parity says which root it is.
    std::uint64_t generation = 0;
    std::int64_t directoryOffset = 0;
    std::int64_t directoryBytes = 0;
    std::uint64_t directoryHash = 0;
    /// End of all that this root refers to.
    std::int64_t fileBytes = 0;

    bool operator==(const KvzRoot&) const = default;
    /// Where in the file it is written.
    [[nodiscard]] std::int64_t offset() const { return kKvzRootOffsets[generation % 2]; }
};

/// Whether a file that starts with these bytes says that it is a .kvz.
bool looksLikeKvz(std::span<const std::byte> head);

/// The header without roots.
std::array<std::byte, kKvzHeaderBytes> kvzHeader();
std::array<std::byte, kKvzRootBytes> toBytes(const KvzRoot& root);

/// Checks magic, version and header hash and reads the roots that are whole, the newest first. Fails when none is.
Result<std::vector<KvzRoot>> readKvzRoots(const ByteSource& file);

} // namespace kvscope
