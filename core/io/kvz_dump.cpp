// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/kvz_dump.h"

#include "core/base/hash.h"
#include "core/codec/kvz_file.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <iterator>

namespace kvscope {

Result<OpenedDump> openKvz(const ByteSourcePtr& bytes, const std::filesystem::path& path, const OpenOptions& options) {
    KVSCOPE_ASSIGN(const KvzFilePtr file, KvzFile::open(bytes));
    KVSCOPE_ASSIGN(const std::size_t level, options.level ? file->findLevel(*options.level) : file->bestLevel());
    CacheInfo info = file->info();
    if (info.name.find(kPartialMark) != std::string::npos)
        info.notes.push_back({CacheNote::Severity::Warning, "Holds only what came of a fetch: " + info.name});
    if (!path.empty())
        info.name = path.filename().string();
    info.path = path;
    info.format = ".kvz, level " + file->levels()[level].name;
    DumpLevels levels{file->directory().levelNames(), level};
    if (levels.names.size() > 1) {
        std::string others;
        for (const std::string& other : levels.names)
            others += (others.empty() ? "" : ", ") + other;
        info.notes.push_back(
            {CacheNote::Severity::Info, "Holds the levels " + others + "; shown is " + file->levels()[level].name});
    }
    const std::array<std::uint64_t, 2> identity{file->root().directoryHash, level};
    info.fingerprint = hashBytes(std::as_bytes(std::span(identity)));
    return OpenedDump{makeDecodedCache(file->geometry(), std::move(info), file->store(level)), {}, std::move(levels)};
}

Result<KvzText> readKvzText(const std::filesystem::path& path) {
    KVSCOPE_ASSIGN(const ByteSourcePtr bytes, openFile(path));
    KVSCOPE_ASSIGN(const KvzFilePtr file, KvzFile::open(bytes));
    const CacheInfo& info = file->info();
    if (!hasText(info))
        return fail("has no text level: the dump that it was made of knew no tokens", path.string(),
                    "Encode a dump that has its tokens beside it");
    KvzText text{path.filename().string(), info.model, info.tokens, textBytes(info), {}};
    std::ranges::transform(file->levels(), std::back_inserter(text.levels), &KvzLevel::name);
    return text;
}

std::string plainText(const std::vector<CacheTokens>& tokens) {
    std::string out;
    for (const CacheTokens& sequence : tokens) {
        if (&sequence != &tokens.front())
            out += '\n';
        for (const std::string& text : sequence.texts)
            out += text;
        if (!sequence.texts.empty())
            continue;
        for (const std::int64_t id : sequence.ids)
            out += std::to_string(id) + " ";
    }
    return out;
}

std::string tokensToJson(const std::vector<CacheTokens>& tokens) {
    using nlohmann::ordered_json;
    ordered_json list = ordered_json::array();
    for (const CacheTokens& sequence : tokens) {
        ordered_json& entry = list.emplace_back(ordered_json::object());
        if (!sequence.ids.empty())
            entry["ids"] = sequence.ids;
        if (!sequence.texts.empty())
            entry["text"] = sequence.texts;
    }
    return (tokens.size() == 1 ? list.front() : list).dump(-1, ' ', false, ordered_json::error_handler_t::replace) +
           "\n";
}

} // namespace kvscope
