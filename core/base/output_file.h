// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace kvscope {

/// A file that appears under its name only when it is complete: written as "<name>.part" beside it, moved into place by
/// commit(), removed when it is not committed.
class OutputFile {
public:
    static Result<OutputFile> create(std::filesystem::path path);
    /// Opens an existing file to be changed where it lies: write() goes on at `offset`, commit() only flushes,
    /// and where that is not reached, what was written behind `offset` is cut off again.
    static Result<OutputFile> openExisting(std::filesystem::path path, std::int64_t offset);
    OutputFile(OutputFile&& other) noexcept;
    OutputFile& operator=(OutputFile&& other) noexcept;
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;
    ~OutputFile();

    Result<void> write(std::span<const std::byte> bytes);
    /// Writes a range wherever it belongs; different ranges may be written from different threads. Not counted by
    /// written().
    Result<void> writeAt(std::int64_t offset, std::span<const std::byte> bytes) const;
    [[nodiscard]] std::int64_t written() const { return written_; }
    /// Returns when everything written so far is on the disk.
    [[nodiscard]] Result<void> flush() const;
    /// Flushes to the disk and takes the name.
    Result<void> commit();

private:
    OutputFile(int descriptor, std::filesystem::path path);
    [[nodiscard]] std::filesystem::path partPath() const;
    void discard();

    int descriptor_ = -1;
    std::filesystem::path path_;
    std::int64_t written_ = 0;
    /// Size to go back to when a change in place is given up.
    std::int64_t keptBytes_ = 0;
    bool inPlace_ = false;
};

} // namespace kvscope
