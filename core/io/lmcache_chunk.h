// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/io/lmcache_key.h"
#include "core/io/open_dump.h"

namespace kvscope {

/// Opens one LMCache chunk file: 28 bytes of metadata (length, format, dtype, four sizes; int32 little-endian) and raw
/// values, or raw values alone, whose dtype the key tells and whose layers, heads and head dimension `options` or a
/// configuration must tell. Shapes are [2,L,T,C], [T,2,C], [2,T,C] or [1,L,T,C] (MLA). Errors name the field that is
/// wrong.
Result<OpenedDump> openLmcacheChunk(const ByteSourcePtr& bytes, const std::filesystem::path& path,
                                    const LmcacheKey& key, const OpenOptions& options, const JobControl& job = {});

} // namespace kvscope
