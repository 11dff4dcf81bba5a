// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/base/result.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvscope {

/// Parses JSON; the error says what was expected and at which byte. `where` names the text in messages.
Result<nlohmann::json> parseJson(std::string_view text, const std::string& where);

/// Reads and parses a JSON file of at most `limit` bytes.
Result<nlohmann::json> readJson(const ByteSource& file, std::int64_t limit);

/// The member as an integer, or nothing when it is absent or no integer inside int64.
std::optional<std::int64_t> integerOf(const nlohmann::json& object, const char* key);
/// The member as a finite number, or nothing.
std::optional<double> numberOf(const nlohmann::json& object, const char* key);
/// The member as text, or nothing.
std::optional<std::string> textOf(const nlohmann::json& object, const char* key);
/// The member, or null when it is absent (or `object` is no object).
const nlohmann::json* memberOf(const nlohmann::json& object, const char* key);

} // namespace kvscope
