// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <algorithm>
#include <array>
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
    const int extra = static_cast<int>(std::bit_width((static_cast<std::uint64_t>(value) >> order) + 1)) - 1;
    return 2 * extra + 1 + order;
}

/// Some bits, the first lowest.
struct SideCode {
    std::uint64_t bits = 0;
    int length = 0;
};

/// Exponential Golomb code of an order (0..31), of at most 32 bits: with n + 1 = bits of (value >> order) + 1, n zeros,
/// a one, the low n bits of that number, the low `order` bits of value.
constexpr SideCode golombCode(std::uint32_t value, int order) {
    const std::uint64_t high = (static_cast<std::uint64_t>(value) >> order) + 1;
    const std::uint64_t top = std::bit_floor(high);
    // The bound, which nothing reaches, tells checkers that no shift is too wide.
    const int extra = std::min(std::countr_zero(top), 15);
    const std::uint64_t below = value & ((std::uint64_t{1} << order) - 1);
    return {top | (high - top) << (extra + 1) | below << (2 * extra + 1), 2 * extra + 1 + order};
}

/// Appends bits to bytes; all are there after finish() only.
class SideBitWriter {
public:
    explicit SideBitWriter(std::vector<std::byte>& out)
        : out_(out) {}

    /// Appends the low `count` (0..32) bits of value.
    void put(std::uint32_t value, int count) { putLong(value & ((std::uint64_t{1} << count) - 1), count); }

    /// Appends a code of at most 32 bits.
    void put(SideCode code) { putLong(code.bits, code.length); }

    /// Appends a Golomb code as golombCode() describes it, of any length.
    void putGolomb(std::uint32_t value, int order) {
        // Nearly all codes are short.
        if (golombBits(value, order) <= kMostAtOnce)
            return put(golombCode(value, order));
        const std::uint64_t high = (static_cast<std::uint64_t>(value) >> order) + 1;
        const std::uint64_t top = std::bit_floor(high);
        const int extra = std::countr_zero(top);
        putLong(0, extra);
        putLong(1, 1);
        putLong(high - top, extra);
        putLong(value & ((std::uint64_t{1} << order) - 1), order);
    }

    /// Writes what is left and fills the last byte with zeros.
    void finish() {
        flush();
        for (; pendingBits_ > 0; pendingBits_ -= 8, pending_ >>= 8)
            out_.push_back(static_cast<std::byte>(pending_ & 0xFFU));
        pendingBits_ = 0;
        pending_ = 0;
    }

    /// How many whole words lie before the bits to come, in bytes, with all that was in the output before.
    [[nodiscard]] std::size_t bytesBefore() const { return out_.size() + held_; }

private:
    static constexpr int kMostAtOnce = 32;

    /// Appends up to kMostAtOnce bits; `bits` has no others.
    void putLong(std::uint64_t bits, int count) {
        pending_ |= bits << pendingBits_;
        pendingBits_ += count;
        if (pendingBits_ < kMostAtOnce)
            return;
        const auto word = static_cast<std::uint32_t>(pending_ & 0xFFFFFFFFU);
        std::memcpy(words_.data() + held_, &word, sizeof word);
        held_ += sizeof word;
        if (held_ == words_.size())
            flush();
        pending_ >>= kMostAtOnce;
        pendingBits_ -= kMostAtOnce;
    }

    void flush() {
        out_.insert(out_.end(), words_.begin(), words_.begin() + static_cast<std::ptrdiff_t>(held_));
        held_ = 0;
    }

    std::vector<std::byte>& out_;
    /// Words on their way to the output.
    std::array<std::byte, 256> words_;
    std::size_t held_ = 0;
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

    /// The next `count` (1..32) bits, which stay; past the end zeros.
    std::uint32_t peek(int count) {
        refill();
        return static_cast<std::uint32_t>(pending_ & ((std::uint64_t{1} << count) - 1));
    }
    /// Goes on behind so many bits, of those that peek() returned.
    void drop(int count) { skip(count); }

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

/// The order (0..24) whose Golomb codes of the values are shortest, or nearly so.
template <class Values> int bestGolombOrder(const Values& values) {
    constexpr int kMostOrder = 24;
    const auto bitsOf = [&](int order) {
        std::int64_t bits = 0;
        for (const std::uint32_t value : values)
            bits += golombBits(value, order);
        return bits;
    };
    std::uint64_t sum = 0;
    for (const std::uint32_t value : values)
        sum += value;
    const auto count = static_cast<std::uint64_t>(std::size(values));
    // Downhill from the order of the mean.
    int best = count > 0 ? std::clamp(static_cast<int>(std::bit_width(sum / count)) - 1, 0, kMostOrder) : 0;
    std::int64_t fewest = bitsOf(best);
    for (const int step : {1, -1}) {
        bool moved = false;
        for (int order = best + step; order >= 0 && order <= kMostOrder; order += step) {
            const std::int64_t bits = bitsOf(order);
            if (bits >= fewest)
                break;
            fewest = bits;
            best = order;
            moved = true;
        }
        if (moved)
            break;
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
