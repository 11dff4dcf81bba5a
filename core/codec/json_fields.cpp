// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/json_fields.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace kvscope {

using nlohmann::json;

namespace {

/// Deepest nesting that our files have any use for.
constexpr int kMaxDepth = 32;

bool isShallow(std::string_view text) {
    int depth = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted && c == '\\')
            ++i;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            ++depth;
        else if (!quoted && (c == '}' || c == ']'))
            --depth;
        if (depth > kMaxDepth)
            return false;
    }
    return true;
}

} // namespace

JsonFields::JsonFields(const json& json, std::string path, std::string source)
    : json_(&json)
    , path_(std::move(path))
    , source_(std::move(source)) {}

Result<JsonFields> JsonFields::of(const json& json, std::string path, std::string source) {
    if (!json.is_object())
        return fail((path.empty() ? std::string("the text") : path) + " is not an object", std::move(source),
                    "Write {...} there");
    return JsonFields(json, std::move(path), std::move(source));
}

const json* JsonFields::find(const char* key) {
    known_.emplace_back(key);
    const auto found = json_->find(key);
    return found == json_->end() ? nullptr : &*found;
}

std::string JsonFields::pathOf(const char* key) const {
    return path_.empty() ? key : path_ + "." + key;
}

tl::unexpected<Error> JsonFields::bad(const char* key, const std::string& expected) const {
    return fail(pathOf(key) + " is not " + expected, source_, "Correct the field");
}

Result<void> JsonFields::read(const char* key, std::int64_t& value) {
    const json* field = find(key);
    if (field == nullptr)
        return {};
    if (field->is_number_unsigned() && field->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX))
        return bad(key, "a whole number below 2^63");
    if (!field->is_number_integer())
        return bad(key, "a whole number");
    value = field->get<std::int64_t>();
    return {};
}

Result<void> JsonFields::read(const char* key, int& value) {
    std::int64_t wide = value;
    KVSCOPE_TRY(read(key, wide));
    if (wide < std::numeric_limits<int>::min() || wide > std::numeric_limits<int>::max())
        return bad(key, "a number of this size");
    value = static_cast<int>(wide);
    return {};
}

Result<void> JsonFields::read(const char* key, double& value) {
    const json* field = find(key);
    if (field == nullptr)
        return {};
    if (!field->is_number() || !std::isfinite(field->get<double>()))
        return bad(key, "a finite number");
    value = field->get<double>();
    return {};
}

Result<void> JsonFields::read(const char* key, bool& value) {
    const json* field = find(key);
    if (field == nullptr)
        return {};
    if (!field->is_boolean())
        return bad(key, "true or false");
    value = field->get<bool>();
    return {};
}

Result<void> JsonFields::read(const char* key, std::string& value) {
    const json* field = find(key);
    if (field == nullptr)
        return {};
    if (!field->is_string())
        return bad(key, "text");
    value = field->get<std::string>();
    return {};
}

Result<void> JsonFields::readName(const char* key, std::span<const std::string_view> names, std::size_t& index) {
    const json* field = find(key);
    if (field == nullptr)
        return {};
    std::string list;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (field->is_string() && field->get_ref<const std::string&>() == names[i]) {
            index = i;
            return {};
        }
        list += (i == 0 ? "" : ", ") + std::string(names[i]);
    }
    return bad(key, "one of " + list);
}

Result<void> JsonFields::finish() const {
    for (const auto& [key, value] : json_->items()) {
        if (std::ranges::find(known_, std::string_view(key)) == known_.end())
            return fail((path_.empty() ? key : path_ + "." + key) + " is not a known field", source_,
                        "Remove it or correct its name");
    }
    return {};
}

Result<json> jsonFromText(std::string_view text, const std::string& source) {
    if (!isShallow(text))
        return fail("is nested too deeply to be a plan", source, "Check that this is the right file");
    try {
        return json::parse(text);
    } catch (const json::parse_error& problem) {
        return fail("is not JSON: unexpected text at byte " + std::to_string(problem.byte), source,
                    "Correct the text there");
    } catch (const std::exception&) {
        return fail("is not JSON that can be read", source, "Check that this is the right file");
    }
}

} // namespace kvscope
