// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/io/open_dump.h"

#include <filesystem>

namespace kvscope {

/// Opens a folder as one dump: one file a layer in natural order of the names (vLLM's example connector:
/// <hash>/<layer>.safetensors); the folders of tensor-parallel workers (rank_0, rank_1 ...), merged by head; or
/// LMCache's chunks, merged by token in the order of their key chain (from the token ids beside them), of
/// options.fileOrder, or of their modification times (with a note that says so). A folder with one folder or file in it
/// stands for that. Errors name the file or folder.
Result<OpenedDump> openFolder(const std::filesystem::path& folder, const OpenOptions& options,
                              const JobControl& job = {});

} // namespace kvscope
