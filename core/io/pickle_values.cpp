// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/pickle_machine.h"
#include "core/io/pickle_text.h"

#include <array>
#include <bit>
#include <charconv>

namespace kvscope {

Result<void> PickleMachine::stepValue(std::uint8_t code) {
    switch (code) {
    case 'N':
        return pushId(none_);
    case 0x88:
        return pushId(true_);
    case 0x89:
        return pushId(false_);
    case 'F': { // FLOAT, decimal
        KVSCOPE_ASSIGN(const auto digits, input_.line(PickleLimits::kLine));
        double value = 0;
        const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        if (error == std::errc::invalid_argument)
            return damaged("has a float that is none");
        return push({.kind = PickleKind::Float, .real = value});
    }
    case 'G': { // BINFLOAT, big-endian
        KVSCOPE_ASSIGN(const auto bits, input_.number(8));
        return push({.kind = PickleKind::Float, .real = std::bit_cast<double>(__builtin_bswap64(bits))});
    }
    case 'I': { // INT, decimal; 00 and 01 are booleans
        KVSCOPE_ASSIGN(const auto digits, input_.line(PickleLimits::kLine));
        if (digits == "00" || digits == "01")
            return pushId(digits == "01" ? true_ : false_);
        return pushDecimal(digits);
    }
    case 'J': { // BININT
        KVSCOPE_ASSIGN(const auto value, input_.number(4));
        return pushInteger(static_cast<std::int32_t>(static_cast<std::uint32_t>(value)));
    }
    case 'K': { // BININT1
        KVSCOPE_ASSIGN(const auto value, input_.number(1));
        return pushInteger(static_cast<std::int64_t>(value));
    }
    case 'M': { // BININT2
        KVSCOPE_ASSIGN(const auto value, input_.number(2));
        return pushInteger(static_cast<std::int64_t>(value));
    }
    case 'L': { // LONG, decimal with a trailing L
        KVSCOPE_ASSIGN(auto digits, input_.line(PickleLimits::kLine));
        if (digits.ends_with('L'))
            digits.pop_back();
        return pushDecimal(digits);
    }
    case 0x8A: { // LONG1
        KVSCOPE_ASSIGN(const auto bytes, input_.number(1));
        return pushLong(bytes);
    }
    default: { // LONG4
        KVSCOPE_ASSIGN(const auto bytes, input_.number(4));
        return pushLong(bytes);
    }
    }
}

Result<void> PickleMachine::pushDecimal(std::string_view digits) {
    std::int64_t value = 0;
    const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error == std::errc::result_out_of_range)
        return push({.kind = PickleKind::BigInteger, .text = std::string(digits)});
    if (error != std::errc{} || rest != digits.data() + digits.size())
        return damaged("has an integer that is none");
    return pushInteger(value);
}

Result<void> PickleMachine::pushLong(std::uint64_t bytes) {
    if (bytes > 8) {
        KVSCOPE_ASSIGN(auto text, input_.text(bytes));
        return push({.kind = PickleKind::BigInteger, .text = std::move(text)});
    }
    KVSCOPE_ASSIGN(std::uint64_t value, input_.number(static_cast<int>(bytes)));
    if (bytes > 0 && bytes < 8 && ((value >> (8 * bytes - 1)) & 1U) != 0)
        value |= ~std::uint64_t{0} << (8 * bytes);
    return pushInteger(static_cast<std::int64_t>(value));
}

Result<void> PickleMachine::stepText(std::uint8_t code) {
    switch (code) {
    case 'S': { // STRING, a quoted literal
        KVSCOPE_ASSIGN(const auto line, input_.line(PickleLimits::kLine));
        const std::string_view literal = line;
        if (literal.size() < 2 || (literal.front() != '\'' && literal.front() != '"') ||
            literal.back() != literal.front())
            return damaged("has a string without quotes");
        return push(
            {.kind = PickleKind::String, .text = unescapePickled(literal.substr(1, literal.size() - 2), false)});
    }
    case 'V': { // UNICODE
        KVSCOPE_ASSIGN(const auto line, input_.line(PickleLimits::kLine));
        return push({.kind = PickleKind::String, .text = unescapePickled(line, true)});
    }
    case 'U':    // SHORT_BINSTRING
    case 0x8C: { // SHORT_BINUNICODE
        KVSCOPE_ASSIGN(const auto bytes, input_.number(1));
        return pushText(bytes);
    }
    case 'T':   // BINSTRING
    case 'X': { // BINUNICODE
        KVSCOPE_ASSIGN(const auto bytes, input_.number(4));
        return pushText(bytes);
    }
    case 0x8D: { // BINUNICODE8
        KVSCOPE_ASSIGN(const auto bytes, input_.number(8));
        return pushText(bytes);
    }
    case 'C': { // SHORT_BINBYTES
        KVSCOPE_ASSIGN(const auto bytes, input_.number(1));
        return pushBytes(bytes);
    }
    case 'B': { // BINBYTES
        KVSCOPE_ASSIGN(const auto bytes, input_.number(4));
        return pushBytes(bytes);
    }
    default: { // BINBYTES8, BYTEARRAY8
        KVSCOPE_ASSIGN(const auto bytes, input_.number(8));
        return pushBytes(bytes);
    }
    }
}

Result<void> PickleMachine::pushText(std::uint64_t bytes) {
    if (bytes > PickleLimits::kTextBytes)
        return damaged("has a text of " + std::to_string(bytes) + " bytes");
    KVSCOPE_ASSIGN(auto text, input_.text(bytes));
    return push({.kind = PickleKind::String, .text = std::move(text)});
}

Result<void> PickleMachine::pushBytes(std::uint64_t bytes) {
    const auto begin = input_.position();
    KVSCOPE_TRY(input_.skip(bytes));
    return push({.kind = PickleKind::Bytes, .integer = begin, .length = static_cast<std::int64_t>(bytes)});
}

Result<void> PickleMachine::stepContainer(std::uint8_t code) {
    switch (code) {
    case ']':
        return push({.kind = PickleKind::List});
    case '}':
        return push({.kind = PickleKind::Dict});
    case ')':
        return push({.kind = PickleKind::Tuple});
    case 0x8F:
        return push({.kind = PickleKind::Set});
    case 0x85:
    case 0x86:
    case 0x87:
        return pushTuple(code - 0x84U);
    case 't':    // TUPLE
    case 'l':    // LIST
    case 0x91: { // FROZENSET
        KVSCOPE_ASSIGN(auto items, popToMark());
        const auto kind = code == 't' ? PickleKind::Tuple : code == 'l' ? PickleKind::List : PickleKind::Set;
        return push({.kind = kind, .items = std::move(items)});
    }
    case 'd': { // DICT
        KVSCOPE_ASSIGN(const auto entries, popToMark());
        KVSCOPE_TRY(push({.kind = PickleKind::Dict}));
        return setEntries(stack_.back(), entries);
    }
    case 'a': { // APPEND
        KVSCOPE_ASSIGN(const auto item, pop());
        KVSCOPE_ASSIGN(const auto list, top());
        return extend(list, std::span(&item, 1));
    }
    case 's': { // SETITEM
        KVSCOPE_ASSIGN(const auto value, pop());
        KVSCOPE_ASSIGN(const auto key, pop());
        KVSCOPE_ASSIGN(const auto dict, top());
        const std::array entry{key, value};
        return setEntries(dict, entry);
    }
    case 'u': { // SETITEMS
        KVSCOPE_ASSIGN(const auto entries, popToMark());
        KVSCOPE_ASSIGN(const auto dict, top());
        return setEntries(dict, entries);
    }
    default: { // APPENDS, ADDITEMS
        KVSCOPE_ASSIGN(const auto items, popToMark());
        KVSCOPE_ASSIGN(const auto list, top());
        return extend(list, items);
    }
    }
}

Result<void> PickleMachine::pushTuple(std::size_t count) {
    if (stack_.size() < floor() + count)
        return damaged("makes a tuple from an empty stack");
    const auto begin = stack_.end() - static_cast<std::ptrdiff_t>(count);
    std::vector<PickleId> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    return push({.kind = PickleKind::Tuple, .items = std::move(items)});
}

Result<void> PickleMachine::extend(PickleId list, std::span<const PickleId> items) {
    auto& target = node(list);
    if (target.kind != PickleKind::List && target.kind != PickleKind::Set)
        return damaged("appends to something that is no list");
    target.items.insert(target.items.end(), items.begin(), items.end());
    return {};
}

Result<void> PickleMachine::setEntries(PickleId dict, std::span<const PickleId> entries) {
    auto& target = node(dict);
    if (target.kind != PickleKind::Dict && target.kind != PickleKind::Record)
        return damaged("sets an entry of something that is no dictionary");
    if (entries.size() % 2 != 0)
        return damaged("sets a key without a value");
    target.entries.insert(target.entries.end(), entries.begin(), entries.end());
    return {};
}

} // namespace kvscope
