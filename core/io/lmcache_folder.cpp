// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/lmcache_folder.h"

#include "core/io/lmcache_chunk.h"
#include "core/io/lmcache_key.h"
#include "core/io/model_config.h"
#include "core/io/side_files.h"
#include "core/kv/joined_cache.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <set>

namespace kvscope {

namespace {

namespace fs = std::filesystem;

struct ChunkFile {
    fs::path path;
    LmcacheKey key;
    ByteSourcePtr bytes;
};

/// Files of one chunk by worker, then by layer.
using Chunk = std::map<std::int64_t, std::map<std::int64_t, ChunkFile>>;

struct Context {
    std::map<std::string, Chunk> chunks;
    std::int64_t workers = 1;
    bool layerwise = false;
    std::string model;
};

Result<Context> sortFiles(const fs::path& folder, const std::vector<fs::path>& files) {
    Context context;
    for (const fs::path& path : files) {
        KVSCOPE_ASSIGN(ByteSourcePtr bytes, openFile(path));
        ChunkFile file{path, *parseLmcacheKey(path.filename().string()), std::move(bytes)};
        if (!context.model.empty() && file.key.model != context.model)
            return fail("holds chunks of two models, " + context.model + " and " + file.key.model, folder.string(),
                        "Keep the chunks of one context in a folder");
        context.model = file.key.model;
        context.workers = std::max(context.workers, file.key.worker + 1);
        context.layerwise = context.layerwise || file.key.layer.has_value();
        context.chunks[file.key.hash][file.key.worker].insert_or_assign(file.key.layer.value_or(0), std::move(file));
    }
    for (const auto& [hash, workers] : context.chunks) {
        for (std::int64_t worker = 0; worker < context.workers; ++worker) {
            if (!workers.contains(worker))
                return fail("lacks the part of worker " + std::to_string(worker) + " of chunk " + hash, folder.string(),
                            "Copy the files of all workers");
        }
        for (const auto& [worker, layers] : workers) {
            const auto count = static_cast<std::int64_t>(layers.size());
            if (layers.rbegin()->first != count - 1)
                return fail("lacks a layer of chunk " + hash + ": there are " + std::to_string(count) +
                                " files up to layer " + std::to_string(layers.rbegin()->first),
                            folder.string(), "Copy the files of all layers");
        }
    }
    return context;
}

/// The token ids of the context, from a side file in the folder: {"token_ids": [...]} or {"ids": [...]} in any .json.
std::vector<std::int64_t> tokenIds(const fs::path& folder) {
    std::error_code problem;
    for (const auto& entry : fs::directory_iterator(folder, problem)) {
        constexpr std::int64_t kLargest = 256 * 1024 * 1024;
        if (entry.path().extension() != ".json")
            continue;
        const auto file = openFile(entry.path());
        if (!file || (*file)->size() > kLargest)
            continue;
        const auto bytes = (*file)->read(0, (*file)->size());
        if (!bytes)
            continue;
        const auto* text = reinterpret_cast<const char*>(bytes->data());
        const auto json = nlohmann::json::parse(text, text + bytes->size(), nullptr, false);
        for (const char* field : {"token_ids", "ids"}) {
            if (!json.is_object() || !json.contains(field) || !json[field].is_array())
                continue;
            std::vector<std::int64_t> ids;
            for (const auto& id : json[field]) {
                if (!id.is_number_integer())
                    return {};
                ids.push_back(id.get<std::int64_t>());
            }
            return ids;
        }
    }
    return {};
}

std::int64_t tokensOf(const KvCache& cache) {
    std::int64_t most = 0;
    for (const PlaneKind kind : cache.geometry().kinds())
        most = std::max(most, cache.geometry().maxTokens(kind));
    return most;
}

/// The hashes in the order of the context, with how the order was found.
struct ChunkOrder {
    std::vector<std::string> hashes;
    std::vector<std::int64_t> tokenIds;
    std::optional<CacheNote> note;
};

Result<ChunkOrder> orderByHand(const fs::path& folder, const Context& context, const OpenOptions& options) {
    ChunkOrder order;
    std::set<std::string> seen;
    for (const std::string& name : options.fileOrder) {
        const auto key = parseLmcacheKey(name);
        const std::string hash = key ? key->hash : name;
        if (!context.chunks.contains(hash))
            return fail("holds no chunk " + name, folder.string(), "Name the chunks by their files or by their hashes");
        if (seen.insert(hash).second)
            order.hashes.push_back(hash);
    }
    return order;
}

ChunkOrder findOrder(const fs::path& folder, const Context& context, const std::map<std::string, KvCache>& caches) {
    ChunkOrder order;
    order.tokenIds = tokenIds(folder);
    // All chunks but the last are of one size, which the files do not name: the largest.
    std::int64_t chunkTokens = 0;
    for (const auto& [hash, cache] : caches)
        chunkTokens = std::max(chunkTokens, tokensOf(cache));
    for (const LmcacheHash way : kAllLmcacheHashes) {
        for (const std::string& hash : lmcacheChain(way, order.tokenIds, chunkTokens)) {
            if (context.chunks.contains(hash))
                order.hashes.push_back(hash);
        }
        if (order.hashes.size() == context.chunks.size())
            return order;
        order.hashes.clear();
    }
    order.tokenIds.clear();
    std::vector<std::pair<fs::file_time_type, std::string>> byTime;
    for (const auto& [hash, chunk] : context.chunks) {
        std::error_code ignored;
        byTime.emplace_back(fs::last_write_time(chunk.begin()->second.begin()->second.path, ignored), hash);
    }
    std::sort(byTime.begin(), byTime.end());
    for (auto& [time, hash] : byTime)
        order.hashes.push_back(std::move(hash));
    if (context.chunks.size() > 1)
        order.note = CacheNote{CacheNote::Severity::Warning,
                               "The chunks are ordered by the times they were written, which may be wrong: their names "
                               "are hashes. Put the token "
                               "ids beside them ({\"token_ids\": [...]} in a .json file), or give the order by hand"};
    return order;
}

/// One chunk from its files: layers joined for each worker, then the workers by head.
Result<KvCache> openChunk(const Chunk& chunk, const OpenOptions& options, const JobControl& job) {
    std::vector<KvCache> shards;
    for (const auto& [worker, layers] : chunk) {
        std::vector<KvCache> parts;
        for (const auto& [layer, file] : layers) {
            // Until 0.2 chunks were safetensors files, whatever their names said.
            constexpr std::int64_t kHead = 9;
            const auto head = file.bytes->read(0, std::min(kHead, file.bytes->size()));
            const bool safetensors = head && head->size() == kHead && std::to_integer<char>(head->back()) == '{';
            KVSCOPE_ASSIGN(OpenedDump opened, safetensors
                                                  ? openDumpBytes(file.bytes, file.path, options, job)
                                                  : openLmcacheChunk(file.bytes, file.path, file.key, options, job));
            parts.push_back(std::move(opened.cache));
        }
        CacheInfo info = parts.front().info();
        if (parts.size() == 1) {
            shards.push_back(std::move(parts.front()));
            continue;
        }
        KVSCOPE_ASSIGN(KvCache joined, joinCaches(JoinAxis::Layers, std::move(parts), std::move(info)));
        shards.push_back(std::move(joined));
    }
    if (shards.size() == 1)
        return shards.front();
    CacheInfo info = shards.front().info();
    return joinCaches(JoinAxis::Heads, std::move(shards), std::move(info));
}

/// What each file is opened with: the heads of one worker, and those that the longest chunk shows for all.
Result<OpenOptions> memberOptions(const fs::path& folder, const Context& context, const OpenOptions& options,
                                  const JobControl& job) {
    OpenOptions member = options;
    member.fileOrder.clear();
    member.axes.reset();
    std::error_code ignored;
    if (!member.configPath && fs::is_regular_file(folder / "config.json", ignored))
        member.configPath = folder / "config.json";
    if (member.configPath) {
        KVSCOPE_ASSIGN(const ByteSourcePtr file, openFile(*member.configPath));
        if (const auto config = readModelConfig(*file)) {
            member.layers = member.layers ? member.layers : config->layers;
            member.heads = member.heads ? member.heads : config->kvHeads;
            member.headDim = member.headDim ? member.headDim : config->headDim;
        }
    }
    if (member.heads && *member.heads % context.workers == 0)
        member.heads = *member.heads / context.workers;
    if (member.heads)
        return member;
    const Chunk* longest = nullptr;
    std::int64_t size = -1;
    for (const auto& [hash, chunk] : context.chunks) {
        const std::int64_t own = chunk.begin()->second.begin()->second.bytes->size();
        if (own > size) {
            size = own;
            longest = &chunk;
        }
    }
    const ChunkFile& file = longest->begin()->second.begin()->second;
    KVSCOPE_ASSIGN(const KvCache cache, openChunk(Chunk{{0, {{0, file}}}}, member, job));
    if (const PlaneGeometry* plane = cache.geometry().find(LayerIndex(0), PlaneKind::Key)) {
        member.heads = plane->heads;
        member.headDim = plane->headDim;
    }
    return member;
}

} // namespace

Result<OpenedDump> openLmcacheFolder(const fs::path& folder, const std::vector<fs::path>& files,
                                     const OpenOptions& options, const JobControl& job) {
    KVSCOPE_ASSIGN(const Context context, sortFiles(folder, files));
    KVSCOPE_ASSIGN(const OpenOptions member, memberOptions(folder, context, options, job));
    std::map<std::string, KvCache> caches;
    for (const auto& [hash, chunk] : context.chunks) {
        if (job.stopRequested())
            return cancelled();
        KVSCOPE_ASSIGN(KvCache cache, openChunk(chunk, member, job));
        caches.emplace(hash, std::move(cache));
    }
    ChunkOrder order = findOrder(folder, context, caches);
    if (!options.fileOrder.empty()) {
        KVSCOPE_ASSIGN(order, orderByHand(folder, context, options));
    }
    std::vector<KvCache> ordered;
    for (const std::string& hash : order.hashes)
        ordered.push_back(caches.at(hash));

    const CacheInfo& first = ordered.front().info();
    CacheInfo info;
    info.name = folder.filename().empty() ? folder.parent_path().filename().string() : folder.filename().string();
    info.path = folder;
    info.format = std::to_string(ordered.size()) + " LMCache chunks";
    info.layout = first.layout;
    info.model = context.model;
    info.notes = first.notes;
    if (order.note)
        info.notes.push_back(*order.note);
    if (!order.tokenIds.empty())
        info.tokens.push_back({order.tokenIds, {}});
    KVSCOPE_ASSIGN(KvCache joined, joinCaches(JoinAxis::Tokens, std::move(ordered), std::move(info)));
    return OpenedDump{std::move(joined), {}};
}

} // namespace kvscope
