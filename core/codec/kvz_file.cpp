// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/kvz_file.h"

#include "core/base/hash.h"

#include <algorithm>
#include <new>

namespace kvscope {

namespace {

/// The chunks of one level of a file.
class LevelStore final : public ChunkStore {
public:
    LevelStore(KvzFilePtr file, std::size_t level)
        : file_(std::move(file))
        , level_(level) {}

    [[nodiscard]] std::vector<TokenRange> chunks(PlaneId plane) const override {
        std::vector<TokenRange> ranges;
        const auto& planes = file_->levels()[level_].planes;
        if (const auto found = planes.find(plane); found != planes.end())
            std::ranges::transform(found->second.chunks, std::back_inserter(ranges), &KvzChunk::tokens);
        return ranges;
    }
    [[nodiscard]] Result<std::vector<std::byte>> read(PlaneId plane, std::size_t chunk) const override {
        return file_->readChunk(level_, plane, chunk);
    }
    [[nodiscard]] const CalibratedPipeline& pipeline(PlaneId plane, std::size_t chunk) const override {
        const KvzPlane& held = file_->levels()[level_].planes.at(plane);
        return held.pipelines[held.chunks[chunk].pipeline];
    }
    [[nodiscard]] const std::string& name() const override { return file_->name(); }

private:
    KvzFilePtr file_;
    std::size_t level_;
};

Result<KvzDirectory> readDirectory(const ByteSource& file, const KvzRoot& root) {
    const std::string where = file.name() + ", directory at byte " + std::to_string(root.directoryOffset);
    try {
        KVSCOPE_ASSIGN(const auto bytes, file.read(root.directoryOffset, root.directoryBytes));
        if (hashBytes(bytes) != root.directoryHash)
            return fail("is damaged: its checksum does not match", where, "Copy the file again, or encode it again");
        return directoryFromBytes(bytes, root.directoryOffset, where);
    } catch (const std::bad_alloc&) {
        return fail("needs more memory than there is", where, "Close other dumps", Error::Kind::System);
    }
}

} // namespace

KvzFile::KvzFile(ByteSourcePtr bytes, KvzDirectory directory, KvzRoot root)
    : bytes_(std::move(bytes))
    , directory_(std::move(directory))
    , root_(root) {}

Result<KvzFilePtr> KvzFile::open(ByteSourcePtr bytes) {
    KVSCOPE_ASSIGN(const std::vector<KvzRoot> roots, readKvzRoots(*bytes));
    std::optional<Error> first;
    for (const KvzRoot& root : roots) {
        auto directory = readDirectory(*bytes, root);
        if (!directory) {
            if (!first)
                first = std::move(directory.error());
            continue;
        }
        if (first)
            directory->info.notes.push_back({CacheNote::Severity::Warning,
                                             "The newest part of the file is damaged; this is what was there before"});
        return KvzFilePtr(new KvzFile(std::move(bytes), std::move(*directory), root));
    }
    return tl::unexpected<Error>(std::move(*first));
}

Result<std::size_t> KvzFile::findLevel(std::string_view name) const {
    const auto found = std::ranges::find(levels(), name, &KvzLevel::name);
    if (found != levels().end())
        return static_cast<std::size_t>(found - levels().begin());
    if (name == kTextLevelName && hasText(info()))
        return noValues();
    std::string list;
    for (const std::string& one : directory_.levelNames())
        list += (list.empty() ? "" : ", ") + one;
    return fail("has no level \"" + std::string(name) + "\"", this->name(), "Choose one of: " + list);
}

tl::unexpected<Error> KvzFile::noValues() const {
    return fail("holds no K and V at the level text: it is the tokens alone, and a model must compute K and V from "
                "them again",
                name(),
                levels().empty()
                    ? "Read the tokens with kvscope decode --level text -o OUT.txt"
                    : "Open another level, or read the tokens with kvscope decode --level text -o OUT.txt");
}

Result<std::size_t> KvzFile::bestLevel() const {
    if (levels().empty())
        return noValues();
    const auto rank = [](const KvzLevel& level) { return std::pair(level.plan.isLossless(), level.bytes()); };
    return static_cast<std::size_t>(std::ranges::max_element(levels(), std::less<>(), rank) - levels().begin());
}

Result<std::vector<std::byte>> KvzFile::readChunk(std::size_t level, PlaneId plane, std::size_t chunk) const {
    const KvzChunk& entry = levels()[level].planes.at(plane).chunks[chunk];
    KVSCOPE_ASSIGN(auto bytes, bytes_->read(entry.offset, entry.bytes));
    KVSCOPE_TRY(checkChunk(level, plane, chunk, bytes));
    return bytes;
}

Result<void> KvzFile::readChunkInto(std::size_t level, PlaneId plane, std::size_t chunk,
                                    std::span<std::byte> out) const {
    KVSCOPE_TRY(bytes_->readAt(levels()[level].planes.at(plane).chunks[chunk].offset, out));
    return checkChunk(level, plane, chunk, out);
}

Result<void> KvzFile::checkChunk(std::size_t level, PlaneId plane, std::size_t chunk,
                                 std::span<const std::byte> bytes) const {
    const KvzChunk& entry = levels()[level].planes.at(plane).chunks[chunk];
    if (hashBytes(bytes) != entry.hash)
        return fail("is damaged: the checksum of chunk " + std::to_string(chunk) + " (tokens " +
                        std::to_string(entry.tokens.begin.value) + ".." + std::to_string(entry.tokens.end.value) +
                        ") of layer " + std::to_string(plane.layer.value) + " " + std::string(nameOf(plane.kind)) +
                        " does not match",
                    name() + ", level " + levels()[level].name + ", byte " + std::to_string(entry.offset),
                    "Other chunks can still be read; copy the file again, or encode it again");
    return {};
}

std::shared_ptr<const ChunkStore> KvzFile::store(std::size_t level) const {
    return std::make_shared<LevelStore>(shared_from_this(), level);
}

KvCache KvzFile::cache(std::size_t level) const {
    CacheInfo info = directory_.info;
    info.format = ".kvz, level " + levels()[level].name;
    return makeDecodedCache(geometry(), std::move(info), store(level));
}

} // namespace kvscope
