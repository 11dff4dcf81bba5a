// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/io/llama_state.h"
#include "core/io/open_dump.h"
#include "core/kv/kv_cache.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kvscope {

/// Where a token of a sequence lies.
struct LlamaSlot {
    std::int64_t position = 0;
    std::size_t stream = 0;
    std::int64_t cell = 0;
};

/// The sequences to show, each as its tokens in the order of their positions.
struct LlamaSequences {
    std::vector<std::int64_t> ids;
    /// slots[memory][sequence]; within a memory all sequences have the same positions.
    std::vector<std::vector<std::vector<LlamaSlot>>> slots;
    /// Where not all are shown: all that the file holds.
    DumpSequences choice;
};

/// All sequences of the file where they have the same positions, else one: `wanted`, or the longest; a note then says
/// what else there is. `where` names the file in errors.
Result<LlamaSequences> chooseSequences(const LlamaState& state, std::optional<std::int64_t> wanted,
                                       const std::string& where, std::vector<CacheNote>& notes);

} // namespace kvscope
