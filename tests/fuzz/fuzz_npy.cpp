// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/npy.h"
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto table = kvscope::readNpy(kvscope::fuzz::sourceOf({data, size}), {});
    if (table)
        kvscope::fuzz::check(kvscope::assembleDump(std::move(*table), {}));
    return 0;
}
