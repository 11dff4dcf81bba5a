// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/llama_heads.h"

#include <algorithm>
#include <array>
#include <span>

namespace kvscope {

namespace {

// As llama.cpp's model loader assigns them; architectures in neither list are left open.
constexpr auto kNeighbours = std::to_array<std::string_view>(
    {"llama",   "llama4",  "mistral3",  "mistral4", "deci",        "baichuan",  "starcoder",  "internlm2",
     "minicpm", "xverse",  "command-r", "cohere2",  "olmo",        "arctic",    "deepseek",   "deepseek2",
     "plm",     "chatglm", "glm4",      "granite",  "granitemoe",  "chameleon", "bailingmoe", "neo-bert",
     "smollm3", "arcee",   "ernie4_5",  "llada",    "ernie4_5-moe"});
constexpr auto kHalves = std::to_array<std::string_view>(
    {"falcon",  "falcon-h1",    "grok",     "dbrx",     "stablelm",    "bitnet",        "qwen",
     "qwen2",   "qwen2moe",     "qwen3",    "qwen3moe", "olmo2",       "olmoe",         "phi2",
     "phi3",    "phimoe",       "plamo",    "plamo2",   "gemma",       "gemma2",        "gemma3",
     "gemma3n", "starcoder2",   "openelm",  "gptneox",  "codeshell",   "orion",         "nemotron",
     "exaone",  "exaone4",      "minicpm3", "dots1",    "hunyuan-moe", "hunyuan-dense", "gpt-oss",
     "lfm2",    "smallthinker", "glm4moe",  "seed_oss", "apertus",     "dream"});

bool contains(std::span<const std::string_view> list, std::string_view name) {
    return std::find(list.begin(), list.end(), name) != list.end();
}

} // namespace

std::optional<Rope::Pairing> llamaPairing(std::string_view architecture) {
    if (contains(kNeighbours, architecture))
        return Rope::Pairing::Interleaved;
    if (contains(kHalves, architecture))
        return Rope::Pairing::HalfSplit;
    return std::nullopt;
}

LlamaWindowPattern llamaWindowPattern(std::string_view architecture) {
    if (architecture == "gemma2" || architecture == "gpt-oss")
        return {2, false};
    if (architecture == "gemma3")
        return {6, false};
    if (architecture == "gemma3n")
        return {5, false};
    if (architecture == "cohere2" || architecture == "llama4" || architecture == "olmo2" || architecture == "exaone4")
        return {4, false};
    if (architecture == "smallthinker")
        return {4, true};
    return {};
}

} // namespace kvscope
