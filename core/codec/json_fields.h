// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace kvscope {

/// Strict reading of one JSON object: every field is checked, and one that nobody asked for is refused.
class JsonFields {
public:
    /// `path` is where the object stands ("rules[2].pipeline", empty at the top); `source` names the text.
    static Result<JsonFields> of(const nlohmann::json& json, std::string path, std::string source);

    /// The member, or null when it is absent.
    const nlohmann::json* find(const char* key);
    [[nodiscard]] std::string pathOf(const char* key) const;
    /// The readers leave `value` as it is when the field is absent.
    Result<void> read(const char* key, int& value);
    Result<void> read(const char* key, std::int64_t& value);
    Result<void> read(const char* key, double& value);
    Result<void> read(const char* key, bool& value);
    Result<void> read(const char* key, std::string& value);
    /// One of a list of names; gives its index.
    Result<void> readName(const char* key, std::span<const std::string_view> names, std::size_t& index);
    /// Refuses a field that was not asked for.
    [[nodiscard]] Result<void> finish() const;

    [[nodiscard]] tl::unexpected<Error> bad(const char* key, const std::string& expected) const;

private:
    JsonFields(const nlohmann::json& json, std::string path, std::string source);

    const nlohmann::json* json_;
    std::string path_;
    std::string source_;
    std::vector<std::string_view> known_;
};

/// Text to JSON; the error says at which byte it goes wrong.
Result<nlohmann::json> jsonFromText(std::string_view text, const std::string& source);

} // namespace kvscope
