// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/pickle_text.h"

#include <charconv>
#include <cstdint>

namespace kvscope {

namespace {

void appendUtf8(std::string& text, std::uint32_t code) {
    if (code < 0x80) {
        text.push_back(static_cast<char>(code));
    } else if (code < 0x800) {
        text.push_back(static_cast<char>(0xC0U | (code >> 6)));
        text.push_back(static_cast<char>(0x80U | (code & 0x3FU)));
    } else if (code < 0x10000) {
        text.push_back(static_cast<char>(0xE0U | (code >> 12)));
        text.push_back(static_cast<char>(0x80U | ((code >> 6) & 0x3FU)));
        text.push_back(static_cast<char>(0x80U | (code & 0x3FU)));
    } else {
        text.push_back(static_cast<char>(0xF0U | ((code >> 18) & 7U)));
        text.push_back(static_cast<char>(0x80U | ((code >> 12) & 0x3FU)));
        text.push_back(static_cast<char>(0x80U | ((code >> 6) & 0x3FU)));
        text.push_back(static_cast<char>(0x80U | (code & 0x3FU)));
    }
}

std::uint32_t hexNumber(std::string_view digits) {
    std::uint32_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    return value;
}

} // namespace

std::string unescapePickled(std::string_view raw, bool unicode) {
    std::string text;
    for (std::size_t i = 0; i < raw.size(); ++i) {
        const auto next = i + 1 < raw.size() ? raw[i + 1] : '\0';
        if (raw[i] != '\\' || next == '\0') {
            if (unicode)
                appendUtf8(text, static_cast<std::uint8_t>(raw[i]));
            else
                text.push_back(raw[i]);
        } else if (unicode && (next == 'u' || next == 'U')) {
            const std::size_t digits = next == 'u' ? 4 : 8;
            appendUtf8(text, hexNumber(raw.substr(i + 2, digits)));
            i += 1 + digits;
        } else if (unicode) {
            text.push_back('\\');
        } else if (next == 'x') {
            text.push_back(static_cast<char>(hexNumber(raw.substr(i + 2, 2))));
            i += 3;
        } else {
            text.push_back(next == 'n' ? '\n' : next == 't' ? '\t' : next == 'r' ? '\r' : next);
            ++i;
        }
    }
    return text;
}

std::string latin1FromUtf8(std::string_view utf8) {
    std::string bytes;
    bytes.reserve(utf8.size());
    for (std::size_t i = 0; i < utf8.size(); ++i) {
        const auto lead = static_cast<std::uint8_t>(utf8[i]);
        if ((lead & 0xFCU) == 0xC0U && i + 1 < utf8.size()) {
            bytes.push_back(static_cast<char>(((lead & 3U) << 6) | (static_cast<std::uint8_t>(utf8[i + 1]) & 0x3FU)));
            ++i;
        } else {
            bytes.push_back(utf8[i]);
        }
    }
    return bytes;
}

} // namespace kvscope
