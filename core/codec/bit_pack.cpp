// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/bit_pack.h"

namespace kvscope {

void packBits(std::span<const std::uint16_t> symbols, int bits, Bytes& out) {
    if (bits == 0)
        return;
    std::size_t at = out.size();
    out.resize(at + packedSize(symbols.size(), bits));
    std::uint64_t pending = 0;
    int held = 0;
    const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
    for (const std::uint16_t symbol : symbols) {
        pending |= (symbol & mask) << held;
        for (held += bits; held >= 8; held -= 8, pending >>= 8)
            out[at++] = static_cast<std::byte>(pending & 0xFFU);
    }
    if (held > 0)
        out[at] = static_cast<std::byte>(pending & 0xFFU);
}

void unpackBits(std::span<const std::byte> bytes, int bits, std::span<std::uint16_t> out) {
    std::uint64_t pending = 0;
    int held = 0;
    std::size_t at = 0;
    const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
    for (std::uint16_t& symbol : out) {
        for (; held < bits; held += 8)
            pending |= std::to_integer<std::uint64_t>(bytes[at++]) << held;
        symbol = static_cast<std::uint16_t>(pending & mask);
        pending >>= bits;
        held -= bits;
    }
}

} // namespace kvscope
