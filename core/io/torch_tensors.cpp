// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/checked.h"
#include "core/io/torch_objects.h"

#include <optional>

namespace kvscope {

namespace {

constexpr std::size_t kMaxRank = 16;
constexpr std::string_view kSaveAgain = "Load it where it was made and save it again as plain tensors";

std::optional<std::vector<std::int64_t>> counts(const PickleTree& tree, PickleId id) {
    const auto& node = tree[id];
    if ((node.kind != PickleKind::Tuple && node.kind != PickleKind::List) || node.items.size() > kMaxRank)
        return std::nullopt;
    std::vector<std::int64_t> numbers;
    for (const auto item : node.items) {
        if (tree[item].kind != PickleKind::Integer || tree[item].integer < 0)
            return std::nullopt;
        numbers.push_back(tree[item].integer);
    }
    return numbers;
}

/// Byte after the last element, or nothing when it is too large for a number; the offset when there is no element.
std::optional<std::int64_t> extentOf(const StoredTensor& tensor) {
    std::int64_t last = 0;
    for (std::size_t axis = 0; axis < tensor.shape.size(); ++axis) {
        if (tensor.shape[axis] == 0)
            return tensor.offset;
        const auto span = checkedMul(tensor.shape[axis] - 1, tensor.strides[axis]);
        const auto sum = span ? checkedAdd(last, *span) : std::nullopt;
        if (!sum)
            return std::nullopt;
        last = *sum;
    }
    const auto elements = checkedAdd(last, 1);
    const auto bytes = elements ? checkedMul(*elements, tensor.elementSize) : std::nullopt;
    return bytes ? checkedAdd(*bytes, tensor.offset) : std::nullopt;
}

Result<void> checkExtent(const StoredTensor& tensor) {
    const auto end = extentOf(tensor);
    std::int64_t elements = 1;
    bool empty = false;
    for (const auto size : tensor.shape) {
        empty = empty || size == 0;
        const auto product = checkedMul(elements, size);
        if (!product || *product > (std::int64_t{1} << 60))
            return fail("tensor " + tensor.name + " claims more than 2^60 values", tensor.bytes->name(),
                        "The file is damaged");
        elements = *product;
    }
    if (!end || (!empty && *end > tensor.bytes->size()))
        return fail("tensor " + tensor.name + " needs bytes " + std::to_string(tensor.offset) + ".." +
                        (end ? std::to_string(*end) : std::string("beyond 2^63")) + " of a storage of " +
                        std::to_string(tensor.bytes->size()) + " bytes",
                    tensor.bytes->name(), "The file is truncated or its header is wrong");
    return {};
}

/// _rebuild_tensor_v2(storage, storage_offset, size, stride, requires_grad, hooks[, metadata]) and _v3 (..., dtype).
Result<StoredTensor> rebuildPlain(const PickleTree& tree, const PickleNode& call, TorchStorages& storages,
                                  const std::string& name, const std::string& file) {
    const bool third = call.text.ends_with("_v3");
    const auto& arguments = call.items;
    const auto wrong = [&](const std::string& why) {
        return fail("tensor " + name + " " + why, file, "The file is damaged: save it again");
    };
    if (arguments.size() < (third ? 7U : 4U))
        return wrong("is described by too few values");
    KVSCOPE_ASSIGN(auto storage, storages.find(tree, arguments[0]));
    StoredTensor tensor;
    tensor.name = name;
    auto type = std::optional(storage.type);
    if (third) {
        const auto& dtype = tree[arguments[6]];
        type = dtype.kind == PickleKind::Global ? torchTypeFromDtype(dtype.text) : std::nullopt;
        if (!type)
            return wrong("has the type " + dtype.text.substr(0, 200) + ", which KVScope does not know");
    } else if (arguments.size() > 6) {
        const auto negative = tree.find(tree[arguments[6]], "neg");
        if (negative != kNoPickleValue && tree[negative].integer != 0)
            return wrong("is a view with its sign turned, which KVScope does not read");
    }
    tensor.dtype = type->dtype;
    tensor.typeName = type->name;
    tensor.elementSize = type->size;
    tensor.bigEndian = storage.bigEndian && type->size > 1;
    tensor.bytes = storage.bytes;
    const auto& offset = tree[arguments[1]];
    auto shape = counts(tree, arguments[2]);
    auto strides = counts(tree, arguments[3]);
    if (offset.kind != PickleKind::Integer || offset.integer < 0)
        return wrong("has an offset that is none");
    if (!shape || !strides || shape->size() != strides->size())
        return wrong("has a shape or strides that are none");
    const auto bytes = checkedMul(offset.integer, type->size);
    if (!bytes)
        return wrong("begins beyond 2^63 bytes");
    tensor.offset = *bytes;
    tensor.shape = std::move(*shape);
    tensor.strides = std::move(*strides);
    KVSCOPE_TRY(checkExtent(tensor));
    return tensor;
}

struct NumpyType {
    TorchType type;
    bool bigEndian = false;
};

/// numpy.dtype("f4", ...) with the state (3, "<", ...).
std::optional<NumpyType> numpyType(const PickleTree& tree, PickleId id) {
    const auto& record = tree[id];
    if (record.kind != PickleKind::Record || record.text != "numpy.dtype" || record.items.empty())
        return std::nullopt;
    const auto& code = tree[record.items.front()];
    const auto text = code.kind == PickleKind::Global ? code.text.substr(code.text.rfind('.') + 1) : code.text;
    auto type = torchTypeFromNumpy(text);
    if (!type)
        return std::nullopt;
    NumpyType numpy{std::move(*type), false};
    if (record.state != kNoPickleValue && tree[record.state].items.size() > 1)
        numpy.bigEndian = tree[tree[record.state].items[1]].text == ">" && numpy.type.size > 1;
    return numpy;
}

/// _reconstruct(ndarray, ...) with the state (1, shape, dtype, fortran, bytes), or _frombuffer(bytes, dtype, shape,
/// order).
Result<StoredTensor> rebuildNumpy(const PickleTree& tree, const PickleNode& call, const ByteSourcePtr& pickle,
                                  const std::string& name) {
    const auto wrong = [&](const std::string& why) {
        return fail("array " + name + " " + why, pickle->name(), "Save it with numpy.save or numpy.savez instead");
    };
    const bool buffer = call.text.ends_with("_frombuffer");
    const auto* parts = &call.items;
    if (!buffer) {
        if (call.state == kNoPickleValue || tree[call.state].items.size() != 5)
            return wrong("has no values");
        parts = &tree[call.state].items;
    } else if (parts->size() != 4) {
        return wrong("is described by too few values");
    }
    const auto type = numpyType(tree, (*parts)[buffer ? 1 : 2]);
    auto shape = counts(tree, (*parts)[buffer ? 2 : 1]);
    const auto& order = tree[(*parts)[3]];
    const bool fortran = buffer ? order.text == "F" : order.integer != 0;
    const auto& values = tree[(*parts)[buffer ? 0 : 4]];
    if (!type)
        return wrong("holds Python objects or a type that KVScope does not know");
    if (!shape)
        return wrong("has a shape that is none");
    if (values.kind != PickleKind::Bytes)
        return wrong("does not hold its values as bytes");
    StoredTensor tensor;
    tensor.name = name;
    tensor.dtype = type->type.dtype;
    tensor.typeName = type->type.name;
    tensor.elementSize = type->type.size;
    tensor.bigEndian = type->bigEndian;
    tensor.shape = std::move(*shape);
    tensor.strides.resize(tensor.shape.size());
    std::int64_t stride = 1;
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
        const auto axis = fortran ? i : tensor.shape.size() - 1 - i;
        tensor.strides[axis] = stride;
        const auto next = checkedMul(stride, std::max<std::int64_t>(tensor.shape[axis], 1));
        if (!next)
            return wrong("claims more than 2^63 values");
        stride = *next;
    }
    KVSCOPE_ASSIGN(tensor.bytes, pickledBytes(values, pickle, pickle->name()));
    KVSCOPE_TRY(checkExtent(tensor));
    return tensor;
}

bool isPlainRebuild(std::string_view name) {
    return name == "torch._utils._rebuild_tensor" || name == "torch._utils._rebuild_tensor_v2" ||
           name == "torch._utils._rebuild_tensor_v3";
}

bool isParameter(std::string_view name) {
    return name == "torch._utils._rebuild_parameter" || name == "torch._utils._rebuild_parameter_with_state";
}

bool isTyped(std::string_view name) {
    return name == "torch._tensor._rebuild_from_type" || name == "torch._tensor._rebuild_from_type_v2";
}

bool isNumpy(std::string_view name) {
    return name.starts_with("numpy.") && (name.ends_with("multiarray._reconstruct") || name.ends_with("._frombuffer"));
}

} // namespace

bool isTensorRecord(const PickleNode& node) {
    return node.kind == PickleKind::Record &&
           (isPlainRebuild(node.text) || isParameter(node.text) || isTyped(node.text) || isNumpy(node.text));
}

Result<StoredTensor> rebuildTensor(const PickleTree& tree, PickleId record, TorchStorages& storages,
                                   const ByteSourcePtr& pickle, const std::string& name) {
    // A parameter holds a tensor, which a subclass may describe in turn: never more than a few levels.
    for (int level = 0; level < 4; ++level) {
        const auto& node = tree[record];
        if (node.kind != PickleKind::Record)
            break;
        if (isPlainRebuild(node.text))
            return rebuildPlain(tree, node, storages, name, pickle->name());
        if (isNumpy(node.text))
            return rebuildNumpy(tree, node, pickle, name);
        if (isParameter(node.text) && !node.items.empty()) {
            record = node.items.front();
            continue;
        }
        if (!isTyped(node.text) || node.items.size() < 3)
            break;
        // (function, class, arguments[, state]): what the function would have been called with.
        const auto& function = tree[node.items[0]];
        const auto& arguments = tree[node.items[2]];
        if (function.kind != PickleKind::Global || arguments.kind != PickleKind::Tuple)
            break;
        if (!isPlainRebuild(function.text))
            return fail("tensor " + name + " is rebuilt by " + function.text.substr(0, 200) +
                            ", which KVScope does not know (and it never executes code from a file)",
                        pickle->name(), std::string(kSaveAgain));
        return rebuildPlain(tree, {.kind = PickleKind::Record, .text = function.text, .items = arguments.items},
                            storages, name, pickle->name());
    }
    return fail("tensor " + name + " is described in a way that KVScope does not know", pickle->name(),
                std::string(kSaveAgain));
}

} // namespace kvscope
