// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/base/progress.h"
#include "core/io/pickle.h"
#include "core/io/torch_types.h"
#include "core/io/zip_archive.h"

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace kvscope {

/// A run of values that tensors are views of.
struct TorchStorage {
    ByteSourcePtr bytes;
    TorchType type;
    bool bigEndian = false;
};

/// What a persistent id of torch.save names: ("storage", class, key, location, elements[, (view key, offset, size)]).
struct TorchStorageId {
    TorchType type;
    std::string key;
    std::int64_t elements = 0;
    std::int64_t viewOffset = 0;
};
Result<TorchStorageId> torchStorageId(const PickleTree& tree, PickleId persistent, const std::string& file);

/// Where the storages of a file lie.
class TorchStorages {
public:
    TorchStorages() = default;
    virtual ~TorchStorages() = default;
    TorchStorages(const TorchStorages&) = delete;
    TorchStorages& operator=(const TorchStorages&) = delete;

    /// The storage of a persistent id or of a pickled _load_from_bytes record; checks that all its bytes are there.
    virtual Result<TorchStorage> find(const PickleTree& tree, PickleId id) = 0;
};

/// Storages of the zip format: the members `<prefix>/data/<key>`; `file` names the archive in messages.
std::unique_ptr<TorchStorages> zipTorchStorages(ZipArchive archive, std::string prefix, std::string file,
                                                bool bigEndian, JobControl job);

/// A file of the format before torch 1.6 (or of a plain pickle that holds tensors): its objects and storages.
struct LegacyTorch {
    PickleTree objects;
    std::unique_ptr<TorchStorages> storages;
    /// False for a plain pickle, which is not by torch.save.
    bool torch = false;
};
Result<LegacyTorch> readLegacyTorch(const ByteSourcePtr& file);

} // namespace kvscope
