// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/io/open_dump.h"

#include <filesystem>
#include <vector>

namespace kvscope {

/// Opens the chunk files of one context that LMCache stored (one a chunk; or one a chunk and worker, or one a chunk and
/// layer) as one dump. See openFolder for the order of the chunks.
Result<OpenedDump> openLmcacheFolder(const std::filesystem::path& folder,
                                     const std::vector<std::filesystem::path>& files, const OpenOptions& options,
                                     const JobControl& job = {});

} // namespace kvscope
