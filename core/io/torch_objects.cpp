// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/torch_objects.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <charconv>
#include <unordered_set>

namespace kvscope {

namespace {

constexpr int kMaxDepth = 64;
constexpr std::int64_t kMaxVisits = 300'000;
constexpr std::size_t kMaxTensors = 20'000;
constexpr std::size_t kMaxPath = 500;
constexpr std::size_t kMaxNotes = 4'000;
constexpr std::size_t kMaxNoteBytes = std::size_t{64} * 1024;
constexpr std::size_t kMaxListBytes = std::size_t{64} * 1024 * 1024;
constexpr std::string_view kSavePlain = "Save the keys and values alone, as a tuple or list of tensors";

/// Valid, printable UTF-8: whatever is not becomes a question mark.
std::string printable(std::string_view text) {
    const auto quoted =
        nlohmann::json(std::string(text)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    std::string clean;
    for (const auto character : nlohmann::json::parse(quoted).get<std::string>())
        clean.push_back(static_cast<unsigned char>(character) < 0x20 || character == 0x7F ? '?' : character);
    return clean;
}

std::string numberText(double value) {
    std::array<char, 32> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
    return {buffer.data(), end};
}

class Collector {
public:
    Collector(const PickleTree& tree, TorchStorages& storages, const ByteSourcePtr& pickle, TensorTable& table)
        : tree_(tree)
        , storages_(storages)
        , pickle_(pickle)
        , table_(table) {}

    Result<void> run() {
        KVSCOPE_TRY(visit(tree_.root, {}));
        if (!linearLayers_.empty())
            table_.notes.push_back(
                {CacheNote::Severity::Info, "Layers with linear-attention state (" + linearLayers_ +
                                                ") have no keys and values of tokens in it; the state is not shown"});
        return {};
    }

private:
    [[nodiscard]] tl::unexpected<Error> tooMuch(const std::string& what) const {
        return fail(what, pickle_->name(), std::string(kSavePlain));
    }
    [[nodiscard]] static std::string shown(const std::string& path) { return path.empty() ? "the top" : path; }

    Result<std::string> joined(const std::string& path, const std::string& part) const {
        auto name = path.empty() ? part : path + "." + part;
        if (name.size() > kMaxPath)
            return tooMuch("the names of the values at " + name.substr(0, 80) + "... are too long");
        return name;
    }

    Result<void> visit(PickleId id, const std::string& path);
    Result<void> visitChild(PickleId id, const std::string& path, const std::string& part) {
        KVSCOPE_ASSIGN(const auto name, joined(path, part));
        return visit(id, name);
    }
    Result<void> visitSequence(const PickleNode& node, const std::string& path);
    Result<void> visitEntries(const PickleNode& node, const std::string& path);
    Result<void> visitRecord(PickleId id, const std::string& path);
    Result<void> visitAttributes(const PickleNode& attributes, const std::string& path);
    Result<void> visitLayer(const PickleNode& attributes, const std::string& path);
    Result<StoredTensor*> addTensor(PickleId id, const std::string& path);
    Result<std::optional<std::int64_t>> integerOf(PickleId id);
    void addNote(const std::string& path, const std::string& text);
    [[nodiscard]] std::string keyName(PickleId key) const;
    [[nodiscard]] const PickleNode* attributesOf(const PickleNode& record) const;
    [[nodiscard]] std::optional<std::string> scalarText(const PickleNode& node) const;

    const PickleTree& tree_;
    TorchStorages& storages_;
    const ByteSourcePtr& pickle_;
    TensorTable& table_;
    std::unordered_set<PickleId> open_;
    std::int64_t visits_ = 0;
    std::size_t listBytes_ = 0;
    std::string linearLayers_;
};

Result<void> Collector::visit(PickleId id, const std::string& path) {
    if (++visits_ > kMaxVisits)
        return tooMuch("holds more than " + std::to_string(kMaxVisits) + " values");
    const auto& node = tree_[id];
    if (isTensorRecord(node)) {
        KVSCOPE_TRY(addTensor(id, path));
        return {};
    }
    if (const auto text = scalarText(node)) {
        addNote(path, *text);
        return {};
    }
    if (open_.size() >= kMaxDepth)
        return tooMuch("nests its values deeper than " + std::to_string(kMaxDepth) + " levels, at " +
                       shown(path).substr(0, 80));
    if (!open_.insert(id).second)
        return tooMuch("has a value that contains itself, at " + shown(path).substr(0, 80));
    Result<void> result;
    if (node.kind == PickleKind::List || node.kind == PickleKind::Tuple)
        result = visitSequence(node, path);
    else if (node.kind == PickleKind::Dict)
        result = visitEntries(node, path);
    else if (node.kind == PickleKind::Record)
        result = visitRecord(id, path);
    open_.erase(id);
    return result;
}

/// A list of numbers is an array (token ids, scales); a tuple of them (a shape) and texts (tokens) go to the metadata.
Result<void> Collector::visitSequence(const PickleNode& node, const std::string& path) {
    const auto all = [&](PickleKind kind) {
        return !node.items.empty() && std::all_of(node.items.begin(), node.items.end(),
                                                  [&](PickleId item) { return tree_[item].kind == kind; });
    };
    const bool integers = all(PickleKind::Integer);
    const bool floats = !integers && all(PickleKind::Float);
    const bool texts = !integers && !floats && all(PickleKind::String);
    if (!integers && !floats && !texts) {
        for (std::size_t i = 0; i < node.items.size(); ++i)
            KVSCOPE_TRY(visitChild(node.items[i], path, std::to_string(i)));
        return {};
    }
    // A shared list may be met many times, but is kept only while there is room.
    std::size_t bytes = node.items.size() * 8;
    if (texts) {
        for (const auto item : node.items)
            bytes += tree_[item].text.size();
    }
    listBytes_ += bytes;
    visits_ += static_cast<std::int64_t>(node.items.size());
    if (listBytes_ > kMaxListBytes)
        return tooMuch("holds more than " + std::to_string(kMaxListBytes >> 20) + " MiB of plain lists");
    if (texts || node.kind == PickleKind::Tuple) {
        auto list = nlohmann::json::array();
        for (const auto item : node.items) {
            if (texts)
                list.push_back(tree_[item].text);
            else if (floats)
                list.push_back(tree_[item].real);
            else
                list.push_back(tree_[item].integer);
        }
        table_.metadata[path] = list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
        return {};
    }
    std::vector<std::byte> raw;
    raw.reserve(bytes);
    for (const auto item : node.items) {
        const auto bits =
            floats ? std::bit_cast<std::uint64_t>(tree_[item].real) : static_cast<std::uint64_t>(tree_[item].integer);
        for (int i = 0; i < 8; ++i)
            raw.push_back(static_cast<std::byte>(bits >> (8 * i)));
    }
    StoredTensor tensor;
    tensor.name = path;
    tensor.typeName = floats ? "float64" : "int64";
    if (floats)
        tensor.dtype = DType::F64;
    tensor.elementSize = 8;
    tensor.shape = {static_cast<std::int64_t>(node.items.size())};
    tensor.strides = {1};
    tensor.bytes = memorySource(std::move(raw), pickle_->name());
    table_.tensors.push_back(std::move(tensor));
    return {};
}

Result<void> Collector::visitEntries(const PickleNode& node, const std::string& path) {
    for (std::size_t i = 0; i + 1 < node.entries.size(); i += 2)
        KVSCOPE_TRY(visitChild(node.entries[i + 1], path, keyName(node.entries[i])));
    return {};
}

const PickleNode* Collector::attributesOf(const PickleNode& record) const {
    if (record.state == kNoPickleValue)
        return nullptr;
    const auto* state = &tree_[record.state];
    // (__dict__, slots) where a class has slots.
    if (state->kind == PickleKind::Tuple && !state->items.empty())
        state = &tree_[state->items.front()];
    return state->kind == PickleKind::Dict ? state : nullptr;
}

Result<void> Collector::visitRecord(PickleId id, const std::string& path) {
    const auto& record = tree_[id];
    if (record.text.starts_with("transformers"))
        table_.metadata.try_emplace("class", printable(record.text.substr(0, kMaxPath)));
    if (!record.entries.empty())
        return visitEntries(record, path);
    if (const auto* attributes = attributesOf(record))
        return visitAttributes(*attributes, path);
    for (std::size_t i = 0; i < record.items.size(); ++i) {
        if (tree_[record.items[i]].kind != PickleKind::Global)
            KVSCOPE_TRY(visitChild(record.items[i], path, std::to_string(i)));
    }
    return {};
}

Result<void> Collector::visitAttributes(const PickleNode& attributes, const std::string& path) {
    const auto self = tree_.find(attributes, "self_attention_cache");
    if (self != kNoPickleValue) {
        table_.notes.push_back({CacheNote::Severity::Info,
                                "This is the cache of an encoder-decoder: only its self-attention part is shown"});
        return visit(self, path);
    }
    if (tree_.find(attributes, "keys") != kNoPickleValue && tree_.find(attributes, "values") != kNoPickleValue)
        return visitLayer(attributes, path);
    for (std::size_t i = 0; i + 1 < attributes.entries.size(); i += 2) {
        const auto name = keyName(attributes.entries[i]);
        const auto value = attributes.entries[i + 1];
        const auto kind = tree_[value].kind;
        // Modules keep their tensors one level down; numbers and flags of a cache are its own affair.
        if (name == "_parameters" || name == "_buffers" || name == "_modules") {
            KVSCOPE_TRY(visit(value, path));
        } else if (isTensorRecord(tree_[value]) || kind == PickleKind::List || kind == PickleKind::Tuple ||
                   kind == PickleKind::Dict || kind == PickleKind::Record) {
            KVSCOPE_TRY(visitChild(value, path, name));
        }
    }
    return {};
}

Result<std::optional<std::int64_t>> Collector::integerOf(PickleId id) {
    if (id == kNoPickleValue)
        return std::nullopt;
    if (tree_[id].kind == PickleKind::Integer)
        return tree_[id].integer;
    if (!isTensorRecord(tree_[id]))
        return std::nullopt;
    KVSCOPE_ASSIGN(const auto tensor, rebuildTensor(tree_, id, storages_, pickle_, "cumulative_length"));
    KVSCOPE_ASSIGN(const auto values, readIntegers(tensor, 1));
    return values.size() == 1 ? std::optional(values.front()) : std::nullopt;
}

/// One layer of a cache of transformers 4.54 and later: keys, values and how many tokens have passed through it.
Result<void> Collector::visitLayer(const PickleNode& attributes, const std::string& path) {
    if (tree_.find(attributes, "conv_states") != kNoPickleValue)
        linearLayers_ += (linearLayers_.empty() ? "" : ", ") + path;
    // Static windowed layers count in cumulative_length_int; their cumulative_length stops at the window.
    auto length = tree_.find(attributes, "cumulative_length_int");
    if (length == kNoPickleValue)
        length = tree_.find(attributes, "cumulative_length");
    KVSCOPE_ASSIGN(const auto seen, integerOf(length));
    const bool allocated = tree_.find(attributes, "max_cache_len") != kNoPickleValue;
    for (const auto* part : {"keys", "values"}) {
        auto value = tree_.find(attributes, part);
        // Fp8QuantizedLayer: (fp8 tensor, scale).
        const auto quantised = tree_.find(attributes, std::string("_quantized_") + part);
        if (quantised != kNoPickleValue && tree_[quantised].kind == PickleKind::Tuple &&
            tree_[quantised].items.size() == 2) {
            value = tree_[quantised].items[0];
            KVSCOPE_TRY(visitChild(tree_[quantised].items[1], path, std::string(part) + "_scale"));
        } else if (quantised != kNoPickleValue && tree_[quantised].kind != PickleKind::None) {
            return tooMuch("the layer at " + shown(path) +
                           " is quantised by a library whose format KVScope does not read");
        }
        if (!isTensorRecord(tree_[value]))
            continue;
        KVSCOPE_ASSIGN(const auto name, joined(path, part));
        KVSCOPE_ASSIGN(auto* tensor, addTensor(value, name));
        if (tensor == nullptr || !seen || *seen < 0 || tensor->shape.size() < 2)
            continue;
        const auto slots = tensor->shape[tensor->shape.size() - 2];
        if (allocated)
            tensor->heldTokens = std::min(*seen, slots);
        tensor->firstPosition = std::max<std::int64_t>(*seen - slots, 0);
    }
    return {};
}

/// Adds the tensor and returns it; null for one without values, which stands for "nothing yet".
Result<StoredTensor*> Collector::addTensor(PickleId id, const std::string& path) {
    if (table_.tensors.size() >= kMaxTensors)
        return tooMuch("holds more than " + std::to_string(kMaxTensors) + " tensors");
    KVSCOPE_ASSIGN(auto tensor, rebuildTensor(tree_, id, storages_, pickle_, path));
    if (tensor.shape.size() == 1 && tensor.shape.front() == 0)
        return nullptr;
    table_.tensors.push_back(std::move(tensor));
    return &table_.tensors.back();
}

std::string Collector::keyName(PickleId key) const {
    const auto& node = tree_[key];
    switch (node.kind) {
    case PickleKind::String:
        return printable(node.text.substr(0, kMaxPath + 1));
    case PickleKind::Integer:
        return std::to_string(node.integer);
    case PickleKind::Tuple: {
        std::string name;
        for (const auto item : node.items) {
            const auto& part = tree_[item];
            if (name.size() > kMaxPath)
                break;
            name += (name.empty() ? "" : ".") + (part.kind == PickleKind::String
                                                     ? printable(part.text.substr(0, kMaxPath + 1))
                                                 : part.kind == PickleKind::Integer ? std::to_string(part.integer)
                                                                                    : std::string("?"));
        }
        return name;
    }
    default:
        return "?";
    }
}

std::optional<std::string> Collector::scalarText(const PickleNode& node) const {
    switch (node.kind) {
    case PickleKind::None:
        return std::string();
    case PickleKind::Bool:
        return std::string(node.integer != 0 ? "true" : "false");
    case PickleKind::Integer:
        return std::to_string(node.integer);
    case PickleKind::Float:
        return numberText(node.real);
    case PickleKind::String:
    case PickleKind::Global:
        return printable(node.text.substr(0, kMaxNoteBytes));
    case PickleKind::Bytes:
    case PickleKind::BigInteger:
    case PickleKind::Persistent:
    case PickleKind::Set:
        return std::string();
    default:
        return std::nullopt;
    }
}

void Collector::addNote(const std::string& path, const std::string& text) {
    if (!text.empty() && !path.empty() && table_.metadata.size() < kMaxNotes)
        table_.metadata.try_emplace(path, text);
}

} // namespace

Result<void> collectTensors(const PickleTree& tree, TorchStorages& storages, const ByteSourcePtr& pickle,
                            TensorTable& table) {
    return Collector(tree, storages, pickle, table).run();
}

} // namespace kvscope
