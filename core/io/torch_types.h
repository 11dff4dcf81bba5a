// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/dtype.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvscope {

/// An element type of torch.
struct TorchType {
    /// As torch prints it, e.g. "torch.float16".
    std::string name;
    std::int64_t size = 0;
    /// Empty for types that a cache cannot hold.
    std::optional<DType> dtype;
};

/// The type of "torch.float16", "torch.bfloat16" ...
std::optional<TorchType> torchTypeFromDtype(std::string_view global);

/// The type of a storage class: "torch.HalfStorage", "torch.cuda.HalfStorage", "torch.storage.UntypedStorage" (bytes)
/// ...
std::optional<TorchType> torchTypeFromStorage(std::string_view global);

/// The type of a numpy type string without its byte order: "f4", "i8", "b1" ...
std::optional<TorchType> torchTypeFromNumpy(std::string_view code);

} // namespace kvscope
