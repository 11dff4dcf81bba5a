// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/fuzz/fuzz_chunk.h"

using namespace kvscope;

/// Scales, outliers and exceptions of every quantiser, symbols packed.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto pipelines = [] {
        const std::vector<Quantiser> quantisers{MaxAbsBins{256},
                                                Uniform{4, ScaleAxis::Channel, 8, false},
                                                Uniform{8, ScaleAxis::Plane},
                                                BlockNorm{10, 16, 0.1},
                                                Float8{},
                                                Float8{Float8::Format::E5M2},
                                                Kivi{2, 8, 16},
                                                AnchorDelta{},
                                                Step{0.45}};
        std::vector<Pipeline> all;
        for (const Quantiser& quantiser : quantisers) {
            for (const Transform transform : {Transform::None, Transform::RopeInverse, Transform::Hadamard}) {
                Pipeline pipeline;
                pipeline.quantiser = quantiser;
                pipeline.transform = transform;
                all.push_back(pipeline);
            }
        }
        return all;
    }();
    fuzz::decodeAsChunk(pipelines, data, size);
    return 0;
}
