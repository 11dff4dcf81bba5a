// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace kvscope {

/// The unsigned little-endian number at an offset of `bytes`, at any alignment. The caller has checked that it is
/// inside.
template <std::unsigned_integral T> constexpr T littleEndianAt(std::span<const std::byte> bytes, std::size_t offset) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
        value |= std::to_integer<std::uint64_t>(bytes[offset + i]) << (8 * i);
    return static_cast<T>(value);
}

} // namespace kvscope
