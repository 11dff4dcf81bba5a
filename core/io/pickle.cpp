// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/pickle.h"

#include "core/io/pickle_machine.h"
#include "core/io/pickle_text.h"

#include <charconv>
#include <new>

namespace kvscope {

namespace {

constexpr std::string_view kAdviceNoExecution =
    "KVScope never executes code from a file: do not load this one in Python unless you trust its origin, and save "
    "the keys and values alone (as .safetensors, or torch.save of plain tensors, tuples, lists and dicts) to view them";

} // namespace

Result<PickleTree> PickleMachine::run() {
    none_ = add(PickleNode{});
    false_ = add({.kind = PickleKind::Bool});
    true_ = add({.kind = PickleKind::Bool, .integer = 1});
    for (std::int64_t operations = 0; operations < PickleLimits::kOperations; ++operations) {
        at_ = input_.position();
        KVSCOPE_ASSIGN(const auto code, input_.byte());
        if (code == '.') {
            KVSCOPE_ASSIGN(tree_.root, pop());
            tree_.end = input_.position();
            return std::move(tree_);
        }
        KVSCOPE_TRY(step(code));
        if (tree_.nodes.size() > PickleLimits::kNodes)
            return tooLarge("holds more than " + std::to_string(PickleLimits::kNodes) + " Python objects");
        if (textBytes_ > PickleLimits::kTextBytes)
            return tooLarge("holds more than " + std::to_string(PickleLimits::kTextBytes >> 20) + " MiB of text");
    }
    return tooLarge("has more than " + std::to_string(PickleLimits::kOperations) + " operations");
}

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
    if (memo_.size() > PickleLimits::kNodes)
        return tooLarge("stores more than " + std::to_string(PickleLimits::kNodes) + " values for later");
    return {};
}

Result<void> PickleMachine::recall(std::uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end())
        return damaged("refers to value " + std::to_string(key) + ", which was never stored,");
    return pushId(found->second);
}

Result<void> PickleMachine::stepObject(std::uint8_t code) {
    switch (code) {
    case 'c': { // GLOBAL
        KVSCOPE_ASSIGN(auto module, input_.line(PickleLimits::kLine));
        KVSCOPE_ASSIGN(auto name, input_.line(PickleLimits::kLine));
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
        KVSCOPE_ASSIGN(auto module, input_.line(PickleLimits::kLine));
        KVSCOPE_ASSIGN(auto name, input_.line(PickleLimits::kLine));
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
        KVSCOPE_ASSIGN(auto line, input_.line(PickleLimits::kLine));
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
