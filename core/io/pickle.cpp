// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/pickle.h"

#include "core/io/sequential_reader.h"

#include <array>
#include <bit>
#include <charconv>
#include <new>
#include <span>
#include <unordered_map>

namespace kvscope {

namespace {

constexpr std::size_t kMaxNodes = 2'000'000;
constexpr std::int64_t kMaxOperations = 16'000'000;
constexpr std::size_t kMaxCopiedItems = 16'000'000;
constexpr std::uint64_t kMaxTextBytes = 256ULL * 1024 * 1024;
constexpr std::int64_t kMaxLine = 16LL * 1024 * 1024;
constexpr std::string_view kDamaged = "The file is damaged or no pickle";
constexpr std::string_view kAdviceNoExecution =
    "KVScope never executes code from a file: do not load this one in Python unless you trust its origin, and save "
    "the keys and values alone (as .safetensors, or torch.save of plain tensors, tuples, lists and dicts) to view them";

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

/// Undoes the escapes of protocol 0: \uXXXX and \UXXXXXXXX of unicode strings (the rest is Latin-1), or those of a
/// Python 2 string literal.
std::string unescape(std::string_view raw, bool unicode) {
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

/// UTF-8 back to the bytes it stands for in Latin-1 (how protocol 2 writes bytes).
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

class PickleMachine {
public:
    PickleMachine(const ByteSource& source, std::int64_t offset)
        : input_(source, offset) {}

    Result<PickleTree> run() {
        none_ = add(PickleNode{});
        false_ = add({.kind = PickleKind::Bool});
        true_ = add({.kind = PickleKind::Bool, .integer = 1});
        for (std::int64_t operations = 0; operations < kMaxOperations; ++operations) {
            at_ = input_.position();
            KVSCOPE_ASSIGN(const auto code, input_.byte());
            if (code == '.') {
                KVSCOPE_ASSIGN(tree_.root, pop());
                tree_.end = input_.position();
                return std::move(tree_);
            }
            KVSCOPE_TRY(step(code));
            if (tree_.nodes.size() > kMaxNodes)
                return tooLarge("holds more than " + std::to_string(kMaxNodes) + " Python objects");
            if (textBytes_ > kMaxTextBytes)
                return tooLarge("holds more than " + std::to_string(kMaxTextBytes >> 20) + " MiB of text");
        }
        return tooLarge("has more than " + std::to_string(kMaxOperations) + " operations");
    }

private:
    [[nodiscard]] std::string here() const { return " at byte " + std::to_string(at_); }
    [[nodiscard]] tl::unexpected<Error> damaged(const std::string& what) const {
        return fail("the pickle " + what + here(), input_.name(), std::string(kDamaged));
    }
    [[nodiscard]] tl::unexpected<Error> tooLarge(const std::string& what) const {
        return fail("the pickle " + what, input_.name(),
                    "Save the tensors without the objects around them to view them");
    }

    PickleId add(PickleNode node) {
        textBytes_ += node.text.size();
        tree_.nodes.push_back(std::move(node));
        return static_cast<PickleId>(tree_.nodes.size() - 1);
    }
    Result<void> push(PickleNode node) {
        stack_.push_back(add(std::move(node)));
        return {};
    }
    Result<void> pushId(PickleId id) {
        stack_.push_back(id);
        return {};
    }
    /// The lowest stack slot above the last mark.
    [[nodiscard]] std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
    Result<PickleId> pop() {
        if (stack_.size() <= floor())
            return damaged("takes a value from an empty stack");
        const auto id = stack_.back();
        stack_.pop_back();
        return id;
    }
    /// Everything above the last mark, which is removed.
    Result<std::vector<PickleId>> popToMark() {
        if (marks_.empty())
            return damaged("ends a group that was not begun");
        const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
        std::vector<PickleId> items(begin, stack_.end());
        stack_.erase(begin, stack_.end());
        marks_.pop_back();
        return items;
    }
    Result<PickleId> top() const {
        if (stack_.size() <= floor())
            return damaged("looks at an empty stack");
        return stack_.back();
    }
    PickleNode& node(PickleId id) { return tree_.nodes[id]; }

    Result<void> step(std::uint8_t code);
    Result<void> stepValue(std::uint8_t code);
    Result<void> stepText(std::uint8_t code);
    Result<void> stepContainer(std::uint8_t code);
    Result<void> stepMemo(std::uint8_t code);
    Result<void> stepObject(std::uint8_t code);

    Result<void> pushInteger(std::int64_t value) { return push({.kind = PickleKind::Integer, .integer = value}); }
    Result<void> pushLong(std::uint64_t bytes);
    Result<void> pushDecimal(std::string_view digits);
    Result<void> pushText(std::uint64_t bytes);
    Result<void> pushBytes(std::uint64_t bytes);
    Result<void> pushTuple(std::size_t count);
    Result<void> remember(std::uint64_t key);
    Result<void> recall(std::uint64_t key);
    Result<std::uint64_t> decimalKey();
    Result<void> extend(PickleId list, std::span<const PickleId> items);
    Result<void> setEntries(PickleId dict, std::span<const PickleId> entries);
    Result<void> pushGlobal(std::string module, std::string name);
    Result<void> call(PickleId callee, PickleId arguments);
    Result<void> pushResult(const std::string& name, std::vector<PickleId> arguments);
    /// Bounds the work of calls that copy a shared container over and over.
    Result<void> countCopies(std::size_t count) {
        copied_ += count;
        if (copied_ > kMaxCopiedItems)
            return tooLarge("copies more than " + std::to_string(kMaxCopiedItems) + " values");
        return {};
    }
    [[nodiscard]] std::vector<PickleId> pairsOf(PickleId list) const;

    SequentialReader input_;
    PickleTree tree_;
    std::vector<PickleId> stack_;
    std::vector<std::size_t> marks_;
    std::unordered_map<std::uint64_t, PickleId> memo_;
    std::uint64_t textBytes_ = 0;
    std::size_t copied_ = 0;
    std::int64_t at_ = 0;
    PickleId none_ = kNoPickleValue;
    PickleId false_ = kNoPickleValue;
    PickleId true_ = kNoPickleValue;
};

Result<void> PickleMachine::step(std::uint8_t code) {
    switch (code) {
    case 0x80: { // PROTO
        KVSCOPE_ASSIGN(const auto version, input_.byte());
        if (version > 5)
            return damaged("has the unknown protocol " + std::to_string(version));
        return {};
    }
    case 0x95: { // FRAME: only says how far to read ahead
        KVSCOPE_ASSIGN(const auto bytes, input_.number(8));
        if (input_.remaining() < 0 || bytes > static_cast<std::uint64_t>(input_.remaining()))
            return damaged("announces " + std::to_string(bytes) + " bytes, which are not there,");
        return {};
    }
    case '(': // MARK
        marks_.push_back(stack_.size());
        return {};
    case '0': // POP
        if (!marks_.empty() && stack_.size() == marks_.back()) {
            marks_.pop_back();
            return {};
        }
        KVSCOPE_TRY(pop());
        return {};
    case '1': // POP_MARK
        KVSCOPE_TRY(popToMark());
        return {};
    case '2': { // DUP
        KVSCOPE_ASSIGN(const auto id, top());
        return pushId(id);
    }
    case 'g':
    case 'h':
    case 'j':
    case 'p':
    case 'q':
    case 'r':
    case 0x94:
        return stepMemo(code);
    case 'N':
    case 'F':
    case 'G':
    case 'I':
    case 'J':
    case 'K':
    case 'L':
    case 'M':
    case 0x88:
    case 0x89:
    case 0x8A:
    case 0x8B:
        return stepValue(code);
    case 'S':
    case 'T':
    case 'U':
    case 'V':
    case 'X':
    case 'B':
    case 'C':
    case 0x8C:
    case 0x8D:
    case 0x8E:
    case 0x96:
        return stepText(code);
    case ']':
    case '}':
    case ')':
    case 'a':
    case 'd':
    case 'e':
    case 'l':
    case 's':
    case 't':
    case 'u':
    case 0x85:
    case 0x86:
    case 0x87:
    case 0x8F:
    case 0x90:
    case 0x91:
        return stepContainer(code);
    default:
        return stepObject(code);
    }
}

Result<void> PickleMachine::stepMemo(std::uint8_t code) {
    switch (code) {
    case 'g': { // GET
        KVSCOPE_ASSIGN(const auto key, decimalKey());
        return recall(key);
    }
    case 'h': { // BINGET
        KVSCOPE_ASSIGN(const auto key, input_.number(1));
        return recall(key);
    }
    case 'j': { // LONG_BINGET
        KVSCOPE_ASSIGN(const auto key, input_.number(4));
        return recall(key);
    }
    case 'p': { // PUT
        KVSCOPE_ASSIGN(const auto key, decimalKey());
        return remember(key);
    }
    case 'q': { // BINPUT
        KVSCOPE_ASSIGN(const auto key, input_.number(1));
        return remember(key);
    }
    case 'r': { // LONG_BINPUT
        KVSCOPE_ASSIGN(const auto key, input_.number(4));
        return remember(key);
    }
    default: // MEMOIZE
        return remember(memo_.size());
    }
}

Result<std::uint64_t> PickleMachine::decimalKey() {
    KVSCOPE_ASSIGN(const auto digits, input_.line(32));
    std::uint64_t key = 0;
    const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), key);
    if (error != std::errc{} || rest != digits.data() + digits.size())
        return damaged("has a memo number that is none");
    return key;
}

Result<void> PickleMachine::remember(std::uint64_t key) {
    KVSCOPE_ASSIGN(const auto id, top());
    memo_[key] = id;
    if (memo_.size() > kMaxNodes)
        return tooLarge("stores more than " + std::to_string(kMaxNodes) + " values for later");
    return {};
}

Result<void> PickleMachine::recall(std::uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end())
        return damaged("refers to value " + std::to_string(key) + ", which was never stored,");
    return pushId(found->second);
}

Result<void> PickleMachine::stepValue(std::uint8_t code) {
    switch (code) {
    case 'N':
        return pushId(none_);
    case 0x88:
        return pushId(true_);
    case 0x89:
        return pushId(false_);
    case 'F': { // FLOAT, decimal
        KVSCOPE_ASSIGN(const auto digits, input_.line(kMaxLine));
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
        KVSCOPE_ASSIGN(const auto digits, input_.line(kMaxLine));
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
        KVSCOPE_ASSIGN(auto digits, input_.line(kMaxLine));
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
        KVSCOPE_ASSIGN(const auto line, input_.line(kMaxLine));
        const std::string_view literal = line;
        if (literal.size() < 2 || (literal.front() != '\'' && literal.front() != '"') ||
            literal.back() != literal.front())
            return damaged("has a string without quotes");
        return push({.kind = PickleKind::String, .text = unescape(literal.substr(1, literal.size() - 2), false)});
    }
    case 'V': { // UNICODE
        KVSCOPE_ASSIGN(const auto line, input_.line(kMaxLine));
        return push({.kind = PickleKind::String, .text = unescape(line, true)});
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
    if (bytes > kMaxTextBytes)
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

Result<void> PickleMachine::stepObject(std::uint8_t code) {
    switch (code) {
    case 'c': { // GLOBAL
        KVSCOPE_ASSIGN(auto module, input_.line(kMaxLine));
        KVSCOPE_ASSIGN(auto name, input_.line(kMaxLine));
        return pushGlobal(std::move(module), std::move(name));
    }
    case 0x93: { // STACK_GLOBAL
        KVSCOPE_ASSIGN(const auto name, pop());
        KVSCOPE_ASSIGN(const auto module, pop());
        if (node(name).kind != PickleKind::String || node(module).kind != PickleKind::String)
            return damaged("names a class by something that is no text");
        return pushGlobal(node(module).text, node(name).text);
    }
    case 'R':    // REDUCE: callee, arguments
    case 0x81: { // NEWOBJ: class, arguments
        KVSCOPE_ASSIGN(const auto arguments, pop());
        KVSCOPE_ASSIGN(const auto callee, pop());
        return call(callee, arguments);
    }
    case 0x92: { // NEWOBJ_EX: class, arguments, keyword arguments
        KVSCOPE_TRY(pop());
        KVSCOPE_ASSIGN(const auto arguments, pop());
        KVSCOPE_ASSIGN(const auto callee, pop());
        return call(callee, arguments);
    }
    case 'i': { // INST
        KVSCOPE_ASSIGN(auto module, input_.line(kMaxLine));
        KVSCOPE_ASSIGN(auto name, input_.line(kMaxLine));
        KVSCOPE_ASSIGN(auto arguments, popToMark());
        const auto callee = add({.kind = PickleKind::Global, .text = std::move(module) + "." + std::move(name)});
        return call(callee, add({.kind = PickleKind::Tuple, .items = std::move(arguments)}));
    }
    case 'o': { // OBJ
        KVSCOPE_ASSIGN(auto arguments, popToMark());
        if (arguments.empty())
            return damaged("makes an object of no class");
        const auto callee = arguments.front();
        arguments.erase(arguments.begin());
        return call(callee, add({.kind = PickleKind::Tuple, .items = std::move(arguments)}));
    }
    case 'b': { // BUILD
        KVSCOPE_ASSIGN(const auto state, pop());
        KVSCOPE_ASSIGN(const auto object, top());
        if (node(object).kind != PickleKind::Record && node(object).kind != PickleKind::Dict)
            return damaged("sets the attributes of something that has none");
        node(object).state = state;
        return {};
    }
    case 'P': { // PERSID
        KVSCOPE_ASSIGN(auto line, input_.line(kMaxLine));
        const auto id = add({.kind = PickleKind::String, .text = std::move(line)});
        return push({.kind = PickleKind::Persistent, .items = {id}});
    }
    case 'Q': { // BINPERSID
        KVSCOPE_ASSIGN(const auto id, pop());
        return push({.kind = PickleKind::Persistent, .items = {id}});
    }
    case 0x82:
    case 0x83:
    case 0x84:
        return damaged("uses the extension registry of the program that wrote it (EXT), which no other program has,");
    case 0x97:
    case 0x98:
        return damaged("keeps its data in buffers outside the file (protocol 5, out of band),");
    default: {
        constexpr std::string_view kHex = "0123456789abcdef";
        return damaged(std::string("has the unknown operation 0x") + kHex[code >> 4] + kHex[code & 15U]);
    }
    }
}

Result<void> PickleMachine::pushGlobal(std::string module, std::string name) {
    return push({.kind = PickleKind::Global, .text = std::move(module) + "." + std::move(name)});
}

Result<void> PickleMachine::call(PickleId callee, PickleId arguments) {
    if (node(callee).kind == PickleKind::Persistent) {
        // How torch's format before 1.6 names the class of a module: ("module", class, file, source text).
        const auto& id = node(node(callee).items.front());
        if (id.kind == PickleKind::Tuple && id.items.size() == 4 && node(id.items.front()).text == "module")
            callee = id.items[1];
    }
    if (node(callee).kind != PickleKind::Global)
        return fail("the pickle asks Python to call something that it computed" + here(), input_.name(),
                    std::string(kAdviceNoExecution));
    if (node(arguments).kind != PickleKind::Tuple)
        return damaged("calls " + node(callee).text.substr(0, 200) + " with something that is no tuple");
    auto name = node(callee).text;
    if (!isInertCall(name))
        return fail("the pickle asks Python to call " + name.substr(0, 200) + here() +
                        ", which saving a KV cache never needs",
                    input_.name(), std::string(kAdviceNoExecution));
    KVSCOPE_TRY(countCopies(node(arguments).items.size()));
    auto items = node(arguments).items;
    if (name == "copyreg._reconstructor" || name == "copy_reg._reconstructor" || name == "copyreg.__newobj__" ||
        name == "copy_reg.__newobj__") {
        if (items.empty())
            return damaged("makes an object of no class");
        const auto type = items.front();
        const bool plain = name.ends_with("__newobj__");
        items.erase(items.begin(), plain ? items.begin() + 1 : items.end());
        if (node(type).kind == PickleKind::Global && node(type).text.find("__newobj__") == std::string::npos &&
            node(type).text.find("._reconstructor") == std::string::npos)
            return call(type, add({.kind = PickleKind::Tuple, .items = std::move(items)}));
        return damaged("makes an object of something that is no class");
    }
    return pushResult(name, std::move(items));
}

std::vector<PickleId> PickleMachine::pairsOf(PickleId list) const {
    std::vector<PickleId> entries;
    for (const auto pair : tree_[list].items) {
        if (tree_[pair].items.size() == 2)
            entries.insert(entries.end(), tree_[pair].items.begin(), tree_[pair].items.end());
    }
    return entries;
}

/// Pushes the value of a call: the container that it plainly is, else a record.
Result<void> PickleMachine::pushResult(const std::string& name, std::vector<PickleId> arguments) {
    const auto first = arguments.empty() ? kNoPickleValue : arguments.front();
    if (first != kNoPickleValue)
        KVSCOPE_TRY(countCopies(2 * node(first).items.size() + node(first).entries.size()));
    const auto last = name.substr(name.rfind('.') + 1);
    const bool builtin = name.starts_with("builtins.") || name.starts_with("__builtin__.");
    const auto copyItems = [&](PickleKind kind) {
        std::vector<PickleId> items;
        if (first != kNoPickleValue)
            items = node(first).items;
        return push({.kind = kind, .items = std::move(items)});
    };
    if (name == "torch.Size" || (builtin && last == "tuple"))
        return copyItems(PickleKind::Tuple);
    if (name == "collections.deque" || (builtin && last == "list"))
        return copyItems(PickleKind::List);
    if (builtin && (last == "set" || last == "frozenset"))
        return copyItems(PickleKind::Set);
    if (name == "collections.OrderedDict" || name == "collections.defaultdict" || name == "collections.Counter" ||
        (builtin && last == "dict")) {
        const auto content = name == "collections.defaultdict" ? kNoPickleValue : first;
        if (content == kNoPickleValue)
            return push({.kind = PickleKind::Dict});
        auto entries = node(content).kind == PickleKind::Dict ? node(content).entries : pairsOf(content);
        return push({.kind = PickleKind::Dict, .entries = std::move(entries)});
    }
    if (name == "_codecs.encode" && first != kNoPickleValue && node(first).kind == PickleKind::String)
        return push({.kind = PickleKind::Bytes, .text = latin1FromUtf8(node(first).text)});
    if (builtin && last == "bytearray" && first != kNoPickleValue && node(first).kind == PickleKind::Bytes)
        return pushId(first);
    return push({.kind = PickleKind::Record, .text = name, .items = std::move(arguments)});
}

} // namespace

PickleId PickleTree::find(const PickleNode& dict, std::string_view key) const {
    auto found = kNoPickleValue;
    for (std::size_t i = 0; i + 1 < dict.entries.size(); i += 2) {
        const auto& candidate = nodes[dict.entries[i]];
        if (candidate.kind == PickleKind::String && candidate.text == key)
            found = dict.entries[i + 1];
    }
    return found;
}

Result<PickleTree> readPickle(const ByteSource& source, std::int64_t offset) {
    try {
        return PickleMachine(source, offset).run();
    } catch (const std::bad_alloc&) {
        return fail("there is not enough memory for the objects of the pickle", source.name(),
                    "Save the tensors without the objects around them to view them", Error::Kind::System);
    }
}

Result<ByteSourcePtr> pickledBytes(const PickleNode& node, const ByteSourcePtr& source, std::string name) {
    if (node.kind != PickleKind::Bytes)
        return fail(name + " is not made of bytes", source->name());
    if (node.length >= 0)
        return subSource(source, node.integer, node.length, std::move(name));
    const auto* begin = reinterpret_cast<const std::byte*>(node.text.data());
    return memorySource(std::vector<std::byte>(begin, begin + node.text.size()), std::move(name));
}

} // namespace kvscope
