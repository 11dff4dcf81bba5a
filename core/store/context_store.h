// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace kvscope {

/// Largest record: what Redis takes as one value.
inline constexpr std::int64_t kMaxRecordBytes = std::int64_t{512} << 20;
/// Longest name of a context, in bytes.
inline constexpr std::size_t kMaxContextName = 128;

/// A chunk is known by its content: equal chunks of different contexts are kept once.
struct ChunkKey {
    /// XXH3 of the bytes.
    std::uint64_t hash = 0;
    std::int64_t bytes = 0;

    bool operator==(const ChunkKey&) const = default;
    /// "0123456789abcdef-98304": the hash in 16 hexadecimal digits, the size in decimal ones.
    [[nodiscard]] std::string text() const;
};

/// What text() made; nothing where it is something else.
std::optional<ChunkKey> chunkKeyFrom(std::string_view text);

/// Where encoded chunks are kept so that they outlive a machine and are shared by many: chunks by content, and one
/// record for each context that says which chunks it consists of. RECORDS.md describes every record. Safe to use from
/// any thread; no call waits longer than the store's own limits.
class ContextStore {
public:
    ContextStore() = default;
    virtual ~ContextStore() = default;
    ContextStore(const ContextStore&) = delete;
    ContextStore& operator=(const ContextStore&) = delete;

    /// The chunk's bytes, checked against the key.
    [[nodiscard]] Result<std::vector<std::byte>> readChunk(const ChunkKey& key) const;
    /// Writes a chunk unless it is there already; returns whether it was written.
    [[nodiscard]] Result<bool> writeChunk(const ChunkKey& key, std::span<const std::byte> bytes);
    /// Names of the contexts, sorted.
    [[nodiscard]] virtual Result<std::vector<std::string>> contexts() const = 0;
    /// A context's record as it was written. The name must be valid.
    [[nodiscard]] virtual Result<std::vector<std::byte>> readContext(const std::string& context) const = 0;
    /// Replaces a context's record in one step. The name must be valid.
    [[nodiscard]] virtual Result<void> writeContext(const std::string& context, std::span<const std::byte> bytes) = 0;
    /// Takes a context's record away; its chunks stay until collectGarbage(). The name must be valid.
    [[nodiscard]] virtual Result<void> removeContext(const std::string& context) = 0;
    /// Keys of all chunks, in any order.
    [[nodiscard]] virtual Result<std::vector<ChunkKey>> chunks() const = 0;
    /// Takes a chunk away unless it was written, read or found by a writer within so many seconds; returns whether it
    /// is gone.
    [[nodiscard]] virtual Result<bool> removeChunk(const ChunkKey& key, double idleSeconds) = 0;
    /// What to call the store in messages.
    [[nodiscard]] virtual const std::string& name() const = 0;

protected:
    [[nodiscard]] virtual Result<std::vector<std::byte>> fetchChunk(const ChunkKey& key) const = 0;
    [[nodiscard]] virtual Result<void> keepChunk(const ChunkKey& key, std::span<const std::byte> bytes) = 0;
    /// Whether it is there; then it counts as used, so that it stays until whoever asks has written a record with it.
    [[nodiscard]] virtual Result<bool> holdsChunk(const ChunkKey& key) const = 0;
};

using ContextStorePtr = std::shared_ptr<ContextStore>;

/// Letters, digits, '.', '_' and '-', not starting with '.', at most kMaxContextName bytes: the same name serves as a
/// file's name and as part of a key.
bool isContextName(std::string_view name);
/// The nearest valid name: other bytes become '-'.
std::string contextNameFrom(std::string_view text);

/// A folder as a store. `create` makes it (and marks it) when it is not there; otherwise it must be one.
Result<ContextStorePtr> openFolderStore(const std::string& path, bool create);
/// Whether the folder is marked as a store.
bool isFolderStore(const std::string& path);

struct RedisOptions {
    double connectSeconds = 3;
    /// For each reply, and for each piece of a request.
    double replySeconds = 5;
};

/// Redis as a store: "redis://[:PASSWORD@]HOST[:PORT][/DATABASE]" or "redis+unix:///SOCKET". Connects at once, and
/// again whenever the connection was lost: each call then fails or succeeds within the options' limits.
Result<ContextStorePtr> openRedisStore(const std::string& url, const RedisOptions& options = {});
bool isRedisUrl(std::string_view location);

} // namespace kvscope
