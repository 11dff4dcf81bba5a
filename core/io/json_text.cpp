// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/json_text.h"

#include <cmath>
#include <exception>

namespace kvscope {

namespace {

/// nlohmann's parser does not recurse, but what walks the result may: no file of ours is nested deeper.
constexpr int kDepthLimit = 64;

} // namespace

Result<nlohmann::json> parseJson(std::string_view text, const std::string& where) {
    bool tooDeep = false;
    const auto watchDepth = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
        tooDeep = tooDeep || depth > kDepthLimit;
        return !tooDeep;
    };
    try {
        auto parsed = nlohmann::json::parse(text, watchDepth);
        if (tooDeep)
            return fail("is nested deeper than " + std::to_string(kDepthLimit) + " levels", where,
                        "The file is damaged or forged");
        return parsed;
    } catch (const nlohmann::json::parse_error& error) {
        return fail("is not valid JSON: unexpected text at byte " + std::to_string(error.byte), where,
                    "Correct it there, or remove the file if it does not belong to the dump");
    } catch (const std::exception&) {
        return fail("cannot be parsed: too large or damaged", where, "Check the file");
    }
}

Result<nlohmann::json> readJson(const ByteSource& file, std::int64_t limit) {
    if (file.size() > limit)
        return fail("has " + std::to_string(file.size()) + " bytes, more than such a file ever needs", file.name(),
                    "Check that it is the right file");
    KVSCOPE_ASSIGN(const auto bytes, file.read(0, file.size()));
    return parseJson(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()), file.name());
}

const nlohmann::json* memberOf(const nlohmann::json& object, const char* key) {
    if (!object.is_object())
        return nullptr;
    const auto found = object.find(key);
    return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::int64_t> integerOf(const nlohmann::json& object, const char* key) {
    const auto* member = memberOf(object, key);
    if (member == nullptr || !member->is_number_integer())
        return std::nullopt;
    if (member->is_number_unsigned() && member->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX))
        return std::nullopt;
    return member->get<std::int64_t>();
}

std::optional<double> numberOf(const nlohmann::json& object, const char* key) {
    const auto* member = memberOf(object, key);
    if (member == nullptr || !member->is_number())
        return std::nullopt;
    const double value = member->get<double>();
    return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::optional<std::string> textOf(const nlohmann::json& object, const char* key) {
    const auto* member = memberOf(object, key);
    if (member == nullptr || !member->is_string())
        return std::nullopt;
    return member->get<std::string>();
}

} // namespace kvscope
