// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/encode_report.h"
#include "core/stream/projection.h"
#include "core/stream/stream_input.h"

#include <cstdint>
#include <span>
#include <string>

namespace kvscope {

/// A dump encoded with one plan, as one of the forms in which its chunks can travel.
struct LevelReport {
    ChunkForm form = ChunkForm::Level;
    /// 0 the finest.
    int level = 0;
    std::string name;
    const EncodeReport* report = nullptr;
};

/// Bits per value (everything included) and headline error of each layer and kind, for project(). Fails where a report
/// has no planes or its errors were not measured.
Result<MeasuredRates> measuredRates(std::span<const LevelReport> levels);

/// The dump's own chunks with their own sizes: text, raw in 16 bit, and the levels. `chunkTokens` must be a multiple
/// of the plans' chunk lengths. A context of several sequences counts as one whose chunks hold all of them.
Result<StreamInput> measuredInput(std::span<const LevelReport> levels, std::int64_t chunkTokens);

} // namespace kvscope
