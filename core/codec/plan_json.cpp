// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/json_fields.h"
#include "core/codec/pipeline_json.h"
#include "core/codec/plan.h"

#include <array>

namespace kvscope {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view kFormat = "kvscope-plan";
constexpr int kVersion = 1;
constexpr std::size_t kMaxName = 200;
constexpr std::array kKinds{PlaneKind::Key, PlaneKind::Value, PlaneKind::Latent};

template <class Axis> ordered_json rangeToJson(Range<Axis> range) {
    ordered_json out = ordered_json::array({range.begin.value});
    out.push_back(range.end.value == kOpenEnd ? ordered_json() : ordered_json(range.end.value));
    return out;
}

template <class Axis>
Result<void> readRange(JsonFields& fields, const char* key, Range<Axis>& range, const std::string& expected) {
    const json* value = fields.find(key);
    if (value == nullptr)
        return {};
    const auto isCount = [](const json& bound) {
        return bound.is_number_unsigned() && bound.get<std::uint64_t>() < static_cast<std::uint64_t>(kOpenEnd);
    };
    if (!value->is_array() || value->size() != 2 || !isCount((*value)[0]) ||
        !(isCount((*value)[1]) || (*value)[1].is_null()))
        return fields.bad(key, expected);
    range.begin = Index<Axis>((*value)[0].get<std::int64_t>());
    range.end = Index<Axis>((*value)[1].is_null() ? kOpenEnd : (*value)[1].get<std::int64_t>());
    return {};
}

Result<void> readKinds(JsonFields& fields, KindSet& kinds) {
    const json* value = fields.find("kinds");
    if (value == nullptr)
        return {};
    const std::string expected = "a list of \"K\", \"V\" and \"latent\"";
    if (!value->is_array())
        return fields.bad("kinds", expected);
    kinds = {};
    for (const json& name : *value) {
        const auto* kind = std::ranges::find_if(kKinds, [&](PlaneKind candidate) { return name == nameOf(candidate); });
        if (kind == kKinds.end() || kinds.contains(*kind))
            return fields.bad("kinds", expected);
        kinds.insert(*kind);
    }
    return {};
}

Result<PlanRule> readRule(const json& value, const std::string& path, const std::string& source) {
    KVSCOPE_ASSIGN(auto fields, JsonFields::of(value, path, source));
    PlanRule rule;
    KVSCOPE_TRY(readRange(fields, "layers", rule.layers, "[first layer, end layer or null]"));
    KVSCOPE_TRY(readKinds(fields, rule.kinds));
    KVSCOPE_TRY(readRange(fields, "tokens", rule.tokens, "[first token, end token or null]"));
    const json* pipeline = fields.find("pipeline");
    if (pipeline == nullptr)
        return fail(fields.pathOf("pipeline") + " is missing", source, "Say how the rule's planes are encoded");
    KVSCOPE_ASSIGN(rule.pipeline, pipelineFromJson(*pipeline, fields.pathOf("pipeline"), source));
    KVSCOPE_TRY(fields.finish());
    return rule;
}

Result<void> checkHeader(JsonFields& fields, const std::string& source) {
    std::string format;
    int version = 0;
    KVSCOPE_TRY(fields.read("format", format));
    KVSCOPE_TRY(fields.read("version", version));
    if (format != kFormat)
        return fail("format is not \"" + std::string(kFormat) + "\"", source, "Choose a file that holds a codec plan");
    if (version != kVersion)
        return fail("version is " + std::to_string(version) + "; this program reads version " +
                        std::to_string(kVersion),
                    source, "Use a newer version of the program");
    return {};
}

/// What is wrong with one rule's ranges, as (field, problem).
Result<void> checkRule(const PlanRule& rule, std::int64_t chunkTokens, const std::string& path) {
    if (rule.layers.begin.value < 0 || rule.layers.empty())
        return fail("holds no layer", path + ".layers", "Write [first, end] with first < end");
    if (rule.kinds.empty())
        return fail("names no kind", path + ".kinds", "Write at least one of \"K\", \"V\", \"latent\"");
    for (const PlaneKind kind : {PlaneKind::Query, PlaneKind::KeyBeforeRope}) {
        if (rule.kinds.contains(kind))
            return fail("names a recording, which is not encoded", path + ".kinds", "Leave it out");
    }
    if (rule.tokens.begin.value < 0 || rule.tokens.empty())
        return fail("holds no token", path + ".tokens", "Write [first, end] with first < end");
    const auto onGrid = [&](std::int64_t token) { return token == kOpenEnd || token % chunkTokens == 0; };
    if (!onGrid(rule.tokens.begin.value) || !onGrid(rule.tokens.end.value))
        return fail("begins or ends within a chunk", path + ".tokens",
                    "Use multiples of " + std::to_string(chunkTokens));
    return {};
}

Result<void> checkPipeline(const Pipeline& pipeline, const std::string& path) {
    auto valid = validate(pipeline);
    if (!valid)
        valid.error().where = path + "." + valid.error().where;
    return valid;
}

} // namespace

Result<void> validate(const CodecPlan& plan) {
    if (plan.chunkTokens < 1 || plan.chunkTokens > kMaxChunkTokens)
        return fail("is " + std::to_string(plan.chunkTokens) + ", outside 1.." + std::to_string(kMaxChunkTokens),
                    "chunk_tokens", "Use 256 unless there is a reason for another size");
    if (plan.name.size() > kMaxName)
        return fail("is longer than " + std::to_string(kMaxName) + " bytes", "name", "Choose a shorter name");
    if (plan.rules.size() > kMaxPlanRules)
        return fail("has more than " + std::to_string(kMaxPlanRules) + " entries", "rules", "Use wider rules");
    KVSCOPE_TRY(checkPipeline(plan.fallback, "default"));
    for (std::size_t i = 0; i < plan.rules.size(); ++i) {
        const std::string path = "rules[" + std::to_string(i) + "]";
        KVSCOPE_TRY(checkRule(plan.rules[i], plan.chunkTokens, path));
        KVSCOPE_TRY(checkPipeline(plan.rules[i].pipeline, path + ".pipeline"));
    }
    return {};
}

std::string toJson(const CodecPlan& plan) {
    ordered_json out;
    out["format"] = kFormat;
    out["version"] = kVersion;
    out["name"] = plan.name;
    out["chunk_tokens"] = plan.chunkTokens;
    out["default"] = toJson(plan.fallback);
    ordered_json& rules = out["rules"] = ordered_json::array();
    for (const PlanRule& rule : plan.rules) {
        ordered_json entry;
        entry["layers"] = rangeToJson(rule.layers);
        ordered_json& kinds = entry["kinds"] = ordered_json::array();
        for (const PlaneKind kind : kKinds) {
            if (rule.kinds.contains(kind))
                kinds.push_back(nameOf(kind));
        }
        entry["tokens"] = rangeToJson(rule.tokens);
        entry["pipeline"] = toJson(rule.pipeline);
        rules.push_back(std::move(entry));
    }
    return out.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Result<CodecPlan> planFromJson(std::string_view text, const std::string& source) {
    KVSCOPE_ASSIGN(const json value, jsonFromText(text, source));
    KVSCOPE_ASSIGN(auto fields, JsonFields::of(value, {}, source));
    KVSCOPE_TRY(checkHeader(fields, source));
    CodecPlan plan;
    KVSCOPE_TRY(fields.read("name", plan.name));
    KVSCOPE_TRY(fields.read("chunk_tokens", plan.chunkTokens));
    const json* fallback = fields.find("default");
    if (fallback == nullptr)
        return fail("default is missing", source, "Say how planes are encoded that no rule covers");
    KVSCOPE_ASSIGN(plan.fallback, pipelineFromJson(*fallback, "default", source));
    if (const json* rules = fields.find("rules"); rules != nullptr) {
        if (!rules->is_array() || rules->size() > kMaxPlanRules)
            return fields.bad("rules", "a list of at most " + std::to_string(kMaxPlanRules) + " rules");
        for (std::size_t i = 0; i < rules->size(); ++i) {
            KVSCOPE_ASSIGN(PlanRule rule, readRule((*rules)[i], "rules[" + std::to_string(i) + "]", source));
            plan.rules.push_back(std::move(rule));
        }
    }
    KVSCOPE_TRY(fields.finish());
    if (auto valid = validate(plan); !valid)
        return fail(valid.error().where + " " + valid.error().what, source, valid.error().advice);
    return plan;
}

} // namespace kvscope
