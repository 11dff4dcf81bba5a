// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/lmcache_chunk.h"
#include "tests/fuzz/fuzz_support.h"

/// The input is a chunk file; it is read as one with metadata or without, of all layers or of one.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = kvscope::fuzz::sourceOf({data, size});
    kvscope::OpenOptions options;
    options.layers = 3;
    options.heads = 4;
    options.headDim = 8;
    for (const char* name : {"model@1@0@1a2b3c4d@bfloat16", "model@1@0@1a2b3c4d@half@1"})
        kvscope::fuzz::check(kvscope::openLmcacheChunk(bytes, {}, *kvscope::parseLmcacheKey(name), options));
    return 0;
}
