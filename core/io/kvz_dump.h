// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/io/open_dump.h"

#include <filesystem>

namespace kvscope {

/// Opens a .kvz at the level that the options name, or its best one; chunks are decoded when they are read.
Result<OpenedDump> openKvz(const ByteSourcePtr& bytes, const std::filesystem::path& path, const OpenOptions& options);

} // namespace kvscope
