// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace kvscope {

/// Appends bits to bytes, least significant bit first.
class BitWriter {
public:
    explicit BitWriter(std::vector<std::byte>& out)
        : out_(out) {}

    /// Appends the low `count` (0..32) bits of value.
    void put(std::uint32_t value, int count) {
        if (count < 32)
            value &= (1U << count) - 1;
        pending_ |= static_cast<std::uint64_t>(value) << pendingBits_;
        pendingBits_ += count;
        for (; pendingBits_ >= 8; pendingBits_ -= 8, pending_ >>= 8)
            out_.push_back(static_cast<std::byte>(pending_ & 0xFFU));
    }

    /// Fills the last byte with zeros.
    void finish() {
        if (pendingBits_ > 0)
            put(0, 8 - pendingBits_);
    }

private:
    std::vector<std::byte>& out_;
    std::uint64_t pending_ = 0;
    int pendingBits_ = 0;
};

/// Reads bits from bytes, least significant bit first. Past the end come zeros, and overrun() says so.
class BitReader {
public:
    explicit BitReader(std::span<const std::byte> bytes)
        : bytes_(bytes) {}

    /// The next `count` (0..32) bits.
    std::uint32_t get(int count) {
        while (pendingBits_ < count) {
            if (next_ < bytes_.size())
                pending_ |= static_cast<std::uint64_t>(std::to_integer<std::uint32_t>(bytes_[next_])) << pendingBits_;
            else
                overrun_ = true;
            ++next_;
            pendingBits_ += 8;
        }
        const auto value = static_cast<std::uint32_t>(pending_ & ((std::uint64_t{1} << count) - 1));
        pending_ >>= count;
        pendingBits_ -= count;
        return value;
    }

    [[nodiscard]] bool overrun() const { return overrun_; }
    /// Bytes of which at least one bit was read.
    [[nodiscard]] std::size_t bytesRead() const { return next_; }
    /// The bits of the last byte read that were not asked for.
    [[nodiscard]] std::uint32_t rest() const { return static_cast<std::uint32_t>(pending_); }

private:
    std::span<const std::byte> bytes_;
    std::size_t next_ = 0;
    std::uint64_t pending_ = 0;
    int pendingBits_ = 0;
    bool overrun_ = false;
};

} // namespace kvscope
