// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/store/encoded_context.h"

#include "core/base/hash.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <new>
#include <set>
#include <utility>

namespace kvscope {

namespace {

constexpr std::array<char, 8> kRecordMagic{'K', 'V', 'S', 'C', 'T', 'X', '1', '\n'};
constexpr std::size_t kRecordHead = kRecordMagic.size() + sizeof(std::uint64_t);

class FileContext final : public EncodedContext {
public:
    explicit FileContext(KvzFilePtr file)
        : file_(std::move(file)) {}

    [[nodiscard]] const KvzDirectory& directory() const override { return file_->directory(); }
    [[nodiscard]] Result<void> readChunkInto(std::size_t level, PlaneId plane, std::size_t chunk,
                                             std::span<std::byte> out) const override {
        return file_->readChunkInto(level, plane, chunk, out);
    }

private:
    KvzFilePtr file_;
};

class StoredContext final : public EncodedContext {
public:
    StoredContext(std::shared_ptr<const ContextStore> store, KvzDirectory directory)
        : store_(std::move(store))
        , directory_(std::move(directory)) {}

    [[nodiscard]] const KvzDirectory& directory() const override { return directory_; }
    [[nodiscard]] Result<void> readChunkInto(std::size_t level, PlaneId plane, std::size_t chunk,
                                             std::span<std::byte> out) const override {
        const KvzChunk& entry = directory_.levels[level].planes.at(plane).chunks[chunk];
        KVSCOPE_ASSIGN(const auto bytes, store_->readChunk({entry.hash, entry.bytes}));
        std::ranges::copy(bytes, out.begin());
        return {};
    }

private:
    std::shared_ptr<const ContextStore> store_;
    KvzDirectory directory_;
};

std::vector<std::byte> toRecord(const KvzDirectory& directory) {
    const std::vector<std::byte> body = toBytes(directory);
    const std::uint64_t hash = hashBytes(body);
    std::vector<std::byte> record(kRecordHead + body.size());
    std::memcpy(record.data(), kRecordMagic.data(), kRecordMagic.size());
    std::memcpy(record.data() + kRecordMagic.size(), &hash, sizeof hash);
    std::memcpy(record.data() + kRecordHead, body.data(), body.size());
    return record;
}

Result<KvzDirectory> fromRecord(std::span<const std::byte> record, const std::string& where) {
    if (record.size() < kRecordHead || std::memcmp(record.data(), kRecordMagic.data(), kRecordMagic.size()) != 0)
        return fail("is not a context's record, or one of another version", where,
                    "Put the context into the store again");
    std::uint64_t hash = 0;
    std::memcpy(&hash, record.data() + kRecordMagic.size(), sizeof hash);
    if (hashBytes(record.subspan(kRecordHead)) != hash)
        return fail("is damaged: its checksum does not match", where, "Put the context into the store again");
    try {
        return directoryFromBytes(record.subspan(kRecordHead), std::numeric_limits<std::int64_t>::max(), where);
    } catch (const std::bad_alloc&) {
        return fail("needs more memory than there is", where, "Close other dumps", Error::Kind::System);
    }
}

} // namespace

Result<std::vector<std::byte>> EncodedContext::readChunk(std::size_t level, PlaneId plane, std::size_t chunk) const {
    std::vector<std::byte> bytes;
    try {
        bytes.resize(static_cast<std::size_t>(directory().levels[level].planes.at(plane).chunks[chunk].bytes));
    } catch (const std::bad_alloc&) {
        return fail("needs more memory than there is", directory().info.name, "Close other dumps", Error::Kind::System);
    }
    KVSCOPE_TRY(readChunkInto(level, plane, chunk, bytes));
    return bytes;
}

EncodedContextPtr contextOf(KvzFilePtr file) {
    return std::make_shared<FileContext>(std::move(file));
}

Result<EncodedContextPtr> openContext(std::shared_ptr<const ContextStore> store, const std::string& name) {
    const std::string where = store->name() + ", context " + name;
    if (!isContextName(name))
        return fail("is not a context's name", where, "Names hold letters, digits, '.', '_' and '-'");
    KVSCOPE_ASSIGN(const auto record, store->readContext(name));
    KVSCOPE_ASSIGN(KvzDirectory directory, fromRecord(record, where));
    return std::make_shared<StoredContext>(std::move(store), std::move(directory));
}

Result<StoreReport> putContext(ContextStore& store, const std::string& name, const EncodedContext& context,
                               const JobControl& job) {
    if (!isContextName(name))
        return fail("is not a name for a context: \"" + name + "\"", store.name(),
                    "Use letters, digits, '.', '_' and '-'");
    StoreReport report;
    const auto& levels = context.directory().levels;
    if (job.progress != nullptr) {
        std::int64_t total = 0;
        for (const KvzLevel& level : levels)
            total += level.bytes();
        job.progress->start(total);
    }
    for (std::size_t level = 0; level < levels.size(); ++level) {
        for (const auto& [id, plane] : levels[level].planes) {
            for (std::size_t chunk = 0; chunk < plane.chunks.size(); ++chunk) {
                if (job.stopRequested())
                    return cancelled();
                KVSCOPE_ASSIGN(const auto bytes, context.readChunk(level, id, chunk));
                const KvzChunk& entry = plane.chunks[chunk];
                KVSCOPE_ASSIGN(const bool isNew, store.writeChunk({entry.hash, entry.bytes}, bytes));
                ++report.chunks;
                report.bytes += entry.bytes;
                if (isNew) {
                    ++report.newChunks;
                    report.newBytes += entry.bytes;
                }
                job.advance(entry.bytes);
            }
        }
    }
    KVSCOPE_TRY(store.writeContext(name, toRecord(context.directory())));
    return report;
}

Result<CollectReport> collectGarbage(ContextStore& store, double idleSeconds, const JobControl& job) {
    // Chunks first: what a record that is written meanwhile names is then either used lately or not among them.
    KVSCOPE_ASSIGN(const std::vector<ChunkKey> all, store.chunks());
    std::set<std::pair<std::uint64_t, std::int64_t>> named;
    KVSCOPE_ASSIGN(const auto names, store.contexts());
    for (const std::string& name : names) {
        KVSCOPE_ASSIGN(const auto record, store.readContext(name));
        KVSCOPE_ASSIGN(const KvzDirectory directory, fromRecord(record, store.name() + ", context " + name));
        for (const KvzLevel& level : directory.levels) {
            for (const auto& [id, plane] : level.planes) {
                for (const KvzChunk& chunk : plane.chunks)
                    named.emplace(chunk.hash, chunk.bytes);
            }
        }
    }
    CollectReport report;
    report.chunks = static_cast<std::int64_t>(all.size());
    if (job.progress != nullptr)
        job.progress->start(report.chunks);
    for (const ChunkKey& key : all) {
        if (job.stopRequested())
            return cancelled();
        job.advance(1);
        if (named.contains({key.hash, key.bytes}))
            continue;
        KVSCOPE_ASSIGN(const bool gone, store.removeChunk(key, idleSeconds));
        if (gone) {
            ++report.removedChunks;
            report.removedBytes += key.bytes;
        }
    }
    return report;
}

} // namespace kvscope
