// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/torch_reader.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

/// Every tensor that is let through must be readable to its last element.
void readEnds(const kvscope::TensorTable& table) {
    for (const auto& tensor : table.tensors) {
        std::int64_t last = 0;
        bool empty = false;
        for (std::size_t axis = 0; axis < tensor.shape.size(); ++axis) {
            empty = empty || tensor.shape[axis] == 0;
            last += (tensor.shape[axis] - 1) * tensor.strides[axis];
        }
        if (empty)
            continue;
        std::vector<std::byte> element(static_cast<std::size_t>(tensor.elementSize));
        if (!tensor.bytes->readAt(tensor.offset + last * tensor.elementSize, element))
            __builtin_trap();
    }
}

} // namespace

// Files of torch.save, zip and legacy, and plain pickles.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace kvscope;
    const auto file = fuzz::sourceOf(data, size);
    const auto head = file->read(0, std::min<std::int64_t>(file->size(), 16));
    if (head && looksLikeZip(*head)) {
        const auto archive = ZipArchive::open(file);
        if (!archive)
            return 0;
        if (const auto table = readTorchZip(*archive, "fuzz.pt"))
            readEnds(*table);
    } else if (const auto table = readTorchLegacy(file, "fuzz.pt")) {
        readEnds(*table);
    }
    return 0;
}
