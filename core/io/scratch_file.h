// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/base/result.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace kvscope {

/// A file without a name in the folder for temporary files: unpacked data goes there instead of into memory, and the
/// system removes it with the last reader, however the process ends. Append-only. Appending is for one thread at a
/// time; readers may run meanwhile.
class ScratchFile {
public:
    /// Creates the file in TMPDIR, else /var/tmp (on disk where /tmp may be memory), else /tmp.
    static Result<std::shared_ptr<ScratchFile>> create();
    ~ScratchFile();
    ScratchFile(const ScratchFile&) = delete;
    ScratchFile& operator=(const ScratchFile&) = delete;

    /// Where the file lies, for messages.
    [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
    [[nodiscard]] std::int64_t size() const { return size_; }
    /// Bytes that the folder still has room for.
    [[nodiscard]] Result<std::int64_t> freeSpace() const;
    [[nodiscard]] Result<void> append(std::span<const std::byte> bytes);
    /// The bytes [offset, offset + size) of `file`, which must have been appended already.
    static ByteSourcePtr source(std::shared_ptr<const ScratchFile> file, std::int64_t offset, std::int64_t size,
                                std::string name);

private:
    friend class ScratchSource;
    ScratchFile(int descriptor, std::filesystem::path folder)
        : descriptor_(descriptor)
        , folder_(std::move(folder)) {}

    int descriptor_;
    std::filesystem::path folder_;
    std::int64_t size_ = 0;
};

} // namespace kvscope
