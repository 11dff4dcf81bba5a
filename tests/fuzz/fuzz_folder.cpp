// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/fuzz/fuzz_support.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <unistd.h>

namespace {

/// Names that mean something in a folder: layers, shards of tensor-parallel workers, LMCache's keys, side files.
constexpr std::array<std::string_view, 16> kNames{
    "layer_0.safetensors",
    "layer_10.safetensors",
    "layer_2.npy",
    "model.layers.0.self_attn.attn.safetensors",
    "model.layers.1.self_attn.attn.safetensors",
    "rank_0/aa/model.layers.0.self_attn.attn.safetensors",
    "rank_1/aa/model.layers.0.self_attn.attn.safetensors",
    "vllm@model@1@0@1a2b@half.data",
    "vllm@model@1@0@-3c4d@half.data",
    "vllm@model@2@1@1a2b@half.data",
    "model@1@0@1a2b@half@0.data",
    "keys.json",
    "context.json",
    "config.json",
    "dump.tokens.json",
    "k.pt",
};

} // namespace

/// The input is a folder: for each file a byte for its name, two for its length, and what it holds.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto root = std::filesystem::temp_directory_path() / ("kvscope-fuzz-" + std::to_string(getpid()));
    std::filesystem::remove_all(root);
    std::filesystem::create_directories(root);
    while (size >= 3) {
        const auto path = root / kNames[data[0] % kNames.size()];
        const auto length = std::min<std::size_t>(data[1] + data[2] * std::size_t{256}, size - 3);
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(data + 3), static_cast<std::streamsize>(length));
        data += 3 + length;
        size -= 3 + length;
    }
    kvscope::fuzz::check(kvscope::openDump(root));
    std::filesystem::remove_all(root);
    return 0;
}
