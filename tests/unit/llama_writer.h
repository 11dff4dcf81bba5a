// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/base/float_formats.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace kvscope::test {

/// Writes the bytes of a llama.cpp session state, as tests/golden/llamacpp/LAYOUT.md has them.
class LlamaWriter {
public:
    template <class T> LlamaWriter& put(T value) {
        const auto* raw = reinterpret_cast<const std::byte*>(&value);
        bytes_.insert(bytes_.end(), raw, raw + sizeof value);
        return *this;
    }

    /// Everything up to the values: one stream, one sequence, cells in the order of `positions`.
    static LlamaWriter session(const std::string& architecture, const std::vector<std::int32_t>& positions,
                               std::uint32_t layers) {
        LlamaWriter out;
        out.put(std::uint32_t{0x6767736E}).put(std::uint32_t{10}).put(std::uint32_t{0});
        out.put(static_cast<std::uint32_t>(architecture.size()));
        for (const char letter : architecture)
            out.put(letter);
        out.put(std::uint32_t{1}).put(static_cast<std::uint32_t>(positions.size()));
        for (const auto position : positions)
            out.put(position).put(std::uint32_t{1}).put(std::int32_t{0});
        return out.put(std::uint32_t{0}).put(layers);
    }

    /// One layer's K or V [cell][width] as F32.
    LlamaWriter& floats(const std::vector<float>& values, std::int64_t width) {
        put(std::int32_t{0}).put(static_cast<std::uint64_t>(width * 4));
        for (const float value : values)
            put(value);
        return *this;
    }

    /// The same as Q8_0: blocks of 32 values, d = max / 127 in half precision.
    LlamaWriter& q8(const std::vector<float>& values, std::int64_t width) {
        put(std::int32_t{8}).put(static_cast<std::uint64_t>(width / 32 * 34));
        for (std::size_t begin = 0; begin < values.size(); begin += 32) {
            float largest = 0;
            for (std::size_t i = begin; i < begin + 32; ++i)
                largest = std::max(largest, std::abs(values[i]));
            const float scale = largest / 127.0F;
            put(halfFromFloat(scale));
            for (std::size_t i = begin; i < begin + 32; ++i)
                put(static_cast<std::int8_t>(scale > 0 ? std::lround(values[i] / scale) : 0));
        }
        return *this;
    }

    [[nodiscard]] ByteSourcePtr source() const { return memorySource(bytes_, "session.bin"); }

private:
    std::vector<std::byte> bytes_;
};

} // namespace kvscope::test
