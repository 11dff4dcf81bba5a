// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/base/result.h"
#include "core/codec/encoded_cache.h"
#include "core/codec/kvz_directory.h"
#include "core/codec/kvz_layout.h"
#include "core/kv/kv_cache.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvscope {

/// An open .kvz: one cache at one or more levels, any chunk of which can be read by itself. Immutable and safe to use
/// from any thread.
class KvzFile : public std::enable_shared_from_this<KvzFile> {
public:
    /// Reads and checks the directory. Where the newest one is damaged and the one before it is whole, opens that and
    /// says so in a note. Fails, saying where, when there is none.
    static Result<std::shared_ptr<const KvzFile>> open(ByteSourcePtr bytes);

    [[nodiscard]] const KvGeometry& geometry() const { return directory_.geometry; }
    [[nodiscard]] const CacheInfo& info() const { return directory_.info; }
    [[nodiscard]] const std::vector<KvzLevel>& levels() const { return directory_.levels; }
    [[nodiscard]] const KvzDirectory& directory() const { return directory_; }
    [[nodiscard]] const KvzRoot& root() const { return root_; }
    [[nodiscard]] const std::string& name() const { return bytes_->name(); }

    /// The level of that name; the error lists those that there are. The text level has no index: an error says so.
    [[nodiscard]] Result<std::size_t> findLevel(std::string_view name) const;
    /// The lossless level where there is one, else the one with the most bytes; an error in a file of text alone.
    [[nodiscard]] Result<std::size_t> bestLevel() const;

    /// Reads one chunk into `out`, which must have its size, and checks its hash; the error names level, plane and
    /// chunk.
    [[nodiscard]] Result<void> readChunkInto(std::size_t level, PlaneId plane, std::size_t chunk,
                                             std::span<std::byte> out) const;
    /// The same into fresh memory.
    [[nodiscard]] Result<std::vector<std::byte>> readChunk(std::size_t level, PlaneId plane, std::size_t chunk) const;
    /// The chunks of a level for makeDecodedCache().
    [[nodiscard]] std::shared_ptr<const ChunkStore> store(std::size_t level) const;
    /// The cache at a level, decoded when it is read.
    [[nodiscard]] KvCache cache(std::size_t level) const;

private:
    KvzFile(ByteSourcePtr bytes, KvzDirectory directory, KvzRoot root);
    [[nodiscard]] tl::unexpected<Error> noValues() const;
    [[nodiscard]] Result<void> checkChunk(std::size_t level, PlaneId plane, std::size_t chunk,
                                          std::span<const std::byte> bytes) const;

    ByteSourcePtr bytes_;
    KvzDirectory directory_;
    KvzRoot root_;
};

using KvzFilePtr = std::shared_ptr<const KvzFile>;

} // namespace kvscope
