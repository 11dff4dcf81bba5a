// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/codec/symbol_layout.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace kvscope {

/// Appends a number, seven bits a byte, the lowest first.
inline void putLeb128(std::uint64_t value, std::vector<std::byte>& out) {
    for (; value >= 0x80; value >>= 7)
        out.push_back(static_cast<std::byte>((value & 0x7FU) | 0x80U));
    out.push_back(static_cast<std::byte>(value));
}

/// Takes the parts of a chunk off its front; errors name the part.
class SideBytes {
public:
    explicit SideBytes(std::span<const std::byte> bytes)
        : left_(bytes) {}

    Result<std::span<const std::byte>> take(std::uint64_t count, const char* part) {
        if (count > left_.size())
            return damagedChunk(part, "the bytes end too early");
        const auto taken = left_.first(static_cast<std::size_t>(count));
        left_ = left_.subspan(taken.size());
        return taken;
    }

    Result<std::uint64_t> leb128(const char* part) {
        std::uint64_t value = 0;
        for (int shift = 0; shift < 63 && !left_.empty(); shift += 7) {
            const auto byte = std::to_integer<std::uint64_t>(left_.front());
            left_ = left_.subspan(1);
            value |= (byte & 0x7FU) << shift;
            if (byte < 0x80)
                return value;
        }
        return damagedChunk(part, "a length is missing");
    }

    [[nodiscard]] std::span<const std::byte> rest() const { return left_; }

private:
    std::span<const std::byte> left_;
};

} // namespace kvscope
