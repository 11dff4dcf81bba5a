// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/raw_dump.h"
#include "tests/fuzz/fuzz_support.h"

/// The input is a sidecar, a zero byte, and the values.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::span<const std::uint8_t> input(data, size);
    const auto end = static_cast<std::size_t>(std::find(input.begin(), input.end(), 0) - input.begin());
    const auto description = kvscope::readRawSidecar(*kvscope::fuzz::sourceOf(input.first(end)));
    // A token file would be read from the disk.
    if (!description || !description->tokensFile.empty())
        return 0;
    const auto values = kvscope::fuzz::sourceOf(input.subspan(std::min(size, end + 1)));
    kvscope::fuzz::check(kvscope::openRaw(values, {}, *description, {}));
    return 0;
}
