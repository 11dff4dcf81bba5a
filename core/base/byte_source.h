// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace kvscope {

/// Random access to a run of bytes that does not move: a file, a part of one, or memory. Safe to read from any thread.
class ByteSource {
public:
    ByteSource() = default;
    virtual ~ByteSource() = default;
    ByteSource(const ByteSource&) = delete;
    ByteSource& operator=(const ByteSource&) = delete;

    /// Size in bytes when the source was opened.
    [[nodiscard]] virtual std::int64_t size() const = 0;
    /// What to call it in messages (a path, or a member of an archive).
    [[nodiscard]] virtual const std::string& name() const = 0;
    /// Fills `out` from `offset`; fails with the offset when the range is not there (or no longer there).
    [[nodiscard]] virtual Result<void> readAt(std::int64_t offset, std::span<std::byte> out) const = 0;

    /// Reads [offset, offset + count) into fresh memory, after checking it against size().
    [[nodiscard]] Result<std::vector<std::byte>> read(std::int64_t offset, std::int64_t count) const;
};

using ByteSourcePtr = std::shared_ptr<const ByteSource>;

/// Opens a regular file. Reads use pread: a file that shrinks while open gives an error, never a signal.
Result<ByteSourcePtr> openFile(const std::filesystem::path& path);

/// Keeps the bytes in memory.
ByteSourcePtr memorySource(std::vector<std::byte> bytes, std::string name);

/// A window [offset, offset + size) of another source; fails when the window leaves it.
Result<ByteSourcePtr> subSource(ByteSourcePtr whole, std::int64_t offset, std::int64_t size, std::string name);

} // namespace kvscope
