// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/json_fields.h"
#include "core/codec/kvz_directory.h"
#include "core/codec/pipeline_json.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace kvscope {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::array kKinds{PlaneKind::Key, PlaneKind::Value, PlaneKind::Latent};
constexpr std::int64_t kMaxLayers = 1 << 16;
constexpr std::int64_t kMaxChannels = 1 << 20;
/// Most numbers that entries with a `count` may multiply into.
constexpr std::size_t kMaxRepeated = std::size_t{1} << 24;
constexpr std::int64_t kMaxSequences = 1 << 20;
constexpr std::array<std::string_view, 2> kPairings{"half-split", "interleaved"};

ordered_json planeToJson(const PlaneGeometry& plane) {
    ordered_json out;
    out["heads"] = plane.heads;
    out["head_dim"] = plane.headDim;
    out["tokens"] = plane.tokens;
    out["dtype"] = nameOf(plane.dtype);
    if (!plane.positions.empty())
        out["positions"] = plane.positions;
    else if (plane.firstPosition != 0)
        out["first_position"] = plane.firstPosition;
    return out;
}

ordered_json layerToJson(const LayerGeometry& layer) {
    ordered_json out;
    for (const PlaneKind kind : kKinds) {
        if (const auto& plane = layer.plane(kind))
            out[std::string(nameOf(kind))] = planeToJson(*plane);
    }
    return out;
}

/// A list in which `count` says how often an entry stands.
template <class Items, class Write> ordered_json runLengths(const Items& items, const Write& write) {
    ordered_json out = ordered_json::array();
    for (auto item = items.begin(); item != items.end();) {
        const auto end = std::find_if(item, items.end(), [&](const auto& other) { return !(other == *item); });
        ordered_json entry = write(*item);
        if (end - item > 1)
            entry["count"] = end - item;
        out.push_back(std::move(entry));
        item = end;
    }
    return out;
}

ordered_json ropeToJson(const std::optional<Rope>& rope) {
    ordered_json out = ordered_json::object();
    if (!rope)
        return out;
    out["pairing"] = kPairings[static_cast<std::size_t>(rope->pairing)];
    out["inverse_frequencies"] = rope->inverseFrequencies;
    out["attention_scale"] = rope->attentionScale;
    return out;
}

ordered_json errorToJson(const KvzLayerError& error) {
    ordered_json out = ordered_json::object();
    for (const PlaneKind kind : kKinds) {
        if (const auto& value = error[static_cast<std::size_t>(kind)])
            out[std::string(nameOf(kind))] = *value;
    }
    return out;
}

bool isUtf8(const std::string& text) {
    try {
        return !ordered_json(text).dump().empty();
    } catch (const ordered_json::exception&) {
        return false;
    }
}

/// Text of a token: a string, or its bytes where they are not UTF-8 (half of a character).
ordered_json tokenText(const std::string& text) {
    if (isUtf8(text))
        return text;
    ordered_json bytes = ordered_json::array();
    for (const char c : text)
        bytes.push_back(static_cast<unsigned char>(c));
    return bytes;
}

ordered_json tokensToJson(const CacheTokens& tokens) {
    ordered_json out = ordered_json::object();
    if (!tokens.ids.empty())
        out["ids"] = tokens.ids;
    if (!tokens.texts.empty()) {
        ordered_json& texts = out["texts"] = ordered_json::array();
        for (const std::string& text : tokens.texts)
            texts.push_back(tokenText(text));
    }
    return out;
}

ordered_json textToJson(const CacheInfo& info) {
    ordered_json tokens = ordered_json::array();
    for (const CacheTokens& sequence : info.tokens)
        tokens.push_back(tokensToJson(sequence));
    return tokens;
}

std::string compact(const ordered_json& value) {
    return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

class Reader {
public:
    explicit Reader(std::string source)
        : source_(std::move(source)) {}

    Result<void> read(const json& value, KvzDirectory& directory, std::vector<std::vector<Pipeline>>& pipelines) {
        KVSCOPE_ASSIGN(auto fields, JsonFields::of(value, {}, source_));
        KVSCOPE_TRY(fields.read("name", directory.info.name));
        KVSCOPE_TRY(fields.read("model", directory.info.model));
        KVSCOPE_TRY(fields.read("format", directory.info.format));
        KVSCOPE_TRY(fields.read("layout", directory.info.layout));
        KVSCOPE_TRY(fields.read("synthetic", directory.info.synthetic));
        KVSCOPE_TRY(fields.read("sequences", directory.geometry.sequences));
        KVSCOPE_TRY(readLayers(fields, directory.geometry));
        KVSCOPE_TRY(readRopes(fields, directory));
        KVSCOPE_TRY(readTokens(fields, directory.info));
        if (directory.geometry.sequences < 1 || directory.geometry.sequences > kMaxSequences)
            return fields.bad("sequences", "a number from 1 to " + std::to_string(kMaxSequences));
        if (auto problem = findGeometryProblem(directory.geometry))
            return fail("describes a cache that cannot be: " + *problem, source_, "The file is damaged");
        KVSCOPE_TRY(readLevels(fields, directory, pipelines));
        return fields.finish();
    }

private:
    /// A list of objects; absent is empty.
    template <class Body> Result<void> each(JsonFields& fields, const char* key, const Body& body) {
        const json* list = fields.find(key);
        if (list == nullptr)
            return {};
        if (!list->is_array())
            return fields.bad(key, "a list");
        for (std::size_t i = 0; i < list->size(); ++i) {
            KVSCOPE_ASSIGN(auto entry,
                           JsonFields::of((*list)[i], fields.pathOf(key) + "[" + std::to_string(i) + "]", source_));
            KVSCOPE_TRY(body(entry));
            KVSCOPE_TRY(entry.finish());
        }
        return {};
    }

    static Result<std::int64_t> countOf(JsonFields& entry, std::int64_t room) {
        std::int64_t count = 1;
        KVSCOPE_TRY(entry.read("count", count));
        if (count < 1 || count > room)
            return entry.bad("count", "a number from 1 to " + std::to_string(room));
        return count;
    }

    template <class T, class Accept>
    static Result<void> readList(JsonFields& fields, const char* key, std::vector<T>& out, const Accept& accept) {
        const json* list = fields.find(key);
        if (list == nullptr)
            return {};
        if (!list->is_array())
            return fields.bad(key, "a list of numbers");
        for (const json& item : *list) {
            if (!accept(item))
                return fields.bad(key, "a list of numbers");
            out.push_back(item.get<T>());
        }
        return {};
    }

    static bool isInteger(const json& item) {
        return item.is_number_integer() &&
               !(item.is_number_unsigned() && item.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX));
    }

    Result<void> readPlane(JsonFields& entry, PlaneKind kind, LayerGeometry& layer) {
        const std::string name(nameOf(kind));
        const json* value = entry.find(nameOf(kind).data());
        if (value == nullptr)
            return {};
        KVSCOPE_ASSIGN(auto fields, JsonFields::of(*value, entry.pathOf(name.c_str()), source_));
        PlaneGeometry plane;
        std::string dtype;
        KVSCOPE_TRY(fields.read("heads", plane.heads));
        KVSCOPE_TRY(fields.read("head_dim", plane.headDim));
        KVSCOPE_TRY(fields.read("tokens", plane.tokens));
        KVSCOPE_TRY(fields.read("dtype", dtype));
        KVSCOPE_TRY(fields.read("first_position", plane.firstPosition));
        KVSCOPE_TRY(readList(fields, "positions", plane.positions, isInteger));
        KVSCOPE_TRY(fields.finish());
        const auto type = dtypeFromName(dtype);
        if (!type)
            return fields.bad("dtype", "a known type");
        plane.dtype = *type;
        if (plane.heads < 1 || plane.headDim < 1 || plane.heads > kMaxChannels || plane.headDim > kMaxChannels ||
            plane.channels() > kMaxChannels)
            return fields.bad("heads", "a plane of 1 to " + std::to_string(kMaxChannels) + " channels");
        layer.plane(kind) = std::move(plane);
        return {};
    }

    Result<void> readLayers(JsonFields& fields, KvGeometry& geometry) {
        return each(fields, "layers", [&](JsonFields& entry) -> Result<void> {
            KVSCOPE_ASSIGN(const std::int64_t count, countOf(entry, kMaxLayers - geometry.layerCount()));
            LayerGeometry layer;
            for (const PlaneKind kind : kKinds)
                KVSCOPE_TRY(readPlane(entry, kind, layer));
            for (const PlaneKind kind : kKinds) {
                if (layer.plane(kind) &&
                    layer.plane(kind)->positions.size() > kMaxRepeated / static_cast<std::size_t>(count))
                    return entry.bad("count", "as small as these positions need");
            }
            geometry.layers.insert(geometry.layers.end(), static_cast<std::size_t>(count), layer);
            return {};
        });
    }

    Result<void> readRopes(JsonFields& fields, KvzDirectory& directory) {
        auto& ropes = directory.info.rope;
        const std::int64_t layers = directory.geometry.layerCount();
        KVSCOPE_TRY(each(fields, "rope", [&](JsonFields& entry) -> Result<void> {
            KVSCOPE_ASSIGN(const std::int64_t count, countOf(entry, layers - static_cast<std::int64_t>(ropes.size())));
            std::optional<Rope> rope;
            std::size_t pairing = kPairings.size();
            Rope read;
            KVSCOPE_TRY(entry.readName("pairing", kPairings, pairing));
            KVSCOPE_TRY(readList(entry, "inverse_frequencies", read.inverseFrequencies, [](const json& item) {
                return item.is_number() && std::isfinite(item.get<double>());
            }));
            KVSCOPE_TRY(entry.read("attention_scale", read.attentionScale));
            if (read.inverseFrequencies.size() > kMaxRepeated / static_cast<std::size_t>(count))
                return entry.bad("count", "as small as these frequencies need");
            if (pairing < kPairings.size()) {
                read.pairing = static_cast<Rope::Pairing>(pairing);
                rope = std::move(read);
            }
            ropes.insert(ropes.end(), static_cast<std::size_t>(count), rope);
            return {};
        }));
        if (!ropes.empty() && static_cast<std::int64_t>(ropes.size()) != layers)
            return fields.bad("rope", "one entry a layer");
        for (std::size_t i = 0; i < ropes.size(); ++i) {
            const auto& keys = directory.geometry.layers[i].plane(PlaneKind::Key);
            if (ropes[i] && keys && ropes[i]->rotaryDim() > keys->headDim)
                return fields.bad("rope", "a rotation of at most a head's dimensions");
        }
        return {};
    }

    Result<void> readTokens(JsonFields& fields, CacheInfo& info) {
        return each(fields, "tokens", [&](JsonFields& entry) -> Result<void> {
            CacheTokens tokens;
            KVSCOPE_TRY(readList(entry, "ids", tokens.ids, isInteger));
            if (const json* texts = entry.find("texts"); texts != nullptr) {
                if (!texts->is_array())
                    return entry.bad("texts", "a list");
                for (const json& text : *texts)
                    KVSCOPE_TRY(readText(entry, text, tokens.texts));
            }
            info.tokens.push_back(std::move(tokens));
            return {};
        });
    }

    static Result<void> readText(const JsonFields& entry, const json& value, std::vector<std::string>& texts) {
        if (value.is_string()) {
            texts.push_back(value.get<std::string>());
            return {};
        }
        std::string bytes;
        if (!value.is_array())
            return entry.bad("texts", "a list of texts or of their bytes");
        for (const json& byte : value) {
            if (!byte.is_number_unsigned() || byte.get<std::uint64_t>() > 255)
                return entry.bad("texts", "a list of texts or of their bytes");
            bytes.push_back(static_cast<char>(byte.get<unsigned>()));
        }
        texts.push_back(std::move(bytes));
        return {};
    }

    Result<void> readLevels(JsonFields& fields, KvzDirectory& directory,
                            std::vector<std::vector<Pipeline>>& pipelines) {
        return each(fields, "levels", [&](JsonFields& entry) -> Result<void> {
            KvzLevel level;
            KVSCOPE_TRY(entry.read("name", level.name));
            const json* plan = entry.find("plan");
            if (plan == nullptr)
                return entry.bad("plan", "there");
            KVSCOPE_ASSIGN(level.plan, planFromJson(plan->dump(), source_ + ", " + entry.pathOf("plan")));
            const json* list = entry.find("pipelines");
            if (list == nullptr || !list->is_array())
                return entry.bad("pipelines", "a list");
            std::vector<Pipeline> used;
            for (std::size_t i = 0; i < list->size(); ++i) {
                const std::string path = entry.pathOf("pipelines") + "[" + std::to_string(i) + "]";
                KVSCOPE_ASSIGN(Pipeline pipeline, pipelineFromJson((*list)[i], path, source_));
                used.push_back(pipeline);
            }
            KVSCOPE_TRY(readErrors(entry, directory.geometry, level));
            directory.levels.push_back(std::move(level));
            pipelines.push_back(std::move(used));
            return {};
        });
    }

    Result<void> readErrors(JsonFields& fields, const KvGeometry& geometry, KvzLevel& level) {
        const std::int64_t layers = geometry.layerCount();
        KVSCOPE_TRY(each(fields, "errors", [&](JsonFields& entry) -> Result<void> {
            KVSCOPE_ASSIGN(const std::int64_t count,
                           countOf(entry, layers - static_cast<std::int64_t>(level.errors.size())));
            KvzLayerError error;
            for (const PlaneKind kind : kKinds) {
                double value = -1;
                KVSCOPE_TRY(entry.read(nameOf(kind).data(), value));
                if (value >= 0 && std::isfinite(value))
                    error[static_cast<std::size_t>(kind)] = value;
            }
            level.errors.insert(level.errors.end(), static_cast<std::size_t>(count), error);
            return {};
        }));
        if (!level.errors.empty() && static_cast<std::int64_t>(level.errors.size()) != layers)
            return fields.bad("errors", "one entry a layer");
        return {};
    }

    std::string source_;
};

} // namespace

std::string descriptionToJson(const KvzDirectory& directory, const std::vector<std::vector<Pipeline>>& pipelines) {
    const CacheInfo& info = directory.info;
    ordered_json out;
    out["name"] = info.name;
    out["model"] = info.model;
    out["format"] = info.format;
    out["layout"] = info.layout;
    out["synthetic"] = info.synthetic;
    out["sequences"] = directory.geometry.sequences;
    out["layers"] = runLengths(directory.geometry.layers, layerToJson);
    if (!info.rope.empty())
        out["rope"] = runLengths(info.rope, ropeToJson);
    if (!info.tokens.empty())
        out["tokens"] = textToJson(info);
    ordered_json& levels = out["levels"] = ordered_json::array();
    for (std::size_t i = 0; i < directory.levels.size(); ++i) {
        ordered_json level;
        level["name"] = directory.levels[i].name;
        level["plan"] = ordered_json::parse(toJson(directory.levels[i].plan), nullptr, false);
        ordered_json& list = level["pipelines"] = ordered_json::array();
        for (const Pipeline& pipeline : pipelines[i])
            list.push_back(toJson(pipeline));
        if (!directory.levels[i].errors.empty())
            level["errors"] = runLengths(directory.levels[i].errors, errorToJson);
        levels.push_back(std::move(level));
    }
    return compact(out);
}

std::int64_t textBytes(const CacheInfo& info) {
    return hasText(info) ? static_cast<std::int64_t>(compact(textToJson(info)).size()) : 0;
}

Result<void> descriptionFromJson(std::string_view text, const std::string& where, KvzDirectory& directory,
                                 std::vector<std::vector<Pipeline>>& pipelines) {
    KVSCOPE_ASSIGN(const json value, jsonFromText(text, where));
    return Reader(where).read(value, directory, pipelines);
}

} // namespace kvscope
