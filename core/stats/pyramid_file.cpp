// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/pyramid_file.h"

#include "core/base/hash.h"
#include "core/stats/pyramid_folder.h"
#include "core/stats/pyramid_layout.h"

#include <array>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace kvscope {

namespace {

constexpr std::uint64_t kMagic = 0x315243565350564BU;
constexpr std::string_view kPartial = ".partial-";

struct Header {
    std::uint64_t magic = kMagic;
    PyramidKey key;
    std::array<std::uint64_t, 3> reserved{};
    std::uint64_t check = 0;

    [[nodiscard]] std::uint64_t sum() const {
        return hashBytes(std::as_bytes(std::span(this, 1)).first(sizeof(Header) - sizeof check));
    }
};
static_assert(sizeof(Header) == kPyramidHeaderBytes);

std::string hex(std::uint64_t value) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text(16, '0');
    for (std::size_t i = 0; i < text.size(); ++i)
        text[text.size() - 1 - i] = kDigits[(value >> (4 * i)) & 0xFU];
    return text;
}

std::string fileName(const PyramidKey& key) {
    return hex(key.fingerprint) + "-" + hex(key.layout) + std::string(kPyramidExtension);
}

tl::unexpected<Error> systemError(const std::string& what, const std::string& where, const std::string& advice) {
    return fail(what + ": " + std::generic_category().message(errno), where, advice, Error::Kind::System);
}

/// Folders for large temporary files, best first: /tmp may be memory.
std::vector<std::filesystem::path> temporaryFolders() {
    std::vector<std::filesystem::path> folders;
    if (const char* chosen = std::getenv("TMPDIR"); chosen != nullptr && *chosen != '\0')
        folders.emplace_back(chosen);
    folders.emplace_back("/var/tmp");
    std::error_code none;
    folders.push_back(std::filesystem::temp_directory_path(none));
    return folders;
}

/// Creates a file of a fresh name that starts with `stem`; the name is put into `path`.
int createUnique(const std::filesystem::path& stem, std::filesystem::path& path) {
    std::string name = stem.string() + "XXXXXX";
    const int descriptor = ::mkostemp(name.data(), O_CLOEXEC);
    path = name;
    return descriptor;
}

/// Takes the disk space at once where the file system can: the build is quicker, and a full disk is found out before it
/// starts.
Result<void> reserve(int descriptor, std::int64_t bytes) {
    if (::fallocate(descriptor, 0, 0, bytes) == 0 || errno != ENOSPC)
        return {};
    return systemError("needs " + std::to_string(bytes >> 20) + " MiB for the overview", "temporary file",
                       "Free some disk space, or set TMPDIR to a disk that has it.");
}

/// Removes what a crashed run may have left: partial files that nobody has written to for a day.
void removeStalePartials(const std::filesystem::path& folder) {
    std::error_code error;
    const auto old = std::filesystem::file_time_type::clock::now() - std::chrono::hours(24);
    for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error)) {
        std::error_code ignored;
        if (entry->path().filename().string().find(std::string(kPyramidExtension) + std::string(kPartial)) !=
                std::string::npos &&
            entry->last_write_time(ignored) < old)
            std::filesystem::remove(entry->path(), ignored);
    }
}

} // namespace

PyramidFile::PyramidFile(int descriptor, std::filesystem::path current, std::filesystem::path kept, PyramidKey key)
    : descriptor_(descriptor)
    , current_(std::move(current))
    , kept_(std::move(kept))
    , key_(key) {}

PyramidFile::~PyramidFile() {
    ::close(descriptor_);
    if (!current_.empty() && current_ != kept_) {
        std::error_code ignored;
        std::filesystem::remove(current_, ignored);
    }
}

std::unique_ptr<PyramidFile> PyramidFile::openKept(const std::filesystem::path& folder, const PyramidKey& key) {
    const std::filesystem::path path = folder / fileName(key);
    // A pipe of that name would otherwise be waited for.
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return nullptr;
    std::unique_ptr<PyramidFile> file(new PyramidFile(descriptor, path, path, key));
    struct stat status = {};
    Header header;
    if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size != key.fileBytes ||
        !file->read(0, std::as_writable_bytes(std::span(&header, 1))) || header.magic != kMagic ||
        header.check != header.sum() || header.key.fingerprint != key.fingerprint || header.key.layout != key.layout ||
        header.key.fileBytes != key.fileBytes)
        return nullptr;
    // The time of the last use decides which ones go when the folder is full.
    ::futimens(descriptor, nullptr);
    return file;
}

Result<std::unique_ptr<PyramidFile>> PyramidFile::createKept(const std::filesystem::path& folder,
                                                             const PyramidKey& key) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    removeStalePartials(folder);
    const std::filesystem::path kept = folder / fileName(key);
    std::filesystem::path partial;
    const int descriptor = createUnique(kept.string() + std::string(kPartial), partial);
    if (descriptor < 0)
        return systemError("cannot create a file for the overview", folder.string(),
                           "Choose a cache folder that can be written to.");
    std::unique_ptr<PyramidFile> file(new PyramidFile(descriptor, partial, kept, key));
    KVSCOPE_TRY(reserve(descriptor, key.fileBytes));
    return file;
}

Result<std::unique_ptr<PyramidFile>> PyramidFile::createTemporary(std::int64_t bytes) {
    for (const auto& folder : temporaryFolders()) {
        std::filesystem::path path;
        const int descriptor = createUnique(folder / "kvscope-", path);
        if (descriptor < 0)
            continue;
        ::unlink(path.c_str());
        std::unique_ptr<PyramidFile> file(new PyramidFile(descriptor, {}, {}, {}));
        KVSCOPE_TRY(reserve(descriptor, bytes));
        return file;
    }
    return systemError("cannot create a temporary file for the overview", "temporary folder",
                       "Set TMPDIR to a folder that can be written to.");
}

Result<void> PyramidFile::read(std::int64_t offset, std::span<std::byte> out) const {
    while (!out.empty()) {
        const auto got = ::pread(descriptor_, out.data(), out.size(), offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return systemError("cannot read the overview at offset " + std::to_string(offset), current_.string(), {});
        if (got == 0)
            return fail("the overview became shorter while it was open", current_.string());
        offset += got;
        out = out.subspan(static_cast<std::size_t>(got));
    }
    return {};
}

Result<void> PyramidFile::write(std::int64_t offset, std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
        const auto put = ::pwrite(descriptor_, bytes.data(), bytes.size(), offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return systemError("cannot write the overview", current_.empty() ? "temporary file" : current_.string(),
                               "Free some disk space, or set TMPDIR to a disk that has it.");
        offset += put;
        bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    return {};
}

Result<void> PyramidFile::commit() {
    if (kept_.empty() || current_ == kept_)
        return {};
    Header header;
    header.key = key_;
    header.check = header.sum();
    KVSCOPE_TRY(write(0, std::as_bytes(std::span(&header, 1))));
    if (::ftruncate(descriptor_, key_.fileBytes) != 0)
        return systemError("cannot write the overview", current_.string(), {});
    std::error_code error;
    std::filesystem::rename(current_, kept_, error);
    if (error)
        return fail("cannot keep the overview: " + error.message(), kept_.string(), {}, Error::Kind::System);
    current_ = kept_;
    return {};
}

void PyramidFile::discard() {
    if (current_.empty())
        return;
    std::error_code ignored;
    std::filesystem::remove(current_, ignored);
    current_.clear();
    kept_.clear();
}

} // namespace kvscope
