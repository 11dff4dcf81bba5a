// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/io/pickle.h"
#include "core/io/tensor_table.h"
#include "core/io/torch_storage.h"

namespace kvscope {

/// The tensor that a Record of _rebuild_tensor, _rebuild_tensor_v2, _rebuild_tensor_v3, _rebuild_parameter,
/// _rebuild_from_type_v2 or of a numpy array stands for; its extent is checked against its storage. `pickle` holds the
/// stream (numpy keeps its values in it).
Result<StoredTensor> rebuildTensor(const PickleTree& tree, PickleId record, TorchStorages& storages,
                                   const ByteSourcePtr& pickle, const std::string& name);

/// Whether a Record stands for a tensor or array.
bool isTensorRecord(const PickleNode& node);

/// Walks lists, tuples, dictionaries and cache objects (transformers' DynamicCache, StaticCache, HybridCache and the
/// like, old and new) and puts every tensor into table.tensors under its path ("0.1", "layers.3.keys",
/// "key_cache.3"), numbers and texts into table.metadata, the class of the outermost cache under "class". Fails on
/// values that contain themselves, nest too deep or are too many.
Result<void> collectTensors(const PickleTree& tree, TorchStorages& storages, const ByteSourcePtr& pickle,
                            TensorTable& table);

} // namespace kvscope
