// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/axes.h"
#include "core/io/json_text.h"
#include "core/io/raw_dump.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace kvscope {

namespace {

using nlohmann::json;

constexpr std::int64_t kSidecarLimit = std::int64_t{16} << 20;
constexpr const char* kAdvice = "Correct the field; core/io/RAW_SIDECAR.md describes all of them";

tl::unexpected<Error> badField(const std::string& where, const std::string& field, const std::string& expected) {
    return fail("field \"" + field + "\" is not " + expected, where, kAdvice);
}

/// Reads an integer field of at least `least` where it is present.
Result<std::optional<std::int64_t>> count(const json& object, const char* key, std::int64_t least,
                                          const std::string& where, const std::string& prefix = {}) {
    if (!object.contains(key))
        return std::optional<std::int64_t>();
    const auto value = integerOf(object, key);
    if (!value || *value < least)
        return badField(where, prefix + key, "a whole number of at least " + std::to_string(least));
    return value;
}

Result<RopeSettings> readRopeField(const json& rope, const std::string& where, const std::string& field) {
    if (!rope.is_object())
        return badField(where, field, R"(an object like {"theta": 10000, "pairing": "half"})");
    RopeSettings settings;
    const auto theta = numberOf(rope, "theta");
    if (!theta || !(*theta > 0))
        return badField(where, field + ".theta", "a positive number");
    settings.theta = *theta;
    const std::string pairing = textOf(rope, "pairing").value_or("half");
    if (pairing != "half" && pairing != "interleaved")
        return badField(where, field + ".pairing", R"("half" or "interleaved")");
    settings.pairing = pairing == "half" ? Rope::Pairing::HalfSplit : Rope::Pairing::Interleaved;
    KVSCOPE_ASSIGN(settings.rotaryDim, count(rope, "rotary_dim", 2, where, field + "."));
    return settings;
}

Result<void> readOverrides(const json& list, const std::string& where, RawDescription& description) {
    if (!list.is_array())
        return badField(where, "layer_overrides", "a list of objects");
    for (std::size_t i = 0; i < list.size(); ++i) {
        const std::string prefix = "layer_overrides[" + std::to_string(i) + "].";
        const json& entry = list[i];
        if (!entry.is_object())
            return badField(where, "layer_overrides[" + std::to_string(i) + "]", "an object");
        KVSCOPE_ASSIGN(const auto layer, count(entry, "layer", 0, where, prefix));
        if (!layer)
            return fail("field \"" + prefix + "layer\" is missing", where, kAdvice);
        RawLayer own;
        KVSCOPE_ASSIGN(own.heads, count(entry, "heads", 1, where, prefix));
        KVSCOPE_ASSIGN(own.headDim, count(entry, "head_dim", 1, where, prefix));
        KVSCOPE_ASSIGN(own.tokens, count(entry, "tokens", 0, where, prefix));
        KVSCOPE_ASSIGN(own.offset, count(entry, "offset", 0, where, prefix));
        KVSCOPE_ASSIGN(own.firstPosition, count(entry, "first_position", 0, where, prefix));
        if (entry.contains("rope")) {
            std::optional<RopeSettings> rope;
            if (!entry["rope"].is_null()) {
                KVSCOPE_ASSIGN(rope, readRopeField(entry["rope"], where, prefix + "rope"));
            }
            description.config.layerRopes[*layer] = rope;
        }
        if (!description.layerOverrides.emplace(*layer, own).second)
            return fail("field \"" + prefix + "layer\" names layer " + std::to_string(*layer) + " a second time", where,
                        kAdvice);
        for (const auto& [key, value] : entry.items()) {
            static constexpr std::array kKnown = std::to_array<std::string_view>(
                {"layer", "heads", "head_dim", "tokens", "offset", "first_position", "rope"});
            if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end())
                description.unknownFields.push_back(prefix + key);
        }
    }
    return {};
}

Result<void> readTexts(const json& whole, const std::string& where, RawDescription& description) {
    if (whole.contains("dtype")) {
        const auto name = textOf(whole, "dtype");
        description.dtype = name ? dtypeFromName(*name) : std::nullopt;
        if (!description.dtype)
            return badField(where, "dtype", "one of f64, f32, f16, bf16, f8_e4m3, f8_e5m2, i8, u8");
    }
    if (whole.contains("byte_order")) {
        const auto order = textOf(whole, "byte_order");
        if (!order || (*order != "little" && *order != "big"))
            return badField(where, "byte_order", R"("little" or "big")");
        description.bigEndian = *order == "big";
    }
    if (whole.contains("axes")) {
        description.axes = textOf(whole, "axes");
        if (!description.axes)
            return badField(where, "axes", "a text like \"LXHTD\"");
        if (const auto letters = checkAxisLetters(*description.axes); !letters)
            return fail("field \"axes\": " + letters.error().what, where, letters.error().advice);
    }
    if (whole.contains("tokens_file")) {
        const auto name = textOf(whole, "tokens_file");
        if (!name || name->empty() || name->find('/') != std::string::npos || *name == "..")
            return badField(where, "tokens_file", "the name of a file in the same folder");
        description.tokensFile = *name;
    }
    if (whole.contains("model")) {
        const auto model = textOf(whole, "model");
        if (!model)
            return badField(where, "model", "a text");
        description.config.model = *model;
    }
    if (whole.contains("synthetic")) {
        if (!whole["synthetic"].is_boolean())
            return badField(where, "synthetic", "true or false");
        description.config.synthetic = whole["synthetic"].get<bool>();
    }
    return {};
}

} // namespace

std::filesystem::path rawSidecarPath(const std::filesystem::path& dump) {
    auto path = dump;
    path += ".json";
    return path;
}

Result<RawDescription> readRawSidecar(const ByteSource& file) {
    const std::string& where = file.name();
    KVSCOPE_ASSIGN(const json whole, readJson(file, kSidecarLimit));
    if (!whole.is_object())
        return fail("is not a JSON object", where, kAdvice);
    RawDescription description;
    description.source = where;
    description.config.source = where;
    KVSCOPE_TRY(readTexts(whole, where, description));
    KVSCOPE_ASSIGN(description.batch, count(whole, "batch", 1, where));
    KVSCOPE_ASSIGN(description.layers, count(whole, "layers", 1, where));
    KVSCOPE_ASSIGN(description.heads, count(whole, "heads", 1, where));
    KVSCOPE_ASSIGN(description.headDim, count(whole, "head_dim", 1, where));
    KVSCOPE_ASSIGN(description.channels, count(whole, "channels", 1, where));
    KVSCOPE_ASSIGN(description.tokens, count(whole, "tokens", 1, where));
    KVSCOPE_ASSIGN(description.offset, count(whole, "offset", 0, where));
    KVSCOPE_ASSIGN(description.firstPosition, count(whole, "first_position", 0, where));
    if (const json* rope = memberOf(whole, "rope"); rope != nullptr) {
        KVSCOPE_ASSIGN(description.config.rope, readRopeField(*rope, where, "rope"));
    } else if (whole.contains("rope")) {
        description.config.rotatesNothing = true;
    }
    if (const json* overrides = memberOf(whole, "layer_overrides"); overrides != nullptr)
        KVSCOPE_TRY(readOverrides(*overrides, where, description));
    static constexpr std::array kKnown = std::to_array<std::string_view>(
        {"dtype", "byte_order", "axes", "batch", "layers", "heads", "head_dim", "channels", "tokens", "offset",
         "first_position", "rope", "tokens_file", "model", "synthetic", "layer_overrides"});
    for (const auto& [key, value] : whole.items()) {
        if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end())
            description.unknownFields.push_back(key);
    }
    return description;
}

} // namespace kvscope
