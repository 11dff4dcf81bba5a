// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/base/progress.h"
#include "core/base/result.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvscope {

/// One file inside a ZIP archive, as the central directory and the member's own header agree on it.
struct ZipMember {
    enum class Method : std::uint8_t { Stored, Deflated };

    std::string name;
    Method method = Method::Stored;
    /// Bytes once unpacked, as declared; openMember checks it against what really comes out.
    std::int64_t size = 0;
    std::int64_t packedSize = 0;
    std::uint32_t crc = 0;
    /// Byte offset of the member's local header and of its data in the archive.
    std::int64_t headerOffset = 0;
    std::int64_t dataOffset = 0;
};

/// Whether a file that starts with these bytes is a ZIP archive.
bool looksLikeZip(std::span<const std::byte> head);

/// The directory of a ZIP archive (APPNOTE 6.3, Zip64 included) that trusts no number in it: every offset and size is
/// checked, members that overlap each other or the directory, that are encrypted, that appear twice or whose two
/// headers disagree are refused, and so are archives whose declared sizes make them a zip bomb.
/// Cheap to copy; safe to use from any thread.
class ZipArchive {
public:
    /// Reads the directory; no member is unpacked.
    static Result<ZipArchive> open(ByteSourcePtr archive);

    [[nodiscard]] const std::vector<ZipMember>& members() const;
    /// The member of that name, or null.
    [[nodiscard]] const ZipMember* find(std::string_view name) const;

    /// The bytes of a member, random access. A stored member is a window of the archive: nothing is copied (and its
    /// checksum is not tested, for that would read it all). A deflated one is unpacked now, a small one into memory,
    /// the others into a file without a name in TMPDIR (or /var/tmp) that goes when the last source does; more output
    /// than declared, less, or another checksum is an error. Progress advances by the unpacked bytes.
    [[nodiscard]] Result<ByteSourcePtr> openMember(const ZipMember& member, const JobControl& job = {}) const;

private:
    struct State;
    explicit ZipArchive(std::shared_ptr<State> state);

    std::shared_ptr<State> state_;
};

} // namespace kvscope
