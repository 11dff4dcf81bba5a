// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/byte_source.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace kvscope {

namespace {

std::string systemReason(int code) {
    return std::generic_category().message(code);
}

tl::unexpected<Error> outside(const std::string& name, std::int64_t offset, std::size_t count, std::int64_t size) {
    return fail("needs " + std::to_string(count) + " bytes at offset " + std::to_string(offset) + " but ends at " +
                    std::to_string(size),
                name, "The file is truncated or its header is wrong");
}

bool inside(std::int64_t offset, std::size_t count, std::int64_t size) {
    return offset >= 0 && offset <= size && count <= static_cast<std::uint64_t>(size - offset);
}

class FileSource final : public ByteSource {
public:
    FileSource(int descriptor, std::int64_t size, std::string name)
        : descriptor_(descriptor)
        , size_(size)
        , name_(std::move(name)) {}
    ~FileSource() override { ::close(descriptor_); }

    [[nodiscard]] std::int64_t size() const override { return size_; }
    [[nodiscard]] const std::string& name() const override { return name_; }

    [[nodiscard]] Result<void> readAt(std::int64_t offset, std::span<std::byte> out) const override {
        if (!inside(offset, out.size(), size_))
            return outside(name_, offset, out.size(), size_);
        while (!out.empty()) {
            const auto got = ::pread(descriptor_, out.data(), out.size(), offset);
            if (got < 0 && errno == EINTR)
                continue;
            if (got < 0)
                return fail("cannot read at offset " + std::to_string(offset) + ": " + systemReason(errno), name_,
                            "Check the disk and the permissions", Error::Kind::System);
            if (got == 0)
                return fail("became shorter while it was open (nothing at offset " + std::to_string(offset) + ")",
                            name_, "Open it again once the program that writes it has finished");
            offset += got;
            out = out.subspan(static_cast<std::size_t>(got));
        }
        return {};
    }

private:
    int descriptor_;
    std::int64_t size_;
    std::string name_;
};

class MemorySource final : public ByteSource {
public:
    MemorySource(std::vector<std::byte> bytes, std::string name)
        : bytes_(std::move(bytes))
        , name_(std::move(name)) {}

    [[nodiscard]] std::int64_t size() const override { return static_cast<std::int64_t>(bytes_.size()); }
    [[nodiscard]] const std::string& name() const override { return name_; }

    [[nodiscard]] Result<void> readAt(std::int64_t offset, std::span<std::byte> out) const override {
        if (!inside(offset, out.size(), size()))
            return outside(name_, offset, out.size(), size());
        if (!out.empty())
            std::memcpy(out.data(), bytes_.data() + offset, out.size());
        return {};
    }

private:
    std::vector<std::byte> bytes_;
    std::string name_;
};

class WindowSource final : public ByteSource {
public:
    WindowSource(ByteSourcePtr whole, std::int64_t offset, std::int64_t size, std::string name)
        : whole_(std::move(whole))
        , offset_(offset)
        , size_(size)
        , name_(std::move(name)) {}

    [[nodiscard]] std::int64_t size() const override { return size_; }
    [[nodiscard]] const std::string& name() const override { return name_; }

    [[nodiscard]] Result<void> readAt(std::int64_t offset, std::span<std::byte> out) const override {
        if (!inside(offset, out.size(), size_))
            return outside(name_, offset, out.size(), size_);
        return whole_->readAt(offset_ + offset, out);
    }

private:
    ByteSourcePtr whole_;
    std::int64_t offset_;
    std::int64_t size_;
    std::string name_;
};

} // namespace

Result<std::vector<std::byte>> ByteSource::read(std::int64_t offset, std::int64_t count) const {
    if (count < 0 || !inside(offset, static_cast<std::size_t>(count), size()))
        return outside(name(), offset, static_cast<std::size_t>(std::max<std::int64_t>(count, 0)), size());
    std::vector<std::byte> bytes;
    try {
        bytes.resize(static_cast<std::size_t>(count));
    } catch (const std::bad_alloc&) {
        return fail("not enough memory for " + std::to_string(count) + " bytes", name(), "Close other dumps and retry",
                    Error::Kind::System);
    }
    KVSCOPE_TRY(readAt(offset, bytes));
    return bytes;
}

Result<ByteSourcePtr> openFile(const std::filesystem::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return fail("cannot be opened: " + systemReason(errno), path.string(), "Check the path and the permissions",
                    Error::Kind::System);
    struct stat status {};
    if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        ::close(descriptor);
        return fail("is not a regular file", path.string(), "Choose a dump file or a folder of dump files");
    }
    return std::make_shared<FileSource>(descriptor, static_cast<std::int64_t>(status.st_size), path.string());
}

ByteSourcePtr memorySource(std::vector<std::byte> bytes, std::string name) {
    return std::make_shared<MemorySource>(std::move(bytes), std::move(name));
}

Result<ByteSourcePtr> subSource(ByteSourcePtr whole, std::int64_t offset, std::int64_t size, std::string name) {
    if (size < 0 || !inside(offset, static_cast<std::size_t>(size), whole->size()))
        return outside(name, offset, static_cast<std::size_t>(std::max<std::int64_t>(size, 0)), whole->size());
    return std::make_shared<WindowSource>(std::move(whole), offset, size, std::move(name));
}

} // namespace kvscope
