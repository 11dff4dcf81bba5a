// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/hash.h"
#include "core/codec/kvz_file.h"
#include "tests/fuzz/fuzz_support.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace {

using kvscope::KvzRoot;

/// Puts right the hashes of header and newest root, so that inputs get past them.
void seal(std::vector<std::byte>& bytes, const KvzRoot& root) {
    const auto header = kvscope::kvzHeader();
    std::copy_n(header.begin(), kvscope::kKvzRootOffsets[0], bytes.begin());
    const auto directory = std::span(bytes).subspan(static_cast<std::size_t>(root.directoryOffset),
                                                    static_cast<std::size_t>(root.directoryBytes));
    KvzRoot sealed = root;
    sealed.directoryHash = kvscope::hashBytes(directory);
    const auto stored = kvscope::toBytes(sealed);
    std::ranges::copy(stored, bytes.begin() + sealed.offset());
}

/// Reads the corners of every plane at every level; errors are fine.
void readLevels(const std::vector<std::byte>& bytes) {
    const auto file = kvscope::KvzFile::open(kvscope::memorySource(bytes, "input"));
    if (!file) {
        if (file.error().what.empty())
            std::abort();
        return;
    }
    (void)kvscope::textBytes((*file)->info());
    (void)(*file)->directory().levelNames();
    constexpr std::int64_t kMostValues = 1 << 18;
    for (std::size_t level = 0; level < (*file)->levels().size(); ++level) {
        const kvscope::KvCache cache = (*file)->cache(level);
        for (const kvscope::PlaneId id : cache.geometry().allPlanes()) {
            const kvscope::PlaneGeometry& plane = *cache.geometry().find(id);
            if (plane.tokens == 0 ||
                std::min(plane.tokens, (*file)->levels()[level].plan.chunkTokens) * plane.channels() > kMostValues)
                continue;
            std::vector<float> row(static_cast<std::size_t>(plane.channels()));
            for (const std::int64_t token : {std::int64_t{0}, plane.tokens - 1})
                (void)cache.readRows(id, kvscope::tokenRange(token, token + 1), row);
        }
    }
}

} // namespace

/// The input is a .kvz; it is read as it is, and again with the hashes of header, roots and directory put right.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::vector<std::byte> bytes(size);
    if (size > 0)
        std::memcpy(bytes.data(), data, size);
    readLevels(bytes);
    const auto total = static_cast<std::int64_t>(size);
    if (total <= kvscope::kKvzHeaderBytes)
        return 0;
    KvzRoot root{1, 0, 0, 0, total};
    std::memcpy(&root.directoryOffset, bytes.data() + kvscope::kKvzRootOffsets[1] + 8, sizeof root.directoryOffset);
    if (root.directoryOffset < kvscope::kKvzHeaderBytes || root.directoryOffset >= total)
        return 0;
    root.directoryBytes = total - root.directoryOffset;
    seal(bytes, root);
    readLevels(bytes);
    return 0;
}
