// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/fuzz/fuzz_chunk.h"

#include <array>

using namespace kvscope;

/// Huffman, arithmetic, context rANS and CABAC, lossless (with and without a predictor) and over few and many letters.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto pipelines = [] {
        constexpr std::array kCoders{EntropyCoder::Huffman, EntropyCoder::Arithmetic, EntropyCoder::ContextRans,
                                     EntropyCoder::Cabac};
        auto all = fuzz::withCoders({}, kCoders);
        Pipeline predicted;
        predicted.transform = Transform::RopeInverse;
        predicted.predictor = Predictor::ChannelMean;
        Pipeline few;
        few.quantiser = MaxAbsBins{32};
        Pipeline many;
        many.quantiser = Uniform{16};
        for (const Pipeline& start : {predicted, few, many}) {
            for (const Pipeline& pipeline : fuzz::withCoders(start, kCoders))
                all.push_back(pipeline);
        }
        return all;
    }();
    fuzz::decodeAsChunk(pipelines, data, size);
    return 0;
}
