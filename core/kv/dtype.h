// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace kvscope {

/// How one value of a dump is stored.
enum class DType : std::uint8_t { F64, F32, F16, BF16, F8E4M3, F8E5M2, I8, U8 };

/// Bytes of one value.
constexpr std::int64_t sizeOf(DType type) {
    switch (type) {
    case DType::F64:
        return 8;
    case DType::F32:
        return 4;
    case DType::F16:
    case DType::BF16:
        return 2;
    case DType::F8E4M3:
    case DType::F8E5M2:
    case DType::I8:
    case DType::U8:
        return 1;
    }
    return 0;
}

/// Short name as shown and as read in sidecars: "f64", "f32", "f16", "bf16", "f8_e4m3", "f8_e5m2", "i8", "u8".
std::string_view nameOf(DType type);

/// The type of a name: ours, or numpy's, torch's and safetensors' usual spellings ("float16", "torch.bfloat16",
/// "F8_E4M3" ...).
std::optional<DType> dtypeFromName(std::string_view name);

} // namespace kvscope
