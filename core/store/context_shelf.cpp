// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/store/encoded_context.h"

#include <algorithm>
#include <filesystem>

namespace kvscope {

namespace {

namespace fs = std::filesystem;

std::string listed(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names)
        text += (text.empty() ? "" : ", ") + name;
    return text;
}

/// The name that is meant: the given one, or the only one.
Result<std::string> choose(const std::string& wanted, const std::vector<std::string>& names, const std::string& where) {
    if (names.empty())
        return fail("holds no context", where, "Put one there with: kvscope store FILE.kvz -o STORE");
    if (wanted.empty() && names.size() == 1)
        return names.front();
    if (wanted.empty())
        return fail("holds several contexts", where, "Name one of: " + listed(names));
    if (std::ranges::find(names, wanted) == names.end())
        return fail("has no context \"" + wanted + "\"", where, "There are: " + listed(names));
    return wanted;
}

class FileShelf final : public ContextShelf {
public:
    FileShelf(std::string where, std::vector<fs::path> files)
        : where_(std::move(where))
        , files_(std::move(files)) {
        std::ranges::sort(files_);
    }

    [[nodiscard]] Result<std::vector<std::string>> names() const override {
        std::vector<std::string> names;
        std::ranges::transform(files_, std::back_inserter(names), [](const fs::path& file) { return nameOf(file); });
        return names;
    }

    [[nodiscard]] Result<EncodedContextPtr> open(const std::string& name) const override {
        KVSCOPE_ASSIGN(const auto all, names());
        KVSCOPE_ASSIGN(const std::string chosen, choose(name, all, where_));
        const auto file = std::ranges::find(files_, chosen, nameOf);
        KVSCOPE_ASSIGN(const ByteSourcePtr bytes, openFile(*file));
        KVSCOPE_ASSIGN(KvzFilePtr kvz, KvzFile::open(bytes));
        return contextOf(std::move(kvz));
    }

private:
    static std::string nameOf(const fs::path& file) { return contextNameFrom(file.stem().string()); }

    std::string where_;
    std::vector<fs::path> files_;
};

class StoreShelf final : public ContextShelf {
public:
    explicit StoreShelf(std::shared_ptr<const ContextStore> store)
        : store_(std::move(store)) {}

    [[nodiscard]] Result<std::vector<std::string>> names() const override { return store_->contexts(); }

    [[nodiscard]] Result<EncodedContextPtr> open(const std::string& name) const override {
        KVSCOPE_ASSIGN(const auto all, names());
        KVSCOPE_ASSIGN(const std::string chosen, choose(name, all, store_->name()));
        return openContext(store_, chosen);
    }

private:
    std::shared_ptr<const ContextStore> store_;
};

} // namespace

Result<ContextShelfPtr> openShelf(const std::string& location) {
    if (isRedisUrl(location)) {
        KVSCOPE_ASSIGN(ContextStorePtr store, openRedisStore(location));
        return std::make_shared<StoreShelf>(std::move(store));
    }
    std::error_code code;
    if (!fs::is_directory(location, code)) {
        auto shelf = std::make_shared<FileShelf>(location, std::vector<fs::path>{location});
        KVSCOPE_TRY(shelf->open({}));
        return shelf;
    }
    if (isFolderStore(location)) {
        KVSCOPE_ASSIGN(ContextStorePtr store, openFolderStore(location, false));
        return std::make_shared<StoreShelf>(std::move(store));
    }
    std::vector<fs::path> files;
    for (fs::directory_iterator entry(location, code), end; !code && entry != end; entry.increment(code)) {
        if (entry->path().extension() == ".kvz")
            files.push_back(entry->path());
    }
    if (files.empty())
        return fail("holds no .kvz file and is not a chunk store", location,
                    "Encode a dump there first: kvscope encode DUMP -o FILE.kvz --preset kvz-medium");
    return std::make_shared<FileShelf>(location, std::move(files));
}

Result<ContextStorePtr> openStore(const std::string& location) {
    if (isRedisUrl(location))
        return openRedisStore(location);
    return openFolderStore(location, false);
}

Result<ContextStorePtr> openStoreToWrite(const std::string& location) {
    if (isRedisUrl(location))
        return openRedisStore(location);
    return openFolderStore(location, true);
}

} // namespace kvscope
