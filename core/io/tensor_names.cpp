// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/tensor_names.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <initializer_list>

namespace kvscope {

namespace {

bool isDigit(char c) {
    return c >= '0' && c <= '9';
}

bool isNumber(const std::string& word) {
    return !word.empty() && isDigit(word.front());
}

bool oneOf(const std::string& word, std::initializer_list<std::string_view> words) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

/// Words that stand for one thing when they follow each other.
struct Phrase {
    std::vector<std::string_view> words;
    std::string_view meaning;
};

const std::vector<Phrase>& phrases() {
    static const std::vector<Phrase> kPhrases{
        {{"past", "key", "values"}, "kv"},
        {{"past", "key", "value"}, "kv"},
        {{"key", "values"}, "kv"},
        {{"key", "value"}, "kv"},
        {{"keys", "values"}, "kv"},
        {{"k", "v"}, "kv"},
        {{"compressed", "kv"}, "latent"},
        {{"latent", "kv"}, "latent"},
        {{"kv", "latent"}, "latent"},
        {{"kv", "c"}, "latent"},
        {{"c", "kv"}, "latent"},
        {{"kv", "lora"}, "latent"},
        {{"k", "pe"}, "kpe"},
        {{"key", "pe"}, "kpe"},
        {{"k", "rope"}, "kpe"},
        {{"key", "rope"}, "kpe"},
        {{"rope", "key"}, "kpe"},
        {{"rope", "k"}, "kpe"},
        {{"before", "rope"}, "pre"},
        {{"pre", "rope"}, "pre"},
        {{"no", "rope"}, "pre"},
        {{"zero", "point"}, "zero"},
        {{"zero", "points"}, "zero"},
        {{"token", "ids"}, "tokens"},
        {{"input", "ids"}, "tokens"},
        {{"position", "ids"}, "positions"},
        {{"cache", "position"}, "positions"},
        {{"attention", "mask"}, "mask"},
        {{"block", "table"}, "table"},
        {{"block", "tables"}, "table"},
        {{"slot", "mapping"}, "table"},
        {{"hidden", "states"}, "hidden"},
    };
    return kPhrases;
}

/// Drops names of types ("fp", "8"), so that their numbers are not taken for layers, and replaces phrases.
std::vector<std::string> simplified(const std::vector<std::string>& words) {
    std::vector<std::string> result;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const bool numberFollows = i + 1 < words.size() && isNumber(words[i + 1]);
        if (numberFollows && oneOf(words[i], {"fp", "bf", "f", "float", "int", "uint", "bfloat", "i", "u"}) &&
            oneOf(words[i + 1], {"4", "8", "16", "32", "64"})) {
            ++i;
            continue;
        }
        if (numberFollows && words[i] == "e" && i + 3 < words.size() && words[i + 2] == "m") {
            i += 3;
            continue;
        }
        const auto fits = [&](const Phrase& phrase) {
            if (phrase.words.size() > words.size() - i)
                return false;
            return std::equal(phrase.words.begin(), phrase.words.end(), words.begin() + static_cast<std::ptrdiff_t>(i));
        };
        const auto phrase = std::find_if(phrases().begin(), phrases().end(), fits);
        if (phrase == phrases().end()) {
            result.push_back(words[i]);
            continue;
        }
        result.emplace_back(phrase->meaning);
        i += phrase->words.size() - 1;
    }
    return result;
}

TensorRole roleOf(const std::string& word) {
    if (oneOf(word, {"k", "key", "keys", "kcache"}))
        return TensorRole::Key;
    if (oneOf(word, {"v", "value", "values", "val", "vals", "vcache"}))
        return TensorRole::Value;
    if (oneOf(word, {"kv", "kvs", "kvcache"}))
        return TensorRole::KeyValue;
    if (oneOf(word, {"latent", "latents", "ckv"}))
        return TensorRole::Latent;
    if (oneOf(word, {"kpe", "krope"}))
        return TensorRole::LatentRope;
    if (oneOf(word, {"q", "query", "queries"}))
        return TensorRole::Query;
    if (oneOf(word, {"kpre", "kprerope", "keypre"}))
        return TensorRole::KeyBeforeRope;
    if (oneOf(word, {"tokens", "ids", "token"}))
        return TensorRole::Tokens;
    if (oneOf(word, {"positions", "position", "pos"}))
        return TensorRole::Positions;
    if (oneOf(word, {"logits", "mask", "table", "hidden", "embeddings", "weight", "weights", "conv", "ssm", "recurrent",
                     "attentions", "loss"}))
        return TensorRole::Other;
    return TensorRole::Unknown;
}

/// The layer is the number behind a word for layers; else the only number; else the one behind a role word.
/// Returns its place among the numbers.
std::optional<std::size_t> layerPlaceOf(const std::vector<std::string>& words, std::size_t numberCount) {
    std::size_t seen = 0;
    std::optional<std::size_t> afterRole;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (!isNumber(words[i]))
            continue;
        const std::size_t number = seen++;
        if (i == 0)
            continue;
        if (oneOf(words[i - 1], {"layer", "layers", "l", "h", "blk", "block", "blocks"}))
            return number;
        if (!afterRole && oneOf(words[i - 1], {"k", "v", "key", "keys", "value", "values", "cache", "kv", "present"}))
            afterRole = number;
    }
    if (numberCount == 1)
        return 0;
    return afterRole;
}

} // namespace

std::vector<std::string> wordsOf(std::string_view name) {
    std::vector<std::string> words;
    std::string word;
    const auto finish = [&] {
        if (!word.empty())
            words.push_back(std::move(word));
        word.clear();
    };
    char before = 0;
    for (const char c : name) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isalnum(byte) == 0) {
            finish();
        } else {
            const bool camel = std::isupper(byte) != 0 && std::islower(static_cast<unsigned char>(before)) != 0;
            if (!word.empty() && (isDigit(c) != isDigit(before) || camel))
                finish();
            word.push_back(static_cast<char>(std::tolower(byte)));
        }
        before = c;
    }
    finish();
    return words;
}

TensorName parseTensorName(std::string_view name) {
    TensorName result;
    std::vector<std::string> words = simplified(wordsOf(name));
    bool pre = false;
    for (std::string& word : words) {
        if (isNumber(word)) {
            std::int64_t number = 0;
            const auto parsed = std::from_chars(word.data(), word.data() + word.size(), number);
            // A number too large for a layer is a hash or a date: it names nothing.
            if (parsed.ec != std::errc() || number > (std::int64_t{1} << 20))
                word = "number";
            else
                result.numbers.push_back(number);
            continue;
        }
        result.scale = result.scale || oneOf(word, {"scale", "scales", "scaling"});
        result.zeroPoint = result.zeroPoint || oneOf(word, {"zero", "zeros", "zp", "zeropoint"});
        result.cross = result.cross || oneOf(word, {"encoder", "cross", "crossattention"});
        pre = pre || oneOf(word, {"pre", "prerope", "unrotated", "norope"});
        const TensorRole role = roleOf(word);
        // The last word that says something wins ("kv_cache.3.key"), but "kv" adds nothing to a more exact one.
        if (role == TensorRole::Unknown || (role == TensorRole::KeyValue && result.role != TensorRole::Unknown))
            continue;
        result.role = role;
    }
    if (pre && result.role == TensorRole::Key)
        result.role = TensorRole::KeyBeforeRope;
    if (const auto place = layerPlaceOf(words, result.numbers.size()); place && *place < result.numbers.size()) {
        result.layer = result.numbers[*place];
        result.layerIsLast = *place + 1 == result.numbers.size();
    }
    return result;
}

bool naturalLess(std::string_view a, std::string_view b) {
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < a.size() && j < b.size()) {
        if (!isDigit(a[i]) || !isDigit(b[j])) {
            if (a[i] != b[j])
                return a[i] < b[j];
            ++i;
            ++j;
            continue;
        }
        const auto endOf = [](std::string_view text, std::size_t from) {
            while (from < text.size() && isDigit(text[from]))
                ++from;
            return from;
        };
        const auto trimmed = [](std::string_view digits) {
            const auto first = digits.find_first_not_of('0');
            return first == std::string_view::npos ? std::string_view() : digits.substr(first);
        };
        const std::size_t endA = endOf(a, i);
        const std::size_t endB = endOf(b, j);
        const auto numberA = trimmed(a.substr(i, endA - i));
        const auto numberB = trimmed(b.substr(j, endB - j));
        if (numberA.size() != numberB.size())
            return numberA.size() < numberB.size();
        if (numberA != numberB)
            return numberA < numberB;
        i = endA;
        j = endB;
    }
    return a.size() - i < b.size() - j;
}

} // namespace kvscope
