// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/pyramid_folder.h"

#include <algorithm>
#include <string>
#include <system_error>
#include <vector>

namespace kvscope {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostBytes = std::int64_t{10} << 30;
constexpr std::int64_t kShareOfFreeDisk = 10;

struct KeptFile {
    fs::path path;
    std::int64_t bytes = 0;
    fs::file_time_type lastUsed;
    /// Partial files are somebody's work in progress: they count, but stay.
    bool complete = false;
};

std::vector<KeptFile> listPyramids(const fs::path& folder) {
    std::vector<KeptFile> files;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        if (name.find(kPyramidExtension) == std::string::npos)
            continue;
        std::error_code failed;
        KeptFile file{entry->path(), 0, entry->last_write_time(failed), name.ends_with(kPyramidExtension)};
        if (failed || !entry->is_regular_file(failed))
            continue;
        file.bytes = static_cast<std::int64_t>(entry->file_size(failed));
        if (!failed)
            files.push_back(std::move(file));
    }
    return files;
}

std::int64_t bytesOf(const std::vector<KeptFile>& files) {
    std::int64_t bytes = 0;
    for (const KeptFile& file : files)
        bytes += file.bytes;
    return bytes;
}

} // namespace

std::int64_t limitOf(const PyramidFolder& folder) {
    if (folder.path.empty())
        return 0;
    if (folder.limit)
        return *folder.limit;
    std::error_code error;
    fs::create_directories(folder.path, error);
    const fs::space_info disk = fs::space(folder.path, error);
    if (error)
        return kMostBytes;
    // What pyramids take already is theirs to take again.
    const auto free = static_cast<std::int64_t>(
        std::min<std::uintmax_t>(disk.available, static_cast<std::uintmax_t>(kMostBytes) * kShareOfFreeDisk));
    return std::min(kMostBytes, (free + bytesOf(listPyramids(folder.path))) / kShareOfFreeDisk);
}

bool makeRoom(const PyramidFolder& folder, std::int64_t bytes) {
    const std::int64_t limit = limitOf(folder);
    if (bytes > limit)
        return false;
    auto files = listPyramids(folder.path);
    std::sort(files.begin(), files.end(), [](const KeptFile& a, const KeptFile& b) { return a.lastUsed < b.lastUsed; });
    std::int64_t taken = bytesOf(files);
    for (const KeptFile& file : files) {
        if (taken <= limit - bytes)
            break;
        std::error_code error;
        if (file.complete && fs::remove(file.path, error))
            taken -= file.bytes;
    }
    return true;
}

} // namespace kvscope
