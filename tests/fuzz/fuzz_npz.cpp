// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/npy.h"
#include "core/io/zip_archive.h"
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = kvscope::fuzz::sourceOf({data, size});
    const auto archive = kvscope::ZipArchive::open(bytes);
    if (!archive)
        return 0;
    for (const auto& member : archive->members()) {
        const auto content = archive->openMember(member);
        if (content && (*content)->size() != member.size)
            std::abort();
    }
    auto table = kvscope::readNpz(bytes, {});
    if (table)
        kvscope::fuzz::check(kvscope::assembleDump(std::move(*table), {}));
    return 0;
}
