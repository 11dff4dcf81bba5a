// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/torch_types.h"

#include <array>

namespace kvscope {

namespace {

struct TypeRow {
    std::string_view dtype;
    std::string_view otherDtype;
    std::string_view storage;
    std::string_view numpy;
    std::int64_t size;
    std::optional<DType> held;
};

constexpr auto kTypes = std::to_array<TypeRow>({
    {"float64", "double", "DoubleStorage", "f8", 8, DType::F64},
    {"float32", "float", "FloatStorage", "f4", 4, DType::F32},
    {"float16", "half", "HalfStorage", "f2", 2, DType::F16},
    {"bfloat16", "", "BFloat16Storage", "bfloat16", 2, DType::BF16},
    {"float8_e4m3fn", "", "Float8_e4m3fnStorage", "float8_e4m3fn", 1, DType::F8E4M3},
    {"float8_e5m2", "", "Float8_e5m2Storage", "float8_e5m2", 1, DType::F8E5M2},
    {"float8_e4m3fnuz", "", "", "", 1, std::nullopt},
    {"float8_e5m2fnuz", "", "", "", 1, std::nullopt},
    {"float8_e8m0fnu", "", "", "", 1, std::nullopt},
    {"int8", "", "CharStorage", "i1", 1, DType::I8},
    {"uint8", "", "ByteStorage", "u1", 1, DType::U8},
    {"uint8", "", "UntypedStorage", "", 1, DType::U8},
    {"bool", "", "BoolStorage", "b1", 1, std::nullopt},
    {"int16", "short", "ShortStorage", "i2", 2, std::nullopt},
    {"int32", "int", "IntStorage", "i4", 4, std::nullopt},
    {"int64", "long", "LongStorage", "i8", 8, std::nullopt},
    {"uint16", "", "", "u2", 2, std::nullopt},
    {"uint32", "", "", "u4", 4, std::nullopt},
    {"uint64", "", "", "u8", 8, std::nullopt},
    {"complex64", "cfloat", "ComplexFloatStorage", "c8", 8, std::nullopt},
    {"complex128", "cdouble", "ComplexDoubleStorage", "c16", 16, std::nullopt},
});

std::optional<TorchType> typeOf(std::string_view key, std::string_view TypeRow::*column,
                                std::string_view TypeRow::*other) {
    if (key.empty())
        return std::nullopt;
    for (const auto& row : kTypes) {
        if (row.*column == key || row.*other == key)
            return TorchType{"torch." + std::string(row.dtype), row.size, row.held};
    }
    return std::nullopt;
}

std::string_view lastPart(std::string_view name) {
    return name.substr(name.rfind('.') + 1);
}

} // namespace

std::optional<TorchType> torchTypeFromDtype(std::string_view global) {
    if (!global.starts_with("torch."))
        return std::nullopt;
    return typeOf(global.substr(6), &TypeRow::dtype, &TypeRow::otherDtype);
}

std::optional<TorchType> torchTypeFromStorage(std::string_view global) {
    if (!global.starts_with("torch."))
        return std::nullopt;
    return typeOf(lastPart(global), &TypeRow::storage, &TypeRow::storage);
}

std::optional<TorchType> torchTypeFromNumpy(std::string_view code) {
    auto type = typeOf(code, &TypeRow::numpy, &TypeRow::numpy);
    if (type)
        type->name = "numpy." + type->name.substr(6);
    return type;
}

} // namespace kvscope
