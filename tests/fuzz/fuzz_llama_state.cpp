// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/llama_reader.h"
#include "tests/fuzz/fuzz_input.h"

// llama.cpp session and sequence states, as stored and with the Hadamard rotation undone.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace kvscope;
    const auto file = fuzz::sourceOf(data, size);
    for (const bool undo : {false, true}) {
        OpenOptions options;
        options.undoHadamard = undo;
        if (const auto opened = openLlamaState(file, {}, options))
            fuzz::readSome(opened->cache);
    }
    return 0;
}
