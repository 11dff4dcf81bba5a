// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/rope.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace kvscope {

/// Which dimensions llama.cpp turns together for a GGUF architecture ("llama": neighbours, as its converter reorders
/// the weights; "qwen2": halves); empty for architectures that do not rotate, or in another way, or are not known.
std::optional<Rope::Pairing> llamaPairing(std::string_view architecture);

/// How often a layer attends to everything where the others have a sliding window (GGUF architecture): every n-th
/// layer, the last of each n, or the first; 0 when not known.
struct LlamaWindowPattern {
    int period = 0;
    bool fullFirst = false;

    [[nodiscard]] bool windowed(std::int64_t layer) const {
        return fullFirst ? layer % period != 0 : layer % period != period - 1;
    }
};
LlamaWindowPattern llamaWindowPattern(std::string_view architecture);

} // namespace kvscope
