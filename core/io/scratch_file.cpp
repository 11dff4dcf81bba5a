// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/scratch_file.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <limits>
#include <sys/statvfs.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace kvscope {

namespace {

constexpr const char* kAdvice = "Free some space there, or set TMPDIR to a folder with more";

std::string reasonOf(int code) {
    return std::generic_category().message(code);
}

/// A descriptor of an unnamed file in the folder, or -1 with errno set.
int openUnnamed(const std::filesystem::path& folder) {
    const int descriptor = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (descriptor >= 0)
        return descriptor;
    // Some file systems have no O_TMPFILE: a name that is removed at once does the same.
    std::string name = (folder / "kvscope-XXXXXX").string();
    const int named = ::mkostemp(name.data(), O_CLOEXEC);
    if (named >= 0)
        ::unlink(name.c_str());
    return named;
}

} // namespace

class ScratchSource final : public ByteSource {
public:
    ScratchSource(std::shared_ptr<const ScratchFile> file, std::int64_t offset, std::int64_t size, std::string name)
        : file_(std::move(file))
        , offset_(offset)
        , size_(size)
        , name_(std::move(name)) {}

    [[nodiscard]] std::int64_t size() const override { return size_; }
    [[nodiscard]] const std::string& name() const override { return name_; }

    [[nodiscard]] Result<void> readAt(std::int64_t offset, std::span<std::byte> out) const override {
        if (offset < 0 || offset > size_ || out.size() > static_cast<std::uint64_t>(size_ - offset))
            return fail("needs " + std::to_string(out.size()) + " bytes at offset " + std::to_string(offset) +
                            " but ends at " + std::to_string(size_),
                        name_, "The file is truncated or its header is wrong");
        std::int64_t position = offset_ + offset;
        while (!out.empty()) {
            const auto got = ::pread(file_->descriptor_, out.data(), out.size(), position);
            if (got < 0 && errno == EINTR)
                continue;
            if (got <= 0)
                return fail("cannot read its unpacked bytes at offset " + std::to_string(position) + ": " +
                                (got < 0 ? reasonOf(errno) : std::string("they are gone")),
                            name_, "Check the disk of " + file_->folder().string(), Error::Kind::System);
            position += got;
            out = out.subspan(static_cast<std::size_t>(got));
        }
        return {};
    }

private:
    std::shared_ptr<const ScratchFile> file_;
    std::int64_t offset_;
    std::int64_t size_;
    std::string name_;
};

Result<std::shared_ptr<ScratchFile>> ScratchFile::create() {
    std::array<std::filesystem::path, 3> folders{"", "/var/tmp", "/tmp"};
    if (const char* chosen = std::getenv("TMPDIR"); chosen != nullptr)
        folders[0] = chosen;
    int code = ENOENT;
    for (const auto& folder : folders) {
        if (folder.empty())
            continue;
        const int descriptor = openUnnamed(folder);
        if (descriptor >= 0)
            return std::shared_ptr<ScratchFile>(new ScratchFile(descriptor, folder));
        code = errno;
    }
    return fail("cannot create a temporary file: " + reasonOf(code), folders[0].empty() ? "/var/tmp" : folders[0],
                "Set TMPDIR to a folder that you can write to", Error::Kind::System);
}

ScratchFile::~ScratchFile() {
    ::close(descriptor_);
}

Result<std::int64_t> ScratchFile::freeSpace() const {
    struct statvfs status {};
    if (::fstatvfs(descriptor_, &status) != 0)
        return fail("cannot tell the free space: " + reasonOf(errno), folder_.string(), kAdvice, Error::Kind::System);
    const auto blocks = static_cast<std::uint64_t>(status.f_bavail);
    const auto size = static_cast<std::uint64_t>(status.f_frsize);
    constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    return static_cast<std::int64_t>(size == 0 || blocks <= kMost / size ? blocks * size : kMost);
}

Result<void> ScratchFile::append(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const auto written = ::pwrite(descriptor_, bytes.data(), bytes.size(), size_);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return fail("cannot write unpacked data: " + reasonOf(written < 0 ? errno : ENOSPC), folder_.string(),
                        kAdvice, Error::Kind::System);
        size_ += written;
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return {};
}

ByteSourcePtr ScratchFile::source(std::shared_ptr<const ScratchFile> file, std::int64_t offset, std::int64_t size,
                                  std::string name) {
    return std::make_shared<ScratchSource>(std::move(file), offset, size, std::move(name));
}

} // namespace kvscope
