// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/paged_dump.h"
#include "core/io/safetensors.h"
#include "tests/fuzz/fuzz_support.h"

/// The input is a block table, a zero byte, and a safetensors file of paged tensors.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::span<const std::uint8_t> input(data, size);
    const auto end = static_cast<std::size_t>(std::find(input.begin(), input.end(), 0) - input.begin());
    const auto blocks = kvscope::readBlockTable(*kvscope::fuzz::sourceOf(input.first(end)));
    const auto table = kvscope::readSafetensors(kvscope::fuzz::sourceOf(input.subspan(std::min(size, end + 1))), {});
    if (blocks && table)
        kvscope::fuzz::check(kvscope::assemblePaged(*table, *blocks, {}));
    return 0;
}
