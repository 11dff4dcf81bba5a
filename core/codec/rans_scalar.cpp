// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/rans_kernels.h"

#include <cstring>

namespace kvscope::rans {

void decodePartialStep(DecodeLane& stream, int lanes) {
    for (int lane = 0; lane < lanes; ++lane) {
        std::uint32_t& state = stream.states[lane];
        const std::uint32_t entry = stream.entries[ransSlot(state)];
        state = ransPop(state, entry);
        if (ransNeedsWord(state)) {
            std::uint16_t word = 0;
            std::memcpy(&word, stream.words, sizeof word);
            stream.words += sizeof word;
            state = ransRefill(state, word);
        }
        *stream.symbols++ = ransSymbol(entry);
    }
}

bool encodePartialStep(EncodeLane& stream, int lanes) {
    for (int lane = lanes - 1; lane >= 0; --lane) {
        std::uint32_t& state = stream.states[lane];
        const std::uint8_t symbol = *--stream.symbols;
        const std::uint32_t frequency = stream.frequencies[symbol];
        if (frequency == 0)
            return false;
        if (ransMustSpill(state, frequency)) {
            *--stream.words = static_cast<std::uint16_t>(state & 0xFFFFU);
            state >>= kRansWordBits;
        }
        state = ransPush(state, frequency, stream.firstSlots[symbol]);
    }
    return true;
}

void decodeScalar(DecodeLane* streams, int count, std::int64_t steps) {
    for (int i = 0; i < count; ++i) {
        for (std::int64_t step = 0; step < steps; ++step)
            decodePartialStep(streams[i], kRansLanes);
    }
}

bool encodeScalar(EncodeLane* streams, int count, std::int64_t steps) {
    for (int i = 0; i < count; ++i) {
        for (std::int64_t step = 0; step < steps; ++step) {
            if (!encodePartialStep(streams[i], kRansLanes))
                return false;
        }
    }
    return true;
}

} // namespace kvscope::rans
