// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/open_dump.h"
#include "tests/fuzz/fuzz_support.h"

/// The way of a dropped file: recognised by content, whatever it is.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    kvscope::fuzz::check(kvscope::openDumpBytes(kvscope::fuzz::sourceOf({data, size}), {}));
    return 0;
}
