// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/byte_source.h"
#include "core/base/output_file.h"
#include "core/store/context_store.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>

namespace kvscope {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMarkerName = "kvscope-store";
constexpr std::string_view kMarkerText = "kvscope-store 1\n";
constexpr std::string_view kContextEnding = ".context";
constexpr std::string_view kChunkEnding = ".chunk";

tl::unexpected<Error> refused(const std::error_code& code, const std::string& where) {
    return fail("cannot be used: " + code.message(), where, "Choose a folder that you may write to",
                Error::Kind::System);
}

class FolderStore final : public ContextStore {
public:
    explicit FolderStore(fs::path root)
        : root_(std::move(root))
        , name_(root_.string()) {}

    [[nodiscard]] const std::string& name() const override { return name_; }

    [[nodiscard]] Result<std::vector<std::string>> contexts() const override {
        std::vector<std::string> names;
        std::error_code code;
        for (fs::directory_iterator entry(root_ / "contexts", code), end; !code && entry != end;
             entry.increment(code)) {
            std::string name = entry->path().filename().string();
            if (!name.ends_with(kContextEnding))
                continue;
            name.resize(name.size() - kContextEnding.size());
            if (isContextName(name))
                names.push_back(std::move(name));
        }
        if (code)
            return refused(code, (root_ / "contexts").string());
        std::ranges::sort(names);
        return names;
    }

    [[nodiscard]] Result<std::vector<std::byte>> readContext(const std::string& context) const override {
        return readWhole(contextPath(context));
    }

    [[nodiscard]] Result<void> writeContext(const std::string& context, std::span<const std::byte> bytes) override {
        const std::lock_guard lock(mutex_);
        return writeWhole(contextPath(context), bytes);
    }

    [[nodiscard]] Result<void> removeContext(const std::string& context) override {
        const std::lock_guard lock(mutex_);
        std::error_code code;
        if (!fs::remove(contextPath(context), code) && !code)
            return fail("has no context " + context, name(), "See what there is with: kvscope store -o STORE");
        if (code)
            return refused(code, contextPath(context).string());
        return {};
    }

    [[nodiscard]] Result<std::vector<ChunkKey>> chunks() const override {
        std::vector<ChunkKey> keys;
        std::error_code code;
        for (fs::recursive_directory_iterator entry(root_ / "chunks", code), end; !code && entry != end;
             entry.increment(code)) {
            std::string text = entry->path().filename().string();
            if (!text.ends_with(kChunkEnding))
                continue;
            text.resize(text.size() - kChunkEnding.size());
            if (const auto key = chunkKeyFrom(text))
                keys.push_back(*key);
        }
        if (code)
            return refused(code, (root_ / "chunks").string());
        return keys;
    }

    [[nodiscard]] Result<bool> removeChunk(const ChunkKey& key, double idleSeconds) override {
        const std::lock_guard lock(mutex_);
        const fs::path path = chunkPath(key);
        std::error_code code;
        const auto used = fs::last_write_time(path, code);
        // Somebody else may have taken it away.
        if (code)
            return false;
        const std::chrono::duration<double> idle = fs::file_time_type::clock::now() - used;
        if (idle.count() < idleSeconds)
            return false;
        const bool gone = fs::remove(path, code);
        if (code)
            return refused(code, path.string());
        return gone;
    }

protected:
    [[nodiscard]] Result<std::vector<std::byte>> fetchChunk(const ChunkKey& key) const override {
        return readWhole(chunkPath(key));
    }

    [[nodiscard]] Result<void> keepChunk(const ChunkKey& key, std::span<const std::byte> bytes) override {
        const std::lock_guard lock(mutex_);
        return writeWhole(chunkPath(key), bytes);
    }

    [[nodiscard]] Result<bool> holdsChunk(const ChunkKey& key) const override {
        std::error_code code;
        const auto size = fs::file_size(chunkPath(key), code);
        if (code || size != static_cast<std::uintmax_t>(key.bytes))
            return false;
        // The time of the file is when it was used last. In a folder that cannot be written nothing is collected.
        fs::last_write_time(chunkPath(key), fs::file_time_type::clock::now(), code);
        return true;
    }

private:
    [[nodiscard]] fs::path contextPath(const std::string& context) const {
        return root_ / "contexts" / (context + std::string(kContextEnding));
    }
    [[nodiscard]] fs::path chunkPath(const ChunkKey& key) const {
        const std::string text = key.text();
        return root_ / "chunks" / text.substr(0, 2) / (text + std::string(kChunkEnding));
    }

    static Result<std::vector<std::byte>> readWhole(const fs::path& path) {
        KVSCOPE_ASSIGN(const ByteSourcePtr file, openFile(path));
        if (file->size() > kMaxRecordBytes)
            return fail("is larger than a record may be", path.string(), "Put the context into the store again");
        return file->read(0, file->size());
    }

    static Result<void> writeWhole(const fs::path& path, std::span<const std::byte> bytes) {
        std::error_code code;
        fs::create_directories(path.parent_path(), code);
        if (code)
            return refused(code, path.parent_path().string());
        KVSCOPE_ASSIGN(OutputFile file, OutputFile::create(path));
        KVSCOPE_TRY(file.write(bytes));
        return file.commit();
    }

    fs::path root_;
    std::string name_;
    /// Two threads writing one record would use the same temporary name.
    std::mutex mutex_;
};

} // namespace

bool isFolderStore(const std::string& path) {
    std::ifstream marker(fs::path(path) / kMarkerName);
    std::string text(kMarkerText.size(), '\0');
    return marker.read(text.data(), static_cast<std::streamsize>(text.size())) && text == kMarkerText;
}

Result<ContextStorePtr> openFolderStore(const std::string& path, bool create) {
    const fs::path root(path);
    std::error_code code;
    if (!isFolderStore(path)) {
        if (!create)
            return fail("is not a chunk store", path, "Make one with: kvscope store FILE.kvz -o FOLDER");
        if (fs::exists(root, code) && (!fs::is_directory(root, code) || !fs::is_empty(root, code)))
            return fail("is neither a chunk store nor an empty folder", path, "Choose another folder");
        fs::create_directories(root, code);
        if (code)
            return refused(code, path);
        KVSCOPE_ASSIGN(OutputFile marker, OutputFile::create(root / kMarkerName));
        KVSCOPE_TRY(marker.write(std::as_bytes(std::span(kMarkerText))));
        KVSCOPE_TRY(marker.commit());
    }
    for (const char* part : {"contexts", "chunks"}) {
        fs::create_directories(root / part, code);
        if (code)
            return refused(code, path);
    }
    return std::make_shared<FolderStore>(root);
}

} // namespace kvscope
