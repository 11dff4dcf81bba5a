// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/kvz_dump.h"

#include "core/base/hash.h"
#include "core/codec/kvz_file.h"

#include <array>

namespace kvscope {

Result<OpenedDump> openKvz(const ByteSourcePtr& bytes, const std::filesystem::path& path, const OpenOptions& options) {
    KVSCOPE_ASSIGN(const KvzFilePtr file, KvzFile::open(bytes));
    std::size_t level = file->bestLevel();
    if (options.level) {
        KVSCOPE_ASSIGN(level, file->findLevel(*options.level));
    }
    CacheInfo info = file->info();
    if (!path.empty())
        info.name = path.filename().string();
    info.path = path;
    info.format = ".kvz, level " + file->levels()[level].name;
    if (file->levels().size() > 1) {
        std::string others;
        for (const KvzLevel& other : file->levels())
            others += (others.empty() ? "" : ", ") + other.name;
        info.notes.push_back(
            {CacheNote::Severity::Info, "Holds the levels " + others + "; shown is " + file->levels()[level].name});
    }
    const std::array<std::uint64_t, 2> identity{file->root().directoryHash, level};
    info.fingerprint = hashBytes(std::as_bytes(std::span(identity)));
    DumpLevels levels{{}, level};
    for (const KvzLevel& one : file->levels())
        levels.names.push_back(one.name);
    return OpenedDump{makeDecodedCache(file->geometry(), std::move(info), file->store(level)), {}, std::move(levels)};
}

} // namespace kvscope
