// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/io/model_config.h"
#include "core/io/open_dump.h"
#include "core/io/tensor_table.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kvscope {

/// What lies beside a dump and tells more about it.
struct SideFiles {
    std::optional<ModelConfig> config;
    std::optional<CacheTokens> tokens;
    /// Recordings of the same run with the same stem (`X.kpre.npy`, `X.q.npy` beside `X.kv.npy`), named "kpre", "q".
    std::vector<StoredTensor> companions;
    std::vector<CacheNote> notes;
};

/// The name without the extensions that dumps have: "a.kv.npy" and "a.npy" give "a".
std::string dumpStem(const std::filesystem::path& path);

/// Looks beside the dump (or inside a folder) for a configuration (`config.json`, `<stem>.json`, or
/// options.configPath), tokens (`<name>.tokens.json`, `<stem>.tokens.json`, `.tokens.npy`) and companions. A file
/// beside the dump that cannot be read gives a note; one that the user named gives an error. An empty path has none.
Result<SideFiles> findSideFiles(const std::filesystem::path& dump, const OpenOptions& options);

/// Reads {"ids": [...], "text": [...]}; each list may be absent.
Result<CacheTokens> readTokensJson(const ByteSource& file);

} // namespace kvscope
