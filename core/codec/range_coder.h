// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/byte_stream.h"

namespace kvscope {

/// Range coder with 32-bit range and carries (after Martin, 1979); bytes come out as they are settled.
class RangeEncoder {
public:
    /// Codes an event of `share` out of `total` (at most 2^20) that begins at `first`.
    void encode(std::uint32_t first, std::uint32_t share, std::uint32_t total) {
        const std::uint32_t unit = range_ / total;
        low_ += static_cast<std::uint64_t>(first) * unit;
        range_ = share * unit;
        normalise();
    }

    /// Codes a bit that is 0 with a probability of zeroShare / 4096 (1 to 4095).
    void encodeBit(unsigned bit, std::uint32_t zeroShare) {
        const std::uint32_t bound = (range_ >> 12) * zeroShare;
        if (bit == 0) {
            range_ = bound;
        } else {
            low_ += bound;
            range_ -= bound;
        }
        normalise();
    }

    /// The bytes of all that was coded.
    Bytes finish() {
        for (int i = 0; i < 5; ++i)
            shift();
        return std::move(out_);
    }

private:
    void normalise() {
        for (; range_ < (1U << 24); range_ <<= 8)
            shift();
    }

    /// Settles the top byte of low_, or counts it as waiting for a carry.
    void shift() {
        if (low_ < 0xFF000000U || low_ > 0xFFFFFFFFU) {
            const auto carry = static_cast<unsigned>(low_ >> 32);
            for (; waiting_ > 0; --waiting_) {
                out_.push_back(static_cast<std::byte>((held_ + carry) & 0xFFU));
                held_ = 0xFF;
            }
            held_ = static_cast<unsigned>(low_ >> 24 & 0xFFU);
        }
        ++waiting_;
        low_ = (low_ & 0x00FFFFFFU) << 8;
    }

    Bytes out_;
    std::uint64_t low_ = 0;
    std::uint32_t range_ = 0xFFFFFFFFU;
    unsigned held_ = 0;
    std::uint64_t waiting_ = 1;
};

/// Reads what RangeEncoder wrote. Past the end come zeros.
class RangeDecoder {
public:
    explicit RangeDecoder(std::span<const std::byte> bytes)
        : bytes_(bytes) {
        for (int i = 0; i < 5; ++i)
            code_ = code_ << 8 | next();
    }

    /// Where in 0 .. total - 1 the next event lies; followed by take().
    std::uint32_t place(std::uint32_t total) {
        unit_ = range_ / total;
        const std::uint32_t found = code_ / unit_;
        return found < total ? found : total - 1;
    }

    void take(std::uint32_t first, std::uint32_t share) {
        code_ -= first * unit_;
        range_ = share * unit_;
        normalise();
    }

    unsigned decodeBit(std::uint32_t zeroShare) {
        const std::uint32_t bound = (range_ >> 12) * zeroShare;
        unsigned bit = 0;
        if (code_ < bound) {
            range_ = bound;
        } else {
            code_ -= bound;
            range_ -= bound;
            bit = 1;
        }
        normalise();
        return bit;
    }

    /// Whether exactly the bytes that there are were used.
    [[nodiscard]] bool usedAll() const { return next_ == bytes_.size(); }
    /// Whether bytes past the end were wanted.
    [[nodiscard]] bool overrun() const { return next_ > bytes_.size(); }

private:
    std::uint32_t next() {
        const std::size_t at = next_++;
        return at < bytes_.size() ? std::to_integer<std::uint32_t>(bytes_[at]) : 0U;
    }

    void normalise() {
        for (; range_ < (1U << 24); range_ <<= 8)
            code_ = code_ << 8 | next();
    }

    std::span<const std::byte> bytes_;
    std::size_t next_ = 0;
    std::uint32_t range_ = 0xFFFFFFFFU;
    std::uint32_t code_ = 0;
    std::uint32_t unit_ = 1;
};

} // namespace kvscope
