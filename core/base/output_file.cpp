// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/output_file.h"

#include <cerrno>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace kvscope {

namespace {

tl::unexpected<Error> systemError(const std::string& what, const std::filesystem::path& path) {
    const int code = errno;
    const char* advice = "Choose a folder that you may write to, on a disk with room";
    if (code == ENOSPC || code == EDQUOT)
        advice = "Make room on that disk, or write to another one; what was there before is as it was";
    else if (code == EFBIG)
        advice = "Raise the limit of the size of files (ulimit -f), or write to another disk; what was there before is "
                 "as it was";
    return fail(what + ": " + std::generic_category().message(code), path.string(), advice, Error::Kind::System);
}

} // namespace

OutputFile::OutputFile(int descriptor, std::filesystem::path path)
    : descriptor_(descriptor)
    , path_(std::move(path)) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1))
    , path_(std::move(other.path_))
    , written_(other.written_)
    , keptBytes_(other.keptBytes_)
    , inPlace_(other.inPlace_) {}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
    if (this != &other) {
        discard();
        descriptor_ = std::exchange(other.descriptor_, -1);
        path_ = std::move(other.path_);
        written_ = other.written_;
        keptBytes_ = other.keptBytes_;
        inPlace_ = other.inPlace_;
    }
    return *this;
}

OutputFile::~OutputFile() {
    discard();
}

Result<OutputFile> OutputFile::create(std::filesystem::path path) {
    OutputFile file(-1, std::move(path));
    file.descriptor_ = ::open(file.partPath().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file.descriptor_ < 0)
        return systemError("cannot be written", file.path_);
    return file;
}

Result<OutputFile> OutputFile::openExisting(std::filesystem::path path, std::int64_t offset) {
    OutputFile file(-1, std::move(path));
    file.inPlace_ = true;
    file.keptBytes_ = offset;
    file.descriptor_ = ::open(file.path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (file.descriptor_ < 0 || ::lseek(file.descriptor_, offset, SEEK_SET) < 0)
        return systemError("cannot be changed", file.path_);
    return file;
}

Result<void> OutputFile::write(std::span<const std::byte> bytes) {
    written_ += static_cast<std::int64_t>(bytes.size());
    while (!bytes.empty()) {
        const auto put = ::write(descriptor_, bytes.data(), bytes.size());
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return systemError("cannot be written", path_);
        bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    return {};
}

Result<void> OutputFile::writeAt(std::int64_t offset, std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
        const auto put = ::pwrite(descriptor_, bytes.data(), bytes.size(), offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return systemError("cannot be written", path_);
        offset += put;
        bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    return {};
}

Result<void> OutputFile::flush() const {
    if (::fsync(descriptor_) != 0)
        return systemError("cannot be written", path_);
    return {};
}

Result<void> OutputFile::commit() {
    KVSCOPE_TRY(flush());
    ::close(std::exchange(descriptor_, -1));
    if (inPlace_)
        return {};
    std::error_code error;
    std::filesystem::rename(partPath(), path_, error);
    if (error) {
        std::error_code ignored;
        std::filesystem::remove(partPath(), ignored);
        return fail("cannot be put in place: " + error.message(), path_.string(), "Check the permissions of the folder",
                    Error::Kind::System);
    }
    return {};
}

std::filesystem::path OutputFile::partPath() const {
    auto part = path_;
    part += ".part";
    return part;
}

void OutputFile::discard() {
    if (descriptor_ < 0)
        return;
    std::error_code ignored;
    if (inPlace_) {
        ::close(std::exchange(descriptor_, -1));
        std::filesystem::resize_file(path_, static_cast<std::uintmax_t>(keptBytes_), ignored);
        return;
    }
    ::close(std::exchange(descriptor_, -1));
    std::filesystem::remove(partPath(), ignored);
}

} // namespace kvscope
