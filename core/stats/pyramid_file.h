// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace kvscope {

/// What a pyramid file must say of itself to be used again.
struct PyramidKey {
    /// CacheInfo::fingerprint of the dump.
    std::uint64_t fingerprint = 0;
    /// PyramidLayout::hash.
    std::uint64_t layout = 0;
    std::int64_t fileBytes = 0;
};

/// The bytes of a pyramid: a temporary file that has no name, or a file that is kept between runs. Kept files are
/// written under another name and renamed when they are complete. Reads and writes of different ranges may run at the
/// same time.
class PyramidFile {
public:
    /// Opens a complete kept file; null when there is none that fits the key.
    static std::unique_ptr<PyramidFile> openKept(const std::filesystem::path& folder, const PyramidKey& key);
    /// Starts a file that commit() will keep in `folder`.
    static Result<std::unique_ptr<PyramidFile>> createKept(const std::filesystem::path& folder, const PyramidKey& key);
    /// Starts a file of `bytes` bytes that vanishes with this object.
    static Result<std::unique_ptr<PyramidFile>> createTemporary(std::int64_t bytes);

    ~PyramidFile();
    PyramidFile(const PyramidFile&) = delete;
    PyramidFile& operator=(const PyramidFile&) = delete;

    [[nodiscard]] Result<void> read(std::int64_t offset, std::span<std::byte> out) const;
    [[nodiscard]] Result<void> write(std::int64_t offset, std::span<const std::byte> bytes) const;
    /// Writes the header and gives a kept file its name; nothing for a temporary one.
    [[nodiscard]] Result<void> commit();
    /// Removes a kept file that turned out to be damaged; its bytes stay readable through this object.
    void discard();

private:
    PyramidFile(int descriptor, std::filesystem::path current, std::filesystem::path kept, PyramidKey key);

    int descriptor_;
    /// Name on disk now; empty when it has none.
    std::filesystem::path current_;
    /// Name to have in the end; empty for temporary files.
    std::filesystem::path kept_;
    PyramidKey key_;
};

} // namespace kvscope
