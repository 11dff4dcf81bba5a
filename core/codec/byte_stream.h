// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace kvscope {

using Bytes = std::vector<std::byte>;

/// Appends an unsigned number, seven bits a byte, low bits first, the high bit set on all bytes but the last.
inline void putVarint(Bytes& out, std::uint64_t value) {
    for (; value >= 0x80U; value >>= 7)
        out.push_back(static_cast<std::byte>(value | 0x80U));
    out.push_back(static_cast<std::byte>(value));
}

/// Appends an integer or float, little-endian.
template <class T> void putNumber(Bytes& out, T value) {
    static_assert(std::is_trivially_copyable_v<T> && std::endian::native == std::endian::little);
    const std::size_t at = out.size();
    out.resize(at + sizeof value);
    std::memcpy(out.data() + at, &value, sizeof value);
}

inline void putBytes(Bytes& out, std::span<const std::byte> bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

/// Appends the length as a varint, then the bytes.
inline void putBlock(Bytes& out, std::span<const std::byte> bytes) {
    putVarint(out, bytes.size());
    putBytes(out, bytes);
}

/// Takes numbers and bytes off the front of one part of a chunk; every error names the part and the offset.
class ByteReader {
public:
    ByteReader(std::span<const std::byte> bytes, const char* part)
        : bytes_(bytes)
        , part_(part) {}

    [[nodiscard]] std::size_t left() const { return bytes_.size() - at_; }

    Result<std::span<const std::byte>> take(std::uint64_t count) {
        if (count > left())
            return broken("ends " + std::to_string(count - left()) + " bytes early");
        const auto taken = bytes_.subspan(at_, static_cast<std::size_t>(count));
        at_ += taken.size();
        return taken;
    }

    Result<std::uint64_t> varint() {
        std::uint64_t value = 0;
        for (int shift = 0; shift < 63; shift += 7) {
            KVSCOPE_ASSIGN(const auto one, take(1));
            const auto bits = std::to_integer<std::uint64_t>(one.front());
            value |= (bits & 0x7FU) << shift;
            if (bits < 0x80U)
                return value;
        }
        return broken("holds a number that is too long");
    }

    /// A varint that may not exceed `most`.
    Result<std::uint64_t> varintUpTo(std::uint64_t most) {
        KVSCOPE_ASSIGN(const auto value, varint());
        if (value > most)
            return broken("holds " + std::to_string(value) + " where at most " + std::to_string(most) + " is possible");
        return value;
    }

    template <class T> Result<T> number() {
        static_assert(std::is_trivially_copyable_v<T> && std::endian::native == std::endian::little);
        KVSCOPE_ASSIGN(const auto stored, take(sizeof(T)));
        T value{};
        std::memcpy(&value, stored.data(), sizeof value);
        return value;
    }

    /// What putBlock wrote.
    Result<std::span<const std::byte>> block() {
        KVSCOPE_ASSIGN(const auto size, varint());
        return take(size);
    }

    /// Fails when bytes are left over.
    Result<void> finish() {
        if (left() > 0)
            return broken("has " + std::to_string(left()) + " bytes too many");
        return {};
    }

    [[nodiscard]] tl::unexpected<Error> broken(const std::string& what) const {
        return fail("the chunk's " + std::string(part_) + " " + what,
                    std::string(part_) + " byte " + std::to_string(at_),
                    "The chunk is damaged; encode it again from the original");
    }

private:
    std::span<const std::byte> bytes_;
    const char* part_;
    std::size_t at_ = 0;
};

} // namespace kvscope
