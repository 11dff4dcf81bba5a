// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/pickle.h"
#include "tests/fuzz/fuzz_input.h"

// The pickle machine alone: any stream of operations.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto tree = kvscope::readPickle(*kvscope::fuzz::sourceOf(data, size));
    if (tree && tree->root >= tree->nodes.size())
        __builtin_trap();
    return 0;
}
