// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/io/open_dump.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace kvscope {

/// In the name of a cache of which only a part came, with how much; a file keeps it, whatever it is called.
inline constexpr std::string_view kPartialMark = " (partial: ";

/// Opens a .kvz at the level that the options name, or its best one; chunks are decoded when they are read. The text
/// level holds no values: an error says so.
Result<OpenedDump> openKvz(const ByteSourcePtr& bytes, const std::filesystem::path& path, const OpenOptions& options);

/// The text level of a .kvz: the tokens that its cache was computed from.
struct KvzText {
    std::string name;
    std::string model;
    /// One entry a sequence.
    std::vector<CacheTokens> tokens;
    /// What they take in the file.
    std::int64_t bytes = 0;
    /// The names of the levels that hold values.
    std::vector<std::string> levels;
};

/// Reads the text level; an error where the file has none.
Result<KvzText> readKvzText(const std::filesystem::path& path);

/// The texts of the tokens one after the other, sequences in lines of their own; the ids where there are no texts.
std::string plainText(const std::vector<CacheTokens>& tokens);
/// {"ids": [...], "text": [...]} as readTokensJson reads it; a list of such objects for several sequences. Bytes that
/// are no UTF-8 are replaced.
std::string tokensToJson(const std::vector<CacheTokens>& tokens);

} // namespace kvscope
