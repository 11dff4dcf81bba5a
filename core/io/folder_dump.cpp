// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/folder_dump.h"

#include "core/io/lmcache_folder.h"
#include "core/io/lmcache_key.h"
#include "core/io/model_config.h"
#include "core/io/safetensors.h"
#include "core/io/tensor_names.h"
#include "core/io/tensor_table.h"
#include "core/kv/joined_cache.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <regex>
#include <set>

namespace kvscope {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostFiles = 65536;
constexpr int kDeepest = 4;

struct Contents {
    std::vector<fs::path> files;
    std::vector<fs::path> folders;
};

bool mayBeDump(const fs::path& path) {
    const std::string name = path.filename().string();
    if (name.starts_with('.') || name.ends_with(".tokens.npy"))
        return false;
    static constexpr std::array kOthers{".json", ".md",  ".txt", ".py",    ".log", ".yaml",
                                        ".yml",  ".csv", ".png", ".jsonl", ".part"};
    const std::string ending = path.extension().string();
    return std::find(kOthers.begin(), kOthers.end(), ending) == kOthers.end();
}

Result<Contents> listFolder(const fs::path& folder) {
    Contents contents;
    std::error_code problem;
    auto entry = fs::directory_iterator(folder, problem);
    if (problem)
        return fail("cannot be read: " + problem.message(), folder.string(), "Check the permissions",
                    Error::Kind::System);
    for (; entry != fs::directory_iterator(); entry.increment(problem)) {
        if (problem)
            return fail("cannot be read: " + problem.message(), folder.string(), "Check the permissions",
                        Error::Kind::System);
        std::error_code ignored;
        if (entry->is_directory(ignored) && !entry->path().filename().string().starts_with('.'))
            contents.folders.push_back(entry->path());
        else if (entry->is_regular_file(ignored) && mayBeDump(entry->path()))
            contents.files.push_back(entry->path());
        if (contents.files.size() + contents.folders.size() > kMostFiles)
            return fail("holds more than " + std::to_string(kMostFiles) + " files", folder.string(),
                        "Open the folder of one dump");
    }
    const auto byName = [](const fs::path& a, const fs::path& b) {
        return naturalLess(a.filename().string(), b.filename().string());
    };
    std::sort(contents.files.begin(), contents.files.end(), byName);
    std::sort(contents.folders.begin(), contents.folders.end(), byName);
    return contents;
}

/// The number of a tensor-parallel worker's folder or file: "rank_0", "tp1", "worker-2", "shard_3".
std::optional<std::int64_t> rankOf(const fs::path& path) {
    static const std::regex pattern(R"((?:^|[._-])(?:tp|rank|tp_?rank|worker|shard)[._-]?(\d{1,4})(?:[._-]|$))",
                                    std::regex::icase);
    const std::string name = path.filename().string();
    std::smatch found;
    return std::regex_search(name, found, pattern) ? std::optional<std::int64_t>(std::stoll(found[1])) : std::nullopt;
}

/// The layer that a file name tells: the number behind "layer", else the last number.
std::optional<std::int64_t> layerOf(const fs::path& path) {
    const std::string name = path.stem().string();
    static const std::regex behindWord(R"(layers?[._-]?(\d{1,6}))", std::regex::icase);
    static const std::regex last(R"((\d{1,6})\D*$)");
    std::smatch found;
    if (std::regex_search(name, found, behindWord) || std::regex_search(name, found, last))
        return std::stoll(found[1]);
    return std::nullopt;
}

OpenOptions forMembers(const OpenOptions& options, const fs::path& folder) {
    OpenOptions member = options;
    member.layers.reset();
    member.fileOrder.clear();
    std::error_code ignored;
    if (!member.configPath && fs::is_regular_file(folder / "config.json", ignored))
        member.configPath = folder / "config.json";
    return member;
}

CacheInfo infoOf(const fs::path& folder, const KvCache& first, const std::string& what) {
    CacheInfo info;
    info.name = folder.filename().empty() ? folder.parent_path().filename().string() : folder.filename().string();
    info.path = folder;
    info.format = first.info().format + ", " + what;
    info.layout = first.info().layout;
    info.model = first.info().model;
    info.tokens = first.info().tokens;
    info.notes = first.info().notes;
    return info;
}

/// Merged heads leave open how channels split; what the first file showed holds for the others.
void adoptHeads(const OpenOptions& said, const KvCache& first, OpenOptions& options) {
    if (said.heads || said.headDim)
        return;
    for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value}) {
        if (const PlaneGeometry* plane = first.geometry().find(LayerIndex(0), kind)) {
            options.heads = plane->heads;
            options.headDim = plane->headDim;
            return;
        }
    }
}

/// One file of a layer. vLLM's connector calls the only tensor kv_cache whatever it is: [2,T,C], [T,H,2D], or [T,C] of
/// MLA.
Result<OpenedDump> openLayer(const fs::path& file, const OpenOptions& options, const JobControl& job) {
    KVSCOPE_ASSIGN(const ByteSourcePtr bytes, openFile(file));
    KVSCOPE_ASSIGN(const std::vector<std::byte> head, bytes->read(0, std::min<std::int64_t>(64, bytes->size())));
    if (options.axes || !looksLikeSafetensors(head, bytes->size()))
        return openDump(file, options, job);
    KVSCOPE_ASSIGN(TensorTable table, readSafetensors(bytes, file));
    if (table.tensors.size() != 1 || table.tensors.front().name != "kv_cache")
        return openDump(file, options, job);
    StoredTensor& tensor = table.tensors.front();
    OpenOptions shaped = options;
    if (tensor.shape.size() == 2) {
        tensor.name = "latent";
        shaped.axes = "TC";
        shaped.heads.reset();
        shaped.headDim.reset();
    } else if (tensor.shape.size() == 3) {
        shaped.axes = tensor.shape.front() == 2 ? "XTC" : "THXD";
    }
    return assembleDump(std::move(table), shaped, job);
}

Result<OpenedDump> joinLayers(const fs::path& folder, const std::vector<fs::path>& files, const OpenOptions& options,
                              const JobControl& job) {
    const OpenOptions member = forMembers(options, folder);
    std::vector<KvCache> layers;
    std::vector<LayoutCandidate> layouts;
    std::optional<std::int64_t> before;
    CacheInfo info;
    for (const fs::path& file : files) {
        if (job.stopRequested())
            return cancelled();
        OpenOptions own = member;
        KVSCOPE_ASSIGN(OpenedDump opened, openLayer(file, own, job));
        const bool mergedHeads = !layers.empty() && !options.heads && !options.headDim;
        if (mergedHeads) {
            const PlaneGeometry* first = layers.front().geometry().find(LayerIndex(0), PlaneKind::Key);
            const PlaneGeometry* here = opened.cache.geometry().find(LayerIndex(0), PlaneKind::Key);
            if (first != nullptr && here != nullptr && here->heads != first->heads &&
                here->channels() == first->channels()) {
                adoptHeads(options, layers.front(), own);
                KVSCOPE_ASSIGN(opened, openLayer(file, own, job));
            }
        }
        if (layers.empty()) {
            info = infoOf(folder, opened.cache, std::to_string(files.size()) + " files, one a layer");
            layouts = std::move(opened.layouts);
        }
        const auto number = layerOf(file);
        if (number && before && *number > *before + 1)
            info.notes.push_back(
                {CacheNote::Severity::Warning, "Layer " + std::to_string(*before + 1) +
                                                   (*number > *before + 2 ? " to " + std::to_string(*number - 1) : "") +
                                                   " is missing: there is no file for it"});
        before = number;
        layers.push_back(std::move(opened.cache));
    }
    KVSCOPE_ASSIGN(KvCache joined, joinCaches(JoinAxis::Layers, std::move(layers), std::move(info)));
    return OpenedDump{std::move(joined), std::move(layouts)};
}

/// Heads of one worker, where the user or the configuration says how many the whole model has.
Result<OpenOptions> forWorkers(const OpenOptions& options, const fs::path& folder, std::int64_t workers) {
    OpenOptions member = forMembers(options, folder);
    if (!member.heads && member.configPath) {
        KVSCOPE_ASSIGN(const ByteSourcePtr file, openFile(*member.configPath));
        if (const auto config = readModelConfig(*file)) {
            member.heads = config->kvHeads;
            member.headDim = member.headDim ? member.headDim : config->headDim;
        }
    }
    if (member.heads && *member.heads % workers == 0)
        member.heads = *member.heads / workers;
    member.layers = options.layers;
    return member;
}

/// Where the heads of merged channels had to be guessed, the parts may disagree: those in which fewer were found are
/// read again as the one with the most, which is returned: it knows what was guessed.
Result<KvCache> shareHeads(const std::vector<std::pair<std::int64_t, fs::path>>& ranked, const OpenOptions& member,
                           const JobControl& job, std::vector<KvCache>& shards) {
    const auto keysOf = [](const KvCache& cache) { return cache.geometry().find(LayerIndex(0), PlaneKind::Key); };
    const auto headsOf = [&keysOf](const KvCache& cache) {
        const PlaneGeometry* keys = keysOf(cache);
        return keys != nullptr ? keys->heads : 0;
    };
    KvCache most = *std::ranges::max_element(shards, {}, headsOf);
    for (std::size_t i = 0; i < shards.size(); ++i) {
        if (headsOf(shards[i]) == headsOf(most) || headsOf(shards[i]) == 0 ||
            keysOf(shards[i])->channels() != keysOf(most)->channels())
            continue;
        OpenOptions own = member;
        adoptHeads(member, most, own);
        KVSCOPE_ASSIGN(OpenedDump opened, openDump(ranked[i].second, own, job));
        shards[i] = std::move(opened.cache);
    }
    return most;
}

Result<OpenedDump> joinWorkers(const fs::path& folder, const std::vector<fs::path>& parts, const OpenOptions& options,
                               const JobControl& job) {
    std::vector<std::pair<std::int64_t, fs::path>> ranked;
    ranked.reserve(parts.size());
    for (const fs::path& part : parts)
        ranked.emplace_back(*rankOf(part), part);
    std::sort(ranked.begin(), ranked.end());
    for (std::size_t i = 1; i < ranked.size(); ++i) {
        if (ranked[i].first != ranked[i - 1].first + 1)
            return fail("lacks the part of worker " + std::to_string(ranked[i - 1].first + 1), folder.string(),
                        "Copy the folders or files of all workers");
    }
    KVSCOPE_ASSIGN(const OpenOptions member, forWorkers(options, folder, static_cast<std::int64_t>(ranked.size())));
    std::vector<KvCache> shards;
    std::vector<LayoutCandidate> layouts;
    for (const auto& [rank, part] : ranked) {
        KVSCOPE_ASSIGN(OpenedDump opened, openDump(part, member, job));
        if (shards.empty())
            layouts = std::move(opened.layouts);
        shards.push_back(std::move(opened.cache));
    }
    KvCache about = shards.front();
    if (!member.heads && !member.headDim) {
        KVSCOPE_ASSIGN(about, shareHeads(ranked, member, job, shards));
    }
    CacheInfo info = infoOf(folder, about, std::to_string(shards.size()) + " tensor-parallel shards merged by head");
    KVSCOPE_ASSIGN(KvCache joined, joinCaches(JoinAxis::Heads, std::move(shards), std::move(info)));
    return OpenedDump{std::move(joined), std::move(layouts)};
}

bool allRanked(const std::vector<fs::path>& paths) {
    std::set<std::int64_t> ranks;
    return paths.size() > 1 && std::all_of(paths.begin(), paths.end(), [&](const fs::path& path) {
               const auto rank = rankOf(path);
               return rank && ranks.insert(*rank).second;
           });
}

Result<OpenedDump> openNested(const fs::path& folder, int depth, const OpenOptions& options, const JobControl& job) {
    KVSCOPE_ASSIGN(const Contents contents, listFolder(folder));
    const bool chunks =
        !contents.files.empty() && std::all_of(contents.files.begin(), contents.files.end(), [](const fs::path& file) {
            return parseLmcacheKey(file.filename().string()).has_value();
        });
    if (chunks)
        return openLmcacheFolder(folder, contents.files, options, job);
    if (contents.files.empty() && allRanked(contents.folders))
        return joinWorkers(folder, contents.folders, options, job);
    if (contents.files.empty() && contents.folders.size() == 1 && depth < kDeepest)
        return openNested(contents.folders.front(), depth + 1, options, job);
    if (contents.files.empty() && contents.folders.size() > 1)
        return fail("holds " + std::to_string(contents.folders.size()) + " folders, each a dump of its own (" +
                        contents.folders.front().filename().string() + ", ...)",
                    folder.string(), "Open one of them");
    if (contents.files.empty())
        return fail("holds no dump", folder.string(),
                    "Open a folder with one file a layer, LMCache chunks or tensor-parallel shards");
    if (contents.files.size() == 1)
        return openDump(contents.files.front(), options, job);
    if (allRanked(contents.files))
        return joinWorkers(folder, contents.files, options, job);
    return joinLayers(folder, contents.files, options, job);
}

} // namespace

Result<OpenedDump> openFolder(const fs::path& folder, const OpenOptions& options, const JobControl& job) {
    return openNested(folder, 0, options, job);
}

} // namespace kvscope
