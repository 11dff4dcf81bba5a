// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/kvz_directory.h"
#include "core/stream/stream_input.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace kvscope {

/// An encoded chunk of one plane: what a chunk of the context is sent in, piece by piece.
struct ContextPart {
    PlaneId plane;
    /// Index into KvzPlane::chunks.
    std::size_t chunk = 0;

    bool operator==(const ContextPart&) const = default;
};

/// The parts of tokens [begin, end) at a level in the order in which they travel: by plane, then by token. A part
/// belongs to the range in which its tokens begin.
std::vector<ContextPart> partsOf(const KvzLevel& level, TokenRange tokens);

/// An encoded context as something to stream.
struct ContextInput {
    StreamInput input;
    /// Level of each candidate; kNoIndex for text.
    std::vector<std::size_t> levels;
    /// Tokens of each chunk but the last.
    std::int64_t chunkTokens = 0;
    /// No level says what it loses: its error is reckoned from its bits a value.
    bool errorsReckoned = false;

    /// Slots of a chunk.
    [[nodiscard]] TokenRange tokensOf(std::size_t chunk) const;
};

/// Cuts a context into chunks of about `wantedTokens` tokens: the next multiple of the chunk lengths of all levels.
/// Sizes are those on the wire, frames included. Levels are ordered by their bytes; one named "raw" or "quant8" takes
/// the place of the raw or the 8-bit form. `directoryBytes` travel first.
Result<ContextInput> contextInput(const KvzDirectory& directory, std::int64_t wantedTokens, std::int64_t directoryBytes,
                                  const std::string& name);

} // namespace kvscope
