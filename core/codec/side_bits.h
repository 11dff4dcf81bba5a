// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

/// Bits of side information: least significant bit first, small numbers in exponential Golomb codes.
namespace kvscope {

/// 0, -1, 1, -2, ... as 0, 1, 2, 3, ...
constexpr std::uint32_t zigzagOf(std::int32_t value) {
    return static_cast<std::uint32_t>(value) << 1 ^ static_cast<std::uint32_t>(value >> 31);
}

constexpr std::int32_t fromZigzag(std::uint32_t value) {
    return static_cast<std::int32_t>(value >> 1 ^ (0U - (value & 1U)));
}

/// Bits that putGolomb writes for value.
constexpr int golombBits(std::uint32_t value, int order) {
    const int extra = std::bit_width((static_cast<std::uint64_t>(value) >> order) + 1) - 1;
    return 2 * extra + 1 + order;
}

/// Appends bits to bytes.
class SideBitWriter {
public:
    explicit SideBitWriter(std::vector<std::byte>& out)
        : out_(out) {}

    /// Appends the low `count` (0..32) bits of value.
    void put(std::uint32_t value, int count) {
        pending_ |= (static_cast<std::uint64_t>(value) & ((std::uint64_t{1} << count) - 1)) << pendingBits_;
        for (pendingBits_ += count; pendingBits_ >= 8; pendingBits_ -= 8, pending_ >>= 8)
            out_.push_back(static_cast<std::byte>(pending_ & 0xFFU));
    }

    /// Exponential Golomb code of an order (0..31): with n + 1 = bits of (value >> order) + 1, n zeros, a one, the low
    /// n bits of that number, the low `order` bits of value.
    void putGolomb(std::uint32_t value, int order) {
        const std::uint64_t high = (static_cast<std::uint64_t>(value) >> order) + 1;
        const int extra = std::bit_width(high) - 1;
        put(0, extra);
        put(1, 1);
        put(static_cast<std::uint32_t>(high), extra);
        put(value, order);
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

/// Reads what SideBitWriter wrote. Past the end come zeros, and good() says so.
class SideBitReader {
public:
    explicit SideBitReader(std::span<const std::byte> bytes)
        : bytes_(bytes) {}

    /// The next `count` (0..32) bits.
    std::uint32_t get(int count) {
        refill();
        const auto value = static_cast<std::uint32_t>(pending_ & ((std::uint64_t{1} << count) - 1));
        skip(count);
        return value;
    }

    /// A number in putGolomb's code.
    std::uint32_t getGolomb(int order) {
        refill();
        const int extra = std::countr_zero(pending_ | std::uint64_t{1} << 33);
        // Nearly all codes lie in the bits at hand.
        if (const int length = 2 * extra + 1 + order; length <= pendingBits_ && extra <= kShortExtra) {
            const std::uint64_t code = pending_ >> (extra + 1);
            const std::uint64_t above = (std::uint64_t{1} << extra | (code & ((std::uint64_t{1} << extra) - 1))) - 1;
            const std::uint64_t below = code >> extra & ((std::uint64_t{1} << order) - 1);
            pending_ >>= length;
            pendingBits_ -= length;
            if (const std::uint64_t value = above << order | below; value <= 0xFFFFFFFFU)
                return static_cast<std::uint32_t>(value);
            bad_ = true;
            return 0;
        }
        if (extra > 32) {
            bad_ = true;
            return 0;
        }
        skip(extra + 1);
        const std::uint64_t high = std::uint64_t{1} << extra | get(extra);
        const std::uint64_t value = (high - 1) << order | get(order);
        if (value > 0xFFFFFFFFU)
            bad_ = true;
        return static_cast<std::uint32_t>(value);
    }

    /// Whether all bits asked for were there and all codes were codes.
    [[nodiscard]] bool good() const { return !bad_ && pendingBits_ >= 0; }
    /// Bytes of which at least one bit was read.
    [[nodiscard]] std::size_t bytesRead() const {
        return next_ - static_cast<std::size_t>(std::max(pendingBits_, 0) / 8);
    }
    /// Whether only the zeros that fill the last byte are left.
    [[nodiscard]] bool atEnd() const { return good() && next_ == bytes_.size() && pendingBits_ < 8 && pending_ == 0; }

private:
    static constexpr int kShortExtra = 12;

    void refill() {
        // Enough for any number of bits that is asked for at once.
        if (pendingBits_ >= 40)
            return;
        if (next_ + 8 <= bytes_.size() && pendingBits_ >= 0) {
            std::uint64_t word = 0;
            std::memcpy(&word, bytes_.data() + next_, sizeof word);
            const int whole = (63 - pendingBits_) / 8;
            pending_ |= (word & ((std::uint64_t{1} << whole * 8) - 1)) << pendingBits_;
            next_ += static_cast<std::size_t>(whole);
            pendingBits_ += whole * 8;
            return;
        }
        while (pendingBits_ >= 0 && pendingBits_ <= 55 && next_ < bytes_.size()) {
            pending_ |= std::to_integer<std::uint64_t>(bytes_[next_++]) << pendingBits_;
            pendingBits_ += 8;
        }
    }

    void skip(int count) {
        pending_ = count < 64 ? pending_ >> count : 0;
        pendingBits_ = std::max(pendingBits_ - count, -1);
    }

    std::span<const std::byte> bytes_;
    std::size_t next_ = 0;
    std::uint64_t pending_ = 0;
    /// -1 once bits past the end were asked for.
    int pendingBits_ = 0;
    bool bad_ = false;
};

/// The order (0..most) whose Golomb codes of the values are shortest.
template <class Values> int bestGolombOrder(const Values& values, int most = 24) {
    int best = 0;
    std::int64_t fewest = -1;
    for (int order = 0; order <= most; ++order) {
        std::int64_t bits = 0;
        for (const std::uint32_t value : values)
            bits += golombBits(value, order);
        if (fewest < 0 || bits < fewest) {
            fewest = bits;
            best = order;
        } else if (bits > fewest + fewest / 4) {
            break;
        }
    }
    return best;
}

/// A Golomb order as it is written.
inline constexpr int kGolombOrderBits = 5;

/// Appends numbers in the Golomb order that suits them; one bit when all are zero.
inline void putNumbers(SideBitWriter& writer, const std::vector<std::uint32_t>& numbers) {
    const bool allZero = std::ranges::all_of(numbers, [](std::uint32_t number) { return number == 0; });
    writer.put(allZero ? 0 : 1, 1);
    if (allZero)
        return;
    const int order = bestGolombOrder(numbers);
    writer.put(static_cast<std::uint32_t>(order), kGolombOrderBits);
    for (const std::uint32_t number : numbers)
        writer.putGolomb(number, order);
}

/// Calls take(i, number) for each of `count` numbers.
template <class Take> void getNumbers(SideBitReader& reader, std::size_t count, const Take& take) {
    if (reader.get(1) == 0) {
        for (std::size_t i = 0; i < count; ++i)
            take(i, 0U);
        return;
    }
    const int order = static_cast<int>(reader.get(kGolombOrderBits));
    for (std::size_t i = 0; i < count && reader.good(); ++i)
        take(i, reader.getGolomb(order));
}

} // namespace kvscope
