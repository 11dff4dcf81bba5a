// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/base/result.h"
#include "core/io/model_config.h"
#include "core/io/open_dump.h"
#include "core/kv/dtype.h"
#include "core/kv/kv_cache.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kvscope {

/// One stored array as a container format (NumPy, safetensors, torch) describes it: no value has been read yet.
struct StoredTensor {
    /// Name in the file; members of nested containers are joined with dots ("layers.3.keys", "0.1").
    std::string name;
    /// Type of the values where it is one that a cache can hold; empty for integers wider than 8 bits, bool, complex
    /// ...
    std::optional<DType> dtype;
    /// The format's own name of the type ("uint16", "I64", "torch.float16").
    std::string typeName;
    std::int64_t elementSize = 0;
    bool bigEndian = false;
    std::vector<std::int64_t> shape;
    /// In elements, one per axis, not negative.
    std::vector<std::int64_t> strides;
    ByteSourcePtr bytes;
    /// Byte offset of the first element.
    std::int64_t offset = 0;
    /// Text position of the first token held, where the file says so (sliding windows start later than 0).
    std::optional<std::int64_t> firstPosition;
    /// Tokens held along the token axis, where the file says so; what follows them is padding (static caches).
    std::optional<std::int64_t> heldTokens;
};

/// What a container file holds, before it is known which tensor is which plane.
struct TensorTable {
    /// As shown to the user, e.g. "NumPy .npz".
    std::string format;
    std::string name;
    std::filesystem::path path;
    std::vector<StoredTensor> tensors;
    /// Free text that the file carries (safetensors __metadata__, class names of pickled caches under "class").
    std::map<std::string, std::string> metadata;
    std::vector<CacheNote> notes;
    /// What the file itself says about the model (a raw dump's sidecar); a configuration beside it comes first.
    std::optional<ModelConfig> config;
    /// Tokens that a description names; those in the tensors come first.
    std::optional<CacheTokens> tokens;
};

/// Checks that every element of the tensor lies inside its source and that no size overflows; the error names the
/// tensor.
Result<void> checkTensor(const StoredTensor& tensor);

/// Reads a small integer or boolean tensor of any width (token ids, block tables, lengths), in row-major order.
/// Fails for float types and for more than `limit` elements.
Result<std::vector<std::int64_t>> readIntegers(const StoredTensor& tensor, std::int64_t limit);

/// Reads a small tensor of any float or 8-bit type (scales, zero points) as float32, in row-major order; fails for more
/// than `limit` elements.
Result<std::vector<float>> readFloats(const StoredTensor& tensor, std::int64_t limit);

/// Finds out which tensors are K, V, latent, query, scale and token planes, in which axis order, and makes the cache;
/// names, shapes, side files beside `table.path`, and `options` decide, and the layout check where they leave it open.
Result<OpenedDump> assembleDump(TensorTable table, const OpenOptions& options, const JobControl& job = {});

} // namespace kvscope
