// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/kv/dtype.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <utility>

namespace kvscope {

std::string_view nameOf(DType type) {
    switch (type) {
    case DType::F64:
        return "f64";
    case DType::F32:
        return "f32";
    case DType::F16:
        return "f16";
    case DType::BF16:
        return "bf16";
    case DType::F8E4M3:
        return "f8_e4m3";
    case DType::F8E5M2:
        return "f8_e5m2";
    case DType::I8:
        return "i8";
    case DType::U8:
        return "u8";
    }
    return "?";
}

std::optional<DType> dtypeFromName(std::string_view name) {
    std::string lower(name);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (lower.starts_with("torch."))
        lower.erase(0, 6);
    static constexpr std::array<std::pair<std::string_view, DType>, 29> kNames{{
        {"f64", DType::F64},
        {"float64", DType::F64},
        {"double", DType::F64},
        {"fp64", DType::F64},
        {"f32", DType::F32},
        {"float32", DType::F32},
        {"float", DType::F32},
        {"fp32", DType::F32},
        {"f16", DType::F16},
        {"float16", DType::F16},
        {"half", DType::F16},
        {"fp16", DType::F16},
        {"bf16", DType::BF16},
        {"bfloat16", DType::BF16},
        {"f8_e4m3", DType::F8E4M3},
        {"float8_e4m3fn", DType::F8E4M3},
        {"e4m3", DType::F8E4M3},
        {"fp8_e4m3", DType::F8E4M3},
        {"fp8", DType::F8E4M3},
        {"f8_e5m2", DType::F8E5M2},
        {"float8_e5m2", DType::F8E5M2},
        {"e5m2", DType::F8E5M2},
        {"fp8_e5m2", DType::F8E5M2},
        {"i8", DType::I8},
        {"int8", DType::I8},
        {"char", DType::I8},
        {"u8", DType::U8},
        {"uint8", DType::U8},
        {"byte", DType::U8},
    }};
    const auto* found =
        std::find_if(kNames.begin(), kNames.end(), [&](const auto& entry) { return entry.first == lower; });
    return found == kNames.end() ? std::nullopt : std::optional(found->second);
}

} // namespace kvscope
