// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/ggml_types.h"

#include "core/base/float_formats.h"
#include "core/io/little_endian.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace kvscope {

namespace {

enum TypeId : std::int32_t {
    F32 = 0,
    F16 = 1,
    Q4_0 = 2,
    Q4_1 = 3,
    Q5_0 = 6,
    Q5_1 = 7,
    Q8_0 = 8,
    IQ4_NL = 20,
    BF16 = 30
};

constexpr std::int64_t kBlock = 32;

constexpr auto kTypes = std::to_array<GgmlType>({
    {F32, "F32", 1, 4, DType::F32},
    {F16, "F16", 1, 2, DType::F16},
    {BF16, "BF16", 1, 2, DType::BF16},
    {Q8_0, "Q8_0", kBlock, 34, std::nullopt},
    {Q4_0, "Q4_0", kBlock, 18, std::nullopt},
    {Q4_1, "Q4_1", kBlock, 20, std::nullopt},
    {Q5_0, "Q5_0", kBlock, 22, std::nullopt},
    {Q5_1, "Q5_1", kBlock, 24, std::nullopt},
    {IQ4_NL, "IQ4_NL", kBlock, 18, std::nullopt},
});

/// The 16 levels of IQ4_NL.
constexpr std::array<std::int8_t, 16> kNonLinear{-127, -104, -83, -65, -49, -35, -22, -10,
                                                 1,    13,   25,  38,  53,  69,  89,  113};

float halfAt(std::span<const std::byte> block, std::size_t offset) {
    return floatFromHalf(littleEndianAt<std::uint16_t>(block, offset));
}

/// Low and high nibble of byte i of a block's 16 bytes of quants: values i and i + 16.
struct Nibbles {
    int low;
    int high;
};
Nibbles nibblesAt(std::span<const std::byte> block, std::size_t offset, std::size_t i) {
    const auto both = std::to_integer<int>(block[offset + i]);
    return {both & 15, both >> 4};
}

void decodeBlock(std::int32_t type, std::span<const std::byte> block, std::span<float> out) {
    constexpr std::size_t half = kBlock / 2;
    const float scale = halfAt(block, 0);
    if (type == Q8_0) {
        for (std::size_t i = 0; i < kBlock; ++i)
            out[i] = static_cast<float>(static_cast<std::int8_t>(block[2 + i])) * scale;
        return;
    }
    const bool five = type == Q5_0 || type == Q5_1;
    const bool shifted = type == Q4_1 || type == Q5_1;
    const std::size_t quants = 2 + (shifted ? 2U : 0U) + (five ? 4U : 0U);
    const float minimum = shifted ? halfAt(block, 2) : 0.0F;
    const std::uint32_t fifth = five ? littleEndianAt<std::uint32_t>(block, shifted ? 4 : 2) : 0;
    for (std::size_t i = 0; i < half; ++i) {
        auto [low, high] = nibblesAt(block, quants, i);
        low |= static_cast<int>((fifth >> i) & 1U) << 4;
        high |= static_cast<int>((fifth >> (i + half)) & 1U) << 4;
        if (type == IQ4_NL) {
            out[i] = scale * static_cast<float>(kNonLinear[static_cast<std::size_t>(low)]);
            out[i + half] = scale * static_cast<float>(kNonLinear[static_cast<std::size_t>(high)]);
        } else if (shifted) {
            out[i] = static_cast<float>(low) * scale + minimum;
            out[i + half] = static_cast<float>(high) * scale + minimum;
        } else {
            const int zero = five ? 16 : 8;
            out[i] = static_cast<float>(low - zero) * scale;
            out[i + half] = static_cast<float>(high - zero) * scale;
        }
    }
}

} // namespace

const GgmlType* ggmlType(std::int32_t id) {
    const auto* found =
        std::find_if(kTypes.begin(), kTypes.end(), [id](const GgmlType& type) { return type.id == id; });
    return found == kTypes.end() ? nullptr : found;
}

void dequantise(const GgmlType& type, std::span<const std::byte> blocks, std::span<float> values) {
    const auto count = values.size() / static_cast<std::size_t>(type.blockValues);
    const auto bytes = static_cast<std::size_t>(type.blockBytes);
    for (std::size_t i = 0; i < count; ++i)
        decodeBlock(type.id, blocks.subspan(i * bytes, bytes), values.subspan(i * kBlock, kBlock));
}

void hadamard(std::span<float> values, std::int64_t size) {
    const auto width = static_cast<std::size_t>(size);
    const float norm = 1.0F / std::sqrt(static_cast<float>(size));
    for (std::size_t begin = 0; begin + width <= values.size(); begin += width) {
        const auto run = values.subspan(begin, width);
        for (std::size_t step = 1; step < width; step *= 2) {
            for (std::size_t i = 0; i < width; i += 2 * step) {
                for (std::size_t j = i; j < i + step; ++j) {
                    const float a = run[j];
                    const float b = run[j + step];
                    run[j] = a + b;
                    run[j + step] = a - b;
                }
            }
        }
        for (float& value : run)
            value *= norm;
    }
}

} // namespace kvscope
