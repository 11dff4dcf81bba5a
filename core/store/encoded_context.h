// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/codec/kvz_directory.h"
#include "core/codec/kvz_file.h"
#include "core/store/context_store.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace kvscope {

/// A cache encoded at one or more levels, any chunk of which can be read by itself, wherever it is kept. Safe to use
/// from any thread.
class EncodedContext {
public:
    EncodedContext() = default;
    virtual ~EncodedContext() = default;
    EncodedContext(const EncodedContext&) = delete;
    EncodedContext& operator=(const EncodedContext&) = delete;

    /// Levels, planes and chunks (their offsets mean nothing outside a file).
    [[nodiscard]] virtual const KvzDirectory& directory() const = 0;
    /// Reads a chunk into `out`, which must have its size, and checks its hash.
    [[nodiscard]] virtual Result<void> readChunkInto(std::size_t level, PlaneId plane, std::size_t chunk,
                                                     std::span<std::byte> out) const = 0;
    /// The same into fresh memory.
    [[nodiscard]] Result<std::vector<std::byte>> readChunk(std::size_t level, PlaneId plane, std::size_t chunk) const;
};

using EncodedContextPtr = std::shared_ptr<const EncodedContext>;

/// A .kvz file as a context.
EncodedContextPtr contextOf(KvzFilePtr file);

/// A context of a store. Fails when there is none of that name (naming those that there are), or its record is damaged.
Result<EncodedContextPtr> openContext(std::shared_ptr<const ContextStore> store, const std::string& name);

/// What putting a context into a store came to.
struct StoreReport {
    std::int64_t chunks = 0;
    std::int64_t bytes = 0;
    /// Those that were not there yet.
    std::int64_t newChunks = 0;
    std::int64_t newBytes = 0;
};

/// Puts a context into a store under a name: chunks first, then the record, so that whoever finds the record finds all
/// of its chunks. A context of that name is replaced. Progress in bytes.
Result<StoreReport> putContext(ContextStore& store, const std::string& name, const EncodedContext& context,
                               const JobControl& job = {});

/// What collecting came to.
struct CollectReport {
    /// Chunks that were there, and those that were taken away.
    std::int64_t chunks = 0;
    std::int64_t removedChunks = 0;
    std::int64_t removedBytes = 0;
};

/// Chunks that no context's record names are left behind by contexts that were replaced or removed. Takes those away
/// that nobody used for `idleSeconds`: a writer puts chunks first and its record last. Removes nothing when a record
/// cannot be read. Progress in chunks.
Result<CollectReport> collectGarbage(ContextStore& store, double idleSeconds, const JobControl& job = {});

/// Contexts by name: what a sender offers.
class ContextShelf {
public:
    ContextShelf() = default;
    virtual ~ContextShelf() = default;
    ContextShelf(const ContextShelf&) = delete;
    ContextShelf& operator=(const ContextShelf&) = delete;

    [[nodiscard]] virtual Result<std::vector<std::string>> names() const = 0;
    /// An empty name means the only one there is.
    [[nodiscard]] virtual Result<EncodedContextPtr> open(const std::string& name) const = 0;
};

using ContextShelfPtr = std::shared_ptr<const ContextShelf>;

/// A .kvz file, a folder of such files, a folder that is a store, or a Redis URL.
Result<ContextShelfPtr> openShelf(const std::string& location);

/// A store that is there: a Redis URL or a folder.
Result<ContextStorePtr> openStore(const std::string& location);
/// A store to write to: a Redis URL, or a folder (made when it is not there).
Result<ContextStorePtr> openStoreToWrite(const std::string& location);

} // namespace kvscope
