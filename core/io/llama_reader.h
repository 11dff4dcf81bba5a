// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/io/open_dump.h"

#include <filesystem>

namespace kvscope {

/// Opens a llama.cpp session or sequence state. Tokens come in the order of their positions; sequences of equal length
/// and positions make a batch, of others options.sequence (or the longest) is opened. Quantised values are delivered as
/// f32, as ggml dequantises them, with the Hadamard rotation undone where options.undoHadamard says so. The number of
/// heads, which the file lacks, comes from the options, a config.json, or a guess; a note says which.
Result<OpenedDump> openLlamaState(const ByteSourcePtr& file, const std::filesystem::path& path,
                                  const OpenOptions& options);

} // namespace kvscope
