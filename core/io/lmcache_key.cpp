// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/lmcache_key.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <sha256.h>

namespace kvscope {

namespace {

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    while (true) {
        const auto at = text.find(separator);
        parts.emplace_back(text.substr(0, at));
        if (at == std::string_view::npos)
            return parts;
        text.remove_prefix(at + 1);
    }
}

std::optional<std::int64_t> number(const std::string& text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() && value >= 0 ? std::optional(value) : std::nullopt;
}

bool isHash(std::string_view text) {
    if (text.starts_with('-'))
        text.remove_prefix(1);
    return !text.empty() && text.size() <= 128 &&
           std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isxdigit(c) != 0; });
}

std::string_view withoutEnding(std::string_view name) {
    for (const std::string_view ending : {".data", ".pt", ".safetensors"}) {
        if (name.ends_with(ending))
            return name.substr(0, name.size() - ending.size());
    }
    return name;
}

/// File names cannot hold the slash of "vendor/model".
std::string modelName(std::string text) {
    constexpr std::string_view kSlash = "-SEP-";
    for (auto at = text.find(kSlash); at != std::string::npos; at = text.find(kSlash))
        text.replace(at, kSlash.size(), "/");
    return text;
}

/// How CPython hashes a tuple of hashes (xxHash's 64-bit lanes; Objects/tupleobject.c since 3.8).
std::int64_t tupleHash(std::span<const std::int64_t> items) {
    constexpr std::uint64_t kPrime1 = 11400714785074694791U;
    constexpr std::uint64_t kPrime2 = 14029467366897019727U;
    constexpr std::uint64_t kPrime5 = 2870177450012600261U;
    std::uint64_t sum = kPrime5;
    for (const std::int64_t item : items) {
        sum += static_cast<std::uint64_t>(item) * kPrime2;
        sum = std::rotl(sum, 31) * kPrime1;
    }
    sum += items.size() ^ (kPrime5 ^ 3527539U);
    return sum == ~std::uint64_t(0) ? 1546275796 : static_cast<std::int64_t>(sum);
}

/// How CPython hashes an integer: modulo 2^61 - 1, and never -1.
std::int64_t integerHash(std::int64_t value) {
    constexpr std::int64_t kModulus = (std::int64_t(1) << 61) - 1;
    const std::int64_t hash = value % kModulus;
    return hash == -1 ? -2 : hash;
}

std::string signedHex(std::int64_t value) {
    const auto magnitude = value < 0 ? ~static_cast<std::uint64_t>(value) + 1 : static_cast<std::uint64_t>(value);
    std::array<char, 17> digits{};
    const auto* end = std::to_chars(digits.data(), digits.data() + digits.size(), magnitude, 16).ptr;
    return (value < 0 ? "-" : "") + std::string(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

template <class Id> std::string sha256Of(const std::string& before, std::span<const std::int64_t> chunk) {
    std::vector<Id> ids(chunk.size());
    std::transform(chunk.begin(), chunk.end(), ids.begin(), [](std::int64_t id) { return static_cast<Id>(id); });
    SHA2_CTX context;
    SHA256Init(&context);
    SHA256Update(&context, reinterpret_cast<const std::uint8_t*>(before.data()), before.size());
    SHA256Update(&context, reinterpret_cast<const std::uint8_t*>(ids.data()), ids.size() * sizeof(Id));
    std::array<char, SHA256_DIGEST_STRING_LENGTH> text{};
    SHA256End(&context, text.data());
    return text.data();
}

} // namespace

std::optional<LmcacheKey> parseLmcacheKey(std::string_view fileName) {
    const auto fields = split(withoutEnding(fileName), '@');
    // A format field ("vllm", "huggingface") came first until 0.3.
    for (std::size_t model = 0; model < 2 && model + 3 < fields.size(); ++model) {
        const auto worldSize = number(fields[model + 1]);
        const auto worker = number(fields[model + 2]);
        if (fields[model].empty() || !worldSize || !worker || !isHash(fields[model + 3]))
            continue;
        LmcacheKey key;
        key.model = modelName(fields[model]);
        key.worldSize = *worldSize;
        key.worker = *worker;
        key.hash = fields[model + 3];
        for (std::size_t i = model + 4; i < fields.size(); ++i) {
            if (const auto layer = number(fields[i]))
                key.layer = layer;
            else if (!key.dtype)
                key.dtype = dtypeFromName(fields[i]);
        }
        return key;
    }
    return std::nullopt;
}

std::vector<std::string> lmcacheChain(LmcacheHash hash, std::span<const std::int64_t> tokens,
                                      std::int64_t chunkTokens) {
    std::vector<std::string> hashes;
    std::string text;
    std::int64_t number = 0;
    const auto step = static_cast<std::size_t>(std::max<std::int64_t>(1, chunkTokens));
    for (std::size_t begin = 0; begin < tokens.size(); begin += step) {
        const auto chunk = tokens.subspan(begin, std::min(step, tokens.size() - begin));
        if (hash == LmcacheHash::Builtin) {
            std::vector<std::int64_t> items(chunk.size());
            std::transform(chunk.begin(), chunk.end(), items.begin(), integerHash);
            const std::array outer{integerHash(number), tupleHash(items), tupleHash({})};
            number = tupleHash(outer);
            hashes.push_back(signedHex(number));
            continue;
        }
        text = hash == LmcacheHash::Sha256Int64 ? sha256Of<std::int64_t>(text, chunk)
                                                : sha256Of<std::uint32_t>(text, chunk);
        hashes.push_back(text);
    }
    return hashes;
}

} // namespace kvscope
