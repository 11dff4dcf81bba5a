// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/host_device.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// Prediction of a channel from other channels of the same token: K and V of a model are linear images of one hidden
/// state, so that their channels depend on each other. Found once for a plane, used by all its chunks. FORMAT.md,
/// "Channel terms".
namespace kvscope {

/// Channels are predicted from earlier ones of the same block of so many.
inline constexpr std::size_t kTermBlock = 1024;
inline constexpr std::size_t kMostTerms = 8;
/// Weights are in eighths, -8..8 but not 0.
inline constexpr int kMostTermWeight = 8;
/// Terms must seem to save so many times what they take: estimates of what they save are hopeful.
inline constexpr double kTermDoubt = 1.4;

/// One of the channels that another is predicted from.
struct ChannelTerm {
    std::uint32_t channel = 0;
    std::int8_t weight = 0;

    bool operator==(const ChannelTerm&) const = default;
};

/// What the channels of a plane are predicted from; nothing at all for planes whose channels tell little of each other.
class ChannelTerms {
public:
    /// Appends the terms of the next channel, at most kMostTerms, of channels before it in ascending order.
    void add(std::span<const ChannelTerm> terms);

    [[nodiscard]] bool empty() const { return terms_.empty(); }
    /// Channels that were added.
    [[nodiscard]] std::size_t channels() const { return ends_.size(); }
    [[nodiscard]] std::span<const ChannelTerm> of(std::size_t channel) const;
    /// What they take in a file, in bytes.
    [[nodiscard]] std::size_t storedBytes() const;

    bool operator==(const ChannelTerms&) const = default;

private:
    std::vector<std::uint32_t> ends_;
    std::vector<ChannelTerm> terms_;
};

/// About how many bits so many terms of a channel take.
double bitsOfTerms(std::size_t channel, std::size_t count);

/// What terms predict: `sum` of weight times number over them.
KVSCOPE_HD constexpr int termPrediction(int sum) {
    constexpr int kMostPredicted = 127;
    const int predicted = (sum + 4) >> 3;
    return predicted < -kMostPredicted ? -kMostPredicted : predicted > kMostPredicted ? kMostPredicted : predicted;
}

/// Appends the terms; nothing where there are none.
void writeChannelTerms(const ChannelTerms& terms, std::vector<std::byte>& out);

/// Whether the bytes are terms of so many channels, and which. Trusts nothing.
bool readChannelTerms(std::span<const std::byte> bytes, std::size_t channels, ChannelTerms& terms);

/// Chooses terms for numbers [channel][row] of magnitude up to 127, what the other predictions left of a sample of a
/// plane, where the bits that they save over `planeTokens` tokens exceed what they take.
ChannelTerms findChannelTerms(std::span<const std::int8_t> numbers, std::size_t channels, std::size_t rows,
                              std::int64_t planeTokens);

} // namespace kvscope
