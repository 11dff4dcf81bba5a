// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/side_files.h"

#include "core/io/json_text.h"
#include "core/io/npy.h"

#include <array>
#include <string_view>
#include <system_error>
#include <utility>

namespace kvscope {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kTokensFileLimit = std::int64_t{256} << 20;
constexpr std::int64_t kTokensLimit = std::int64_t{16} << 20;

bool isFile(const fs::path& path) {
    std::error_code problem;
    return fs::is_regular_file(path, problem);
}

void warn(SideFiles& files, const Error& error) {
    files.notes.push_back({CacheNote::Severity::Warning, "Not used: " + error.message()});
}

Result<ModelConfig> openConfig(const fs::path& path) {
    KVSCOPE_ASSIGN(const ByteSourcePtr file, openFile(path));
    return readModelConfig(*file);
}

Result<CacheTokens> openTokens(const fs::path& path) {
    KVSCOPE_ASSIGN(const ByteSourcePtr file, openFile(path));
    if (path.extension() == ".json")
        return readTokensJson(*file);
    KVSCOPE_ASSIGN(const StoredTensor tensor, readNpyArray(file, {}));
    CacheTokens tokens;
    KVSCOPE_ASSIGN(tokens.ids, readIntegers(tensor, kTokensLimit));
    return tokens;
}

/// Whether a configuration says anything about a cache; a raw dump's sidecar does not pass for one.
bool tellsGeometry(const ModelConfig& config) {
    return config.layers || config.kvHeads || config.headDim || config.latentDim;
}

} // namespace

std::string dumpStem(const fs::path& path) {
    std::string stem = path.filename().string();
    static constexpr std::array<std::string_view, 9> kExtensions{".npy", ".npz", ".safetensors", ".pt",  ".pth",
                                                                 ".bin", ".raw", ".data",        ".gguf"};
    for (const std::string_view extension : kExtensions) {
        if (stem.size() > extension.size() && stem.ends_with(extension)) {
            stem.resize(stem.size() - extension.size());
            break;
        }
    }
    if (stem.size() > 3 && stem.ends_with(".kv"))
        stem.resize(stem.size() - 3);
    return stem;
}

Result<CacheTokens> readTokensJson(const ByteSource& file) {
    constexpr const char* kAdvice = "Write {\"ids\": [1, 2], \"text\": [\"a\", \"b\"]}";
    KVSCOPE_ASSIGN(const nlohmann::json whole, readJson(file, kTokensFileLimit));
    CacheTokens tokens;
    const auto* ids = whole.is_array() ? &whole : memberOf(whole, "ids");
    const auto* texts = memberOf(whole, "text");
    if (ids == nullptr && texts == nullptr)
        return fail("has neither \"ids\" nor \"text\"", file.name(), kAdvice);
    if (ids != nullptr) {
        if (!ids->is_array())
            return fail("field \"ids\" is not a list", file.name(), kAdvice);
        for (const auto& id : *ids) {
            if (!id.is_number_integer())
                return fail("field \"ids\" holds something that is no integer at place " +
                                std::to_string(tokens.ids.size()),
                            file.name(), kAdvice);
            tokens.ids.push_back(id.get<std::int64_t>());
        }
    }
    if (texts != nullptr) {
        if (!texts->is_array())
            return fail("field \"text\" is not a list", file.name(), kAdvice);
        for (const auto& text : *texts) {
            if (!text.is_string())
                return fail("field \"text\" holds something that is no string at place " +
                                std::to_string(tokens.texts.size()),
                            file.name(), kAdvice);
            tokens.texts.push_back(text.get<std::string>());
        }
    }
    if (!tokens.ids.empty() && !tokens.texts.empty() && tokens.ids.size() != tokens.texts.size())
        return fail("has " + std::to_string(tokens.ids.size()) + " ids but " + std::to_string(tokens.texts.size()) +
                        " texts",
                    file.name(), kAdvice);
    return tokens;
}

Result<SideFiles> findSideFiles(const fs::path& dump, const OpenOptions& options) {
    SideFiles files;
    if (options.configPath) {
        KVSCOPE_ASSIGN(files.config, openConfig(*options.configPath));
    }
    if (dump.empty())
        return files;
    std::error_code problem;
    const bool isFolder = fs::is_directory(dump, problem);
    const fs::path folder = isFolder ? dump : dump.parent_path();
    const std::string name = dump.filename().string();
    const std::string stem = dumpStem(dump);

    std::vector<fs::path> configs;
    if (!isFolder)
        configs.push_back(folder / (stem + ".json"));
    configs.push_back(folder / "config.json");
    for (const fs::path& path : configs) {
        if (files.config || !isFile(path) || path == dump)
            continue;
        auto config = openConfig(path);
        if (!config)
            warn(files, config.error());
        else if (tellsGeometry(*config))
            files.config = std::move(*config);
    }

    std::vector<fs::path> tokenFiles;
    if (isFolder) {
        tokenFiles = {folder / "tokens.json", folder / "tokens.npy"};
    } else {
        for (const std::string& base : {name, stem}) {
            tokenFiles.push_back(folder / (base + ".tokens.json"));
            tokenFiles.push_back(folder / (base + ".tokens.npy"));
        }
    }
    for (const fs::path& path : tokenFiles) {
        if (files.tokens || !isFile(path) || path == dump)
            continue;
        auto tokens = openTokens(path);
        if (tokens)
            files.tokens = std::move(*tokens);
        else
            warn(files, tokens.error());
    }

    static constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kCompanions{
        {{".kpre.npy", "kpre"}, {".k_pre.npy", "kpre"}, {".q.npy", "q"}}};
    for (const auto& [suffix, role] : kCompanions) {
        // Only a dump that names itself K and V has companions: "a.kpre.npy" opened alone stays alone.
        const fs::path path = folder / (stem + std::string(suffix));
        if (isFolder || path == dump || !isFile(path))
            continue;
        auto file = openFile(path);
        auto tensor = file ? readNpyArray(*file, std::string(role)) : Result<StoredTensor>(fail("", {}));
        if (!file)
            warn(files, file.error());
        else if (!tensor)
            warn(files, tensor.error());
        else
            files.companions.push_back(std::move(*tensor));
    }
    return files;
}

} // namespace kvscope
