// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/io/open_dump.h"
#include "core/io/tensor_table.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace kvscope {

/// Which blocks of a paged cache hold a sequence, in order (vLLM's block table).
struct BlockTable {
    std::vector<std::int64_t> blocks;
    /// Tokens held; the rest of the last block is free.
    std::int64_t tokens = 0;
    /// Slots of a block; 0 where the tensors' shapes must tell.
    std::int64_t blockSize = 0;
};

/// Reads a block table's side file and checks that it makes sense by itself; errors name the field.
Result<BlockTable> readBlockTable(const ByteSource& file);

/// The block table of a dump: tensors block_table and seq_lens in the same file, or a side file
/// `<dump>.block_table.json`
/// ({"block_size": 16, "block_table": [7, 2, ...], "tokens": 40}). Nothing when there is neither; an error when there
/// is one that makes no sense.
Result<std::optional<BlockTable>> findBlockTable(const TensorTable& table);

/// Makes the cache of a paged dump in one of vLLM's shapes: [2, blocks, slots, H, D], [blocks, 2, slots, H, D],
/// [blocks, H, slots, 2D] or [blocks, slots, C] (MLA) a layer, or with the layers in front. Errors name the tensor and
/// what does not fit.
Result<OpenedDump> assemblePaged(const TensorTable& table, const BlockTable& blocks, const OpenOptions& options);

} // namespace kvscope
