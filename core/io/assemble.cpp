// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/float_formats.h"
#include "core/base/hash.h"
#include "core/io/axes.h"
#include "core/io/layout_check.h"
#include "core/io/layout_templates.h"
#include "core/io/padding.h"
#include "core/io/paged_dump.h"
#include "core/io/plane_builder.h"
#include "core/io/side_files.h"
#include "core/io/tensor_groups.h"
#include "core/io/tensor_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <set>
#include <span>
#include <string_view>
#include <system_error>

namespace kvscope {

namespace {

constexpr std::int64_t kTokensLimit = std::int64_t{1} << 26;
constexpr std::size_t kReadingsLimit = 12;

void info(std::vector<CacheNote>& notes, std::string text) {
    notes.push_back({CacheNote::Severity::Info, std::move(text)});
}

void warning(std::vector<CacheNote>& notes, std::string text) {
    notes.push_back({CacheNote::Severity::Warning, std::move(text)});
}

/// Token ids from tensors in the dump: [T], or [B,T] for a batch.
std::vector<CacheTokens> tokensOf(const TensorGroups& groups, std::vector<CacheNote>& notes) {
    for (const StoredTensor& tensor : groups.tokens) {
        auto ids = readIntegers(tensor, kTokensLimit);
        if (!ids || tensor.shape.empty() || tensor.shape.size() > 2) {
            warning(notes, "Not used: " + tensor.name + " is no list of token ids");
            continue;
        }
        const std::int64_t rows = tensor.shape.size() == 2 ? tensor.shape[0] : 1;
        const std::int64_t columns = tensor.shape.back();
        if (columns == 0)
            continue;
        std::vector<CacheTokens> tokens(static_cast<std::size_t>(rows));
        for (std::int64_t row = 0; row < rows; ++row)
            tokens[static_cast<std::size_t>(row)].ids.assign(ids->begin() + row * columns,
                                                             ids->begin() + (row + 1) * columns);
        return tokens;
    }
    return {};
}

/// Hashes what the dump is: its files with their sizes and times, and how it is read.
std::uint64_t fingerprintOf(const TensorTable& table, const KvGeometry& geometry, const std::string& layout) {
    std::string text = layout;
    std::set<std::string> names{table.path.string()};
    for (const StoredTensor& tensor : table.tensors)
        names.insert(tensor.bytes->name());
    bool anyFile = false;
    for (const std::string& name : names) {
        std::error_code problem;
        const std::filesystem::path path(name);
        if (name.empty() || !std::filesystem::is_regular_file(path, problem))
            continue;
        const auto size = std::filesystem::file_size(path, problem);
        const auto time = std::filesystem::last_write_time(path, problem).time_since_epoch();
        text += "|" + name + "|" + std::to_string(size) + "|" + std::to_string(time.count());
        anyFile = true;
    }
    if (!anyFile)
        return 0;
    for (const PlaneId id : geometry.allPlanes()) {
        const PlaneGeometry& plane = *geometry.find(id);
        text += "|" + std::to_string(plane.heads) + "," + std::to_string(plane.headDim) + "," +
                std::to_string(plane.tokens) + "," + std::string(nameOf(plane.dtype));
    }
    return hashBytes(std::as_bytes(std::span(text)));
}

/// "This dump is fp32 although its name says fp16."
void noteTypeInName(const std::string& name, const KvGeometry& geometry, std::vector<CacheNote>& notes) {
    const auto words = wordsOf(name);
    const DType stored = geometry.find(geometry.allPlanes().front())->dtype;
    for (std::size_t i = 0; i + 1 < words.size(); ++i) {
        // "fp16" is cut into "fp" and "16".
        const auto claimed = dtypeFromName(words[i] + words[i + 1]);
        if (claimed && sizeOf(*claimed) != sizeOf(stored)) {
            warning(notes, "This dump is " + std::string(nameOf(stored)) + " although its name says " + words[i] +
                               words[i + 1]);
            return;
        }
    }
}

/// Whether sampled float32 values are all values of a 16-bit type.
void noteNarrowValues(const KvCache& cache, std::vector<CacheNote>& notes) {
    bool allHalf = true;
    bool allBfloat = true;
    std::int64_t seen = 0;
    const auto ids = cache.geometry().allPlanes();
    for (const PlaneId id : {ids.front(), ids[ids.size() / 2], ids.back()}) {
        const PlaneGeometry& plane = *cache.geometry().find(id);
        if (plane.dtype != DType::F32)
            return;
        const auto rows = tokenRange(0, std::min<std::int64_t>(plane.tokens, 16));
        std::vector<float> values(static_cast<std::size_t>(rows.size() * plane.channels()));
        if (plane.channels() > (1 << 20) || !cache.readRows(id, rows, values))
            return;
        for (const float value : values) {
            if (!std::isfinite(value) || value == 0.0F)
                continue;
            ++seen;
            allHalf = allHalf && floatFromHalf(halfFromFloat(value)) == value;
            allBfloat = allBfloat && floatFromBfloat(bfloatFromFloat(value)) == value;
        }
    }
    if (seen >= 64 && (allHalf || allBfloat))
        info(notes, std::string("Every sampled value of this f32 dump is a value of ") + (allHalf ? "f16" : "bf16") +
                        ": it was probably widened, and half its size would hold the same");
}

/// What the configuration says against what the dump holds.
void noteContradictions(const KvGeometry& geometry, const ModelConfig& config, std::vector<CacheNote>& notes) {
    const auto differs = [&](const char* what, std::optional<std::int64_t> expected, std::int64_t held) {
        if (expected && *expected != held)
            warning(notes, config.source + " says " + std::to_string(*expected) + " " + what + " but the dump holds " +
                               std::to_string(held));
    };
    differs("layers", config.layers, geometry.layerCount());
    const std::int64_t heads = geometry.maxHeads(PlaneKind::Key);
    if (heads == 0)
        return;
    differs("KV heads", config.kvHeads, heads);
    const PlaneGeometry* key = geometry.find(geometry.planes(PlaneKind::Key).front());
    differs("dimensions a head", config.headDim, key->headDim);
}

class Assembler {
public:
    Assembler(TensorTable table, const OpenOptions& options, const JobControl& job)
        : table_(std::move(table))
        , options_(options)
        , job_(job) {}

    Result<OpenedDump> run() {
        KVSCOPE_TRY(gather());
        KVSCOPE_ASSIGN(std::vector<LayoutChoice> choices, findLayouts(groups_, hints_, table_.name));
        KVSCOPE_TRY(choose(std::move(choices)));
        KVSCOPE_TRY(splitMergedHeads());
        const auto ids = built_.geometry.allPlanes();
        if (std::all_of(ids.begin(), ids.end(),
                        [&](const PlaneId id) { return built_.geometry.find(id)->tokens == 0; }))
            return fail("holds no tokens", table_.name, "Check that something had been computed when it was saved");
        KVSCOPE_TRY(cutPadding());
        return finish();
    }

private:
    Result<void> gather() {
        KVSCOPE_ASSIGN(side_, findSideFiles(table_.path, options_));
        if (const auto run = table_.metadata.find("kvscope"); !table_.config && run != table_.metadata.end()) {
            const auto text = std::as_bytes(std::span(run->second));
            auto described = readModelConfig(*memorySource({text.begin(), text.end()}, table_.name + ", metadata"));
            if (described)
                table_.config = std::move(*described);
            else
                warning(side_.notes, "Not used: " + described.error().message());
        }
        if (!side_.config && table_.config) {
            side_.config = table_.config;
        } else if (table_.config) {
            side_.config->synthetic = side_.config->synthetic || table_.config->synthetic;
            side_.config->rope = side_.config->rope ? side_.config->rope : table_.config->rope;
            side_.config->layerRopes.insert(table_.config->layerRopes.begin(), table_.config->layerRopes.end());
        }
        config_ = side_.config ? &*side_.config : nullptr;
        KVSCOPE_ASSIGN(groups_, groupTensors(table_, options_, config_));
        addCompanions();
        notes_.insert(notes_.end(), table_.notes.begin(), table_.notes.end());
        notes_.insert(notes_.end(), side_.notes.begin(), side_.notes.end());
        notes_.insert(notes_.end(), groups_.notes.begin(), groups_.notes.end());
        tokens_ = tokensOf(groups_, notes_);
        if (!side_.tokens && table_.tokens)
            side_.tokens = std::move(table_.tokens);
        if (tokens_.empty() && side_.tokens)
            tokens_.push_back(*side_.tokens);
        else if (!tokens_.empty() && side_.tokens && side_.tokens->texts.size() == tokens_.front().ids.size())
            tokens_.front().texts = side_.tokens->texts;
        hints_.options = &options_;
        hints_.config = config_;
        const auto madeBy = table_.metadata.find("class");
        hints_.fromTransformers = madeBy != table_.metadata.end() && madeBy->second.find("Cache") != std::string::npos;
        for (const StoredTensor& tensor : table_.tensors)
            hints_.fromTransformers = hints_.fromTransformers || tensor.name.starts_with("past_key_values.") ||
                                      tensor.name.starts_with("present.");
        if (!tokens_.empty())
            hints_.tokens = static_cast<std::int64_t>(std::max(tokens_[0].ids.size(), tokens_[0].texts.size()));
        return {};
    }

    /// Recordings beside the dump belong to it when the dump itself has none of their kind.
    void addCompanions() {
        const TensorRole main = mainRole(groups_);
        if (main != TensorRole::Key && main != TensorRole::KeyValue)
            return;
        for (StoredTensor& tensor : side_.companions) {
            const TensorRole role = tensor.name == "q" ? TensorRole::Query : TensorRole::KeyBeforeRope;
            if (tensor.dtype && !groups_.has(role))
                groups_.values.emplace(TensorGroups::Key{kAllLayers, role}, std::move(tensor));
        }
    }

    /// Builds the readings and lets the values decide between them.
    Result<void> choose(std::vector<LayoutChoice> choices) {
        if (choices.size() > kReadingsLimit)
            choices.resize(kReadingsLimit);
        std::vector<LayoutReading> readings;
        std::vector<LayoutChoice> buildable;
        std::optional<Error> problem;
        for (const LayoutChoice& choice : choices) {
            if (job_.stopRequested())
                return cancelled();
            CacheInfo name;
            name.name = table_.name;
            auto built = buildPlanes(groups_, choice, hints_, table_.name);
            auto cache = built ? built->cache(std::move(name)) : tl::unexpected<Error>(built.error());
            if (!cache) {
                problem = problem ? problem : cache.error();
                continue;
            }
            readings.push_back({choice.text(), choice.prior, *cache});
            buildable.push_back(choice);
        }
        if (buildable.empty())
            return tl::unexpected<Error>(*problem);
        if (readings.size() == 1) {
            choice_ = buildable.front();
            if (!options_.axes)
                layouts_ = {{choice_.text(), 1.0, "the shape and the sizes that are known allow no other reading"}};
        } else {
            layouts_ = checkLayouts(readings, job_);
            const auto best = std::max_element(layouts_.begin(), layouts_.end(), [](const auto& a, const auto& b) {
                return a.confidence < b.confidence;
            });
            choice_ = buildable[static_cast<std::size_t>(best - layouts_.begin())];
            std::stable_sort(layouts_.begin(), layouts_.end(),
                             [](const auto& a, const auto& b) { return a.confidence > b.confidence; });
        }
        if (job_.stopRequested())
            return cancelled();
        KVSCOPE_ASSIGN(built_, buildPlanes(groups_, choice_, hints_, table_.name));
        return {};
    }

    /// Merged channels whose heads nobody knows: the rotation of K shows the head dimension.
    Result<void> splitMergedHeads() {
        if (!built_.headsUnknown)
            return {};
        CacheInfo name;
        name.name = table_.name;
        KVSCOPE_ASSIGN(const KvCache cache, built_.cache(std::move(name)));
        const std::int64_t channels = cache.geometry().maxChannels(PlaneKind::Key);
        static constexpr std::array<std::int64_t, 9> kHeadDims{8, 16, 32, 64, 80, 96, 128, 192, 256};
        std::vector<std::int64_t> headDims;
        std::copy_if(kHeadDims.begin(), kHeadDims.end(), std::back_inserter(headDims),
                     [channels](std::int64_t dim) { return channels > 0 && channels % dim == 0; });
        const auto found = headDims.empty() ? std::nullopt : findRope(cache, std::move(headDims), job_);
        if (!found) {
            warning(notes_, "The channels of all heads are merged and nothing says how many heads there are; they are "
                            "shown as one. Give the number of heads, or put the model's config.json beside the dump");
            return {};
        }
        KVSCOPE_ASSIGN(built_, buildPlanes(groups_, choice_, hints_, table_.name, channels / found->headDim));
        info(notes_, "The number of heads (" + std::to_string(channels / found->headDim) + " of " +
                         std::to_string(found->headDim) +
                         ") is guessed from the rotation of K; give it, or a config.json, if it is wrong");
        return {};
    }

    Result<void> cutPadding() {
        CacheInfo name;
        name.name = table_.name;
        KVSCOPE_ASSIGN(const KvCache cache, built_.cache(std::move(name)));
        KVSCOPE_ASSIGN(const auto held, findHeldTokens(cache, job_));
        std::int64_t padded = 0;
        std::int64_t most = 0;
        for (std::size_t layer = 0; layer < held.size(); ++layer) {
            if (!held[layer])
                continue;
            ++padded;
            most = std::max(most, held[layer]->slots - held[layer]->tokens);
            built_.keepTokens(LayerIndex(static_cast<std::int64_t>(layer)), held[layer]->tokens);
        }
        if (padded > 0)
            info(notes_, "Zero padding of a static cache: up to " + std::to_string(most) +
                             " empty slots at the end of " + std::to_string(padded) + " layers are left out");
        placeWindows(held);
        return {};
    }

    /// A HybridCache does not say where its full windows begin: they end where the layers without a window end.
    void placeWindows(const std::vector<std::optional<HeldTokens>>& held) {
        const auto type = table_.metadata.find("class");
        if (type == table_.metadata.end() || type->second != "transformers.cache_utils.HybridCache")
            return;
        const auto end = built_.geometry.maxTokens(PlaneKind::Key);
        for (std::size_t layer = 0; layer < held.size(); ++layer) {
            if (held[layer])
                continue;
            for (KvGeometry* geometry : {&built_.geometry, built_.storedGeometry ? &*built_.storedGeometry : nullptr}) {
                if (geometry == nullptr)
                    continue;
                for (auto& plane : geometry->layers[layer].planes) {
                    if (plane && plane->positions.empty())
                        plane->firstPosition = end - plane->tokens;
                }
            }
        }
    }

    Result<OpenedDump> finish() {
        CacheInfo about;
        about.name = table_.name;
        about.path = table_.path;
        about.format = table_.format;
        about.layout = describeAxes(choice_.text());
        about.tokens = std::move(tokens_);
        about.fingerprint = fingerprintOf(table_, built_.geometry, choice_.text());
        if (config_ != nullptr) {
            about.model = config_->model;
            about.synthetic = config_->synthetic;
            for (const std::string& note : config_->notes)
                info(notes_, note);
            noteContradictions(built_.geometry, *config_, notes_);
        }
        if (const auto model = table_.metadata.find("model"); about.model.empty() && model != table_.metadata.end())
            about.model = model->second;
        if (const auto synthetic = table_.metadata.find("synthetic"); synthetic != table_.metadata.end())
            about.synthetic = synthetic->second == "true" || synthetic->second == "1";
        about.rope = ropes();
        notes_.insert(notes_.end(), built_.notes.begin(), built_.notes.end());
        noteTypeInName(table_.name, built_.geometry, notes_);
        if (layouts_.size() > 1 && layouts_.front().confidence < 0.9 && !options_.axes)
            warning(notes_, "The layout is a guess: " + describeAxes(layouts_.front().axes) + " at " +
                                std::to_string(static_cast<int>(std::lround(layouts_.front().confidence * 100))) +
                                " %, else " + describeAxes(layouts_[1].axes));
        {
            CacheInfo name;
            name.name = table_.name;
            KVSCOPE_ASSIGN(const KvCache sample, built_.cache(std::move(name)));
            noteNarrowValues(sample, notes_);
        }
        about.notes = std::move(notes_);
        OpenedDump opened;
        KVSCOPE_ASSIGN(opened.cache, built_.cache(std::move(about)));
        opened.layouts = std::move(layouts_);
        return opened;
    }

    /// RoPE of each layer from the configuration, overruled by the user.
    [[nodiscard]] std::vector<std::optional<Rope>> ropes() const {
        ModelConfig config = config_ != nullptr ? *config_ : ModelConfig();
        if (options_.ropeTheta || (options_.ropePairing && config.rope)) {
            config.rotatesNothing = false;
            if (!config.rope)
                config.rope = RopeSettings();
            if (options_.ropeTheta) {
                config.rope->theta = *options_.ropeTheta;
                config.rope->localTheta.reset();
            }
            if (options_.ropePairing)
                config.rope->pairing = *options_.ropePairing;
        }
        const auto keys = built_.geometry.planes(PlaneKind::Key);
        if (keys.empty())
            return {};
        const auto count = built_.geometry.layerCount();
        // Layers of a part of the model keep the rotation of their own numbers.
        const auto& numbers = groups_.layerNumbers;
        const bool renumbered = static_cast<std::int64_t>(numbers.size()) == count;
        const std::int64_t all = renumbered && !numbers.empty() ? numbers.back() + 1 : count;
        std::vector<std::optional<Rope>> result;
        for (std::int64_t layer = 0; layer < count; ++layer) {
            const PlaneGeometry* key = built_.geometry.find(LayerIndex(layer), PlaneKind::Key);
            const auto whole = config.ropes(all, key != nullptr ? key->headDim : 1);
            if (whole.empty())
                return {};
            const auto number = static_cast<std::size_t>(renumbered ? numbers[static_cast<std::size_t>(layer)] : layer);
            result.push_back(key != nullptr ? whole[number] : std::nullopt);
        }
        return result;
    }

    TensorTable table_;
    const OpenOptions& options_;
    const JobControl& job_;
    SideFiles side_;
    const ModelConfig* config_ = nullptr;
    TensorGroups groups_;
    GeometryHints hints_;
    LayoutChoice choice_;
    BuiltPlanes built_;
    std::vector<LayoutCandidate> layouts_;
    std::vector<CacheTokens> tokens_;
    std::vector<CacheNote> notes_;
};

} // namespace

Result<OpenedDump> assembleDump(TensorTable table, const OpenOptions& options, const JobControl& job) {
    KVSCOPE_ASSIGN(const std::optional<BlockTable> blocks, findBlockTable(table));
    if (blocks)
        return assemblePaged(table, *blocks, options);
    return Assembler(std::move(table), options, job).run();
}

} // namespace kvscope
