// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/fuzz/fuzz_chunk.h"

#include <array>

using namespace kvscope;

/// Coders of bytes and gears, lossless and over ten-bit symbols.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto pipelines = [] {
        constexpr std::array kCoders{EntropyCoder::Raw,        EntropyCoder::Zlib, EntropyCoder::Lz4,
                                     EntropyCoder::Zstd,       EntropyCoder::Gear, EntropyCoder::GearDelta,
                                     EntropyCoder::ShuffleZstd};
        auto all = fuzz::withCoders({}, kCoders);
        Pipeline quantised;
        quantised.quantiser = Uniform{10};
        for (const Pipeline& pipeline : fuzz::withCoders(quantised, kCoders))
            all.push_back(pipeline);
        return all;
    }();
    fuzz::decodeAsChunk(pipelines, data, size);
    return 0;
}
