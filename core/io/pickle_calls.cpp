// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/pickle.h"

#include <algorithm>
#include <array>

namespace kvscope {

namespace {

// Sorted: looked up by binary search.
constexpr auto kInertCalls = std::to_array<std::string_view>({
    "__builtin__.bytearray",
    "__builtin__.complex",
    "__builtin__.dict",
    "__builtin__.frozenset",
    "__builtin__.list",
    "__builtin__.object",
    "__builtin__.range",
    "__builtin__.set",
    "__builtin__.slice",
    "__builtin__.tuple",
    "__builtin__.xrange",
    "_codecs.encode",
    "builtins.bytearray",
    "builtins.complex",
    "builtins.dict",
    "builtins.frozenset",
    "builtins.list",
    "builtins.object",
    "builtins.range",
    "builtins.set",
    "builtins.slice",
    "builtins.tuple",
    "collections.Counter",
    "collections.OrderedDict",
    "collections.UserDict",
    "collections.defaultdict",
    "collections.deque",
    "copy_reg.__newobj__",
    "copy_reg._reconstructor",
    "copyreg.__newobj__",
    "copyreg._reconstructor",
    "datetime.date",
    "datetime.datetime",
    "datetime.timedelta",
    "datetime.timezone",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy._core.numeric._frombuffer",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.core.numeric._frombuffer",
    "numpy.dtype",
    "numpy.ndarray",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "pathlib.PureWindowsPath",
    "pathlib.WindowsPath",
    "torch.Size",
    "torch._tensor._rebuild_from_type",
    "torch._tensor._rebuild_from_type_v2",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch.device",
    "torch.serialization._get_layout",
    "torch.storage._load_from_bytes",
    "types.SimpleNamespace",
});
static_assert(std::is_sorted(kInertCalls.begin(), kInertCalls.end()));

/// Cache classes, model outputs and configurations: a name that begins with a capital after the last dot.
bool isTransformersClass(std::string_view name) {
    if (!name.starts_with("transformers.") && !name.starts_with("transformers_modules."))
        return false;
    const auto last = name.rfind('.') + 1;
    return last < name.size() && name[last] >= 'A' && name[last] <= 'Z';
}

} // namespace

bool isInertCall(std::string_view name) {
    return std::binary_search(kInertCalls.begin(), kInertCalls.end(), name) || isTransformersClass(name);
}

} // namespace kvscope
