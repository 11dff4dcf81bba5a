// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/tensor_groups.h"

#include "core/base/checked.h"

#include <algorithm>
#include <set>

namespace kvscope {

namespace {

constexpr const char* kNamingAdvice =
    "Name the tensors by layer and kind (layers.0.key, layers.0.value), or give the axes of a single tensor";

// Caches that repeat stored values (a batch or a group of heads, expanded) repeat them far less often.
constexpr std::int64_t kMostRepeats = 4096;

/// A tensor with its understood name.
struct Named {
    StoredTensor tensor;
    TensorName name;
};

bool isCacheRole(TensorRole role) {
    return role == TensorRole::Key || role == TensorRole::Value || role == TensorRole::KeyValue ||
           role == TensorRole::Latent || role == TensorRole::LatentRope || role == TensorRole::Query ||
           role == TensorRole::KeyBeforeRope;
}

/// Fails for a view whose strides show few stored values as very many: a small file would keep every statistic busy for
/// ever.
Result<void> checkRepeats(const StoredTensor& tensor) {
    std::optional<std::int64_t> shown = 1;
    for (const std::int64_t size : tensor.shape)
        shown = shown ? checkedMul(*shown, size) : std::nullopt;
    const std::int64_t stored = tensor.bytes->size() / tensor.elementSize;
    if (shown && *shown / kMostRepeats <= stored)
        return {};
    return fail("shows " + std::to_string(stored) + " stored values as " +
                    (shown ? std::to_string(*shown) : std::string("more than 2^63")) + " by strides of 0",
                tensor.bytes->name() + (tensor.name.empty() ? "" : ", tensor " + tensor.name),
                "Save a contiguous copy of the tokens that are to be seen (in torch: tensor.contiguous())");
}

/// Gives 16-bit integers and untyped values the float type they stand for, or the type that the user says.
Result<void> resolveType(StoredTensor& tensor, const OpenOptions& options, bool& bitsNoted,
                         std::vector<CacheNote>& notes) {
    if (options.dtype && (!tensor.dtype || *tensor.dtype != *options.dtype)) {
        if (sizeOf(*options.dtype) != tensor.elementSize) {
            if (!tensor.dtype)
                return {};
            return fail("holds values of " + std::to_string(tensor.elementSize) + " bytes, which cannot be " +
                            std::string(nameOf(*options.dtype)),
                        tensor.bytes->name() + (tensor.name.empty() ? "" : ", tensor " + tensor.name),
                        "Leave the type to the file");
        }
        tensor.dtype = options.dtype;
        return {};
    }
    if (tensor.dtype || tensor.elementSize != 2)
        return {};
    const std::string& type = tensor.typeName;
    if (type != "uint16" && type != "void16" && type != "U16" && type != "int16" && type != "I16" &&
        type != "torch.int16" && type != "torch.uint16")
        return {};
    tensor.dtype = DType::BF16;
    if (!bitsNoted)
        notes.push_back({CacheNote::Severity::Info,
                         "Values stored as " + type + " are read as the bits of bf16; choose f16 if they are that"});
    bitsNoted = true;
    return {};
}

bool mayHoldPair(const StoredTensor& tensor) {
    const auto& shape = tensor.shape;
    if (shape.size() < 3)
        return false;
    const bool second = shape[1] == 2 && (shape[0] != 1 || shape.size() > 4);
    return shape[0] == 2 || second || (shape.size() == 4 && shape[2] == 2);
}

bool looksLatent(const StoredTensor& tensor, const ModelConfig* config) {
    const std::int64_t width = tensor.shape.empty() ? 0 : tensor.shape.back();
    if (config != nullptr && config->latentDim)
        return width == *config->latentDim || width == *config->latentDim + config->latentRopeDim.value_or(0);
    // The widths of DeepSeek V2/V3 and MiniCPM3: latent, and latent with its rotary key.
    return width == 576 || width == 512 || width == 288 || width == 256 + 64;
}

/// Tuples (layer, K/V) or lists (K/V, layer): the last two numbers of each name tell.
Result<void> nameTuples(std::vector<Named*>& tensors, std::vector<CacheNote>& notes) {
    std::set<std::int64_t> outer;
    std::set<std::int64_t> inner;
    for (const Named* named : tensors) {
        const auto& numbers = named->name.numbers;
        outer.insert(numbers[numbers.size() - 2]);
        inner.insert(numbers.back());
    }
    const bool kindFirst = outer.size() == 2 && inner.size() > 2;
    if (outer.size() == 2 && inner.size() == 2)
        notes.push_back({CacheNote::Severity::Info, "Two pairs of unnamed tensors are taken as two layers of (K, V)"});
    for (Named* named : tensors) {
        const auto& numbers = named->name.numbers;
        const std::int64_t first = numbers[numbers.size() - 2];
        const std::int64_t second = numbers.back();
        const std::int64_t layer = kindFirst ? second : first;
        const std::int64_t kind = kindFirst ? first : second;
        const std::int64_t keyKind = kindFirst ? *outer.begin() : *inner.begin();
        named->name.layer = layer;
        if (inner.size() == 1)
            named->name.role = TensorRole::KeyValue;
        else if (kind == keyKind)
            named->name.role = TensorRole::Key;
        else if (kind == keyKind + 1)
            named->name.role = TensorRole::Value;
        else
            named->name.role = TensorRole::Other;
    }
    return {};
}

/// A list of unnamed tensors: one a layer (K and V inside, or latent), K and V of everything, or K and V by turns.
Result<void> nameList(std::vector<Named*>& tensors, const std::string& where, const ModelConfig* config,
                      std::vector<CacheNote>& notes) {
    std::sort(tensors.begin(), tensors.end(),
              [](const Named* a, const Named* b) { return naturalLess(a->tensor.name, b->tensor.name); });
    const auto all = [&](auto test) { return std::all_of(tensors.begin(), tensors.end(), test); };
    if (all([](const Named* named) { return mayHoldPair(named->tensor); })) {
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            tensors[i]->name.role = TensorRole::KeyValue;
            tensors[i]->name.layer = static_cast<std::int64_t>(i);
        }
        return {};
    }
    if (all([&](const Named* named) { return looksLatent(named->tensor, config); })) {
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            tensors[i]->name.role = TensorRole::Latent;
            tensors[i]->name.layer = static_cast<std::int64_t>(i);
        }
        return {};
    }
    if (tensors.size() % 2 != 0)
        return fail("holds " + std::to_string(tensors.size()) + " arrays without a name that says which is K", where,
                    kNamingAdvice);
    const bool two = tensors.size() == 2;
    notes.push_back({CacheNote::Severity::Info, two ? "The two unnamed arrays are taken as K and V"
                                                    : "Unnamed arrays are taken as K and V of each layer by turns"});
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        tensors[i]->name.role = i % 2 == 0 ? TensorRole::Key : TensorRole::Value;
        tensors[i]->name.layer = two ? std::nullopt : std::optional(static_cast<std::int64_t>(i / 2));
    }
    return {};
}

/// The role that a file's own name gives to the single array in it ("a.kpre.npy").
TensorRole roleOfFile(const TensorTable& table) {
    const TensorName name = parseTensorName(table.name);
    const bool recording = name.role == TensorRole::Query || name.role == TensorRole::KeyBeforeRope ||
                           name.role == TensorRole::Other || name.role == TensorRole::Latent;
    return recording ? name.role : TensorRole::KeyValue;
}

/// Gives roles to the tensors whose names have none.
Result<void> nameTheRest(std::vector<Named>& tensors, const TensorTable& table, const ModelConfig* config,
                         std::vector<CacheNote>& notes) {
    std::vector<Named*> open;
    for (Named& named : tensors) {
        const bool unclear = named.name.role == TensorRole::Unknown || named.name.role == TensorRole::KeyValue;
        if (unclear && named.tensor.dtype && !named.name.scale && !named.name.zeroPoint)
            open.push_back(&named);
    }
    // Beside tensors that say what they are, an unknown one is not part of the cache.
    const bool others = std::any_of(tensors.begin(), tensors.end(), [](const Named& named) {
        return !named.name.scale && !named.name.zeroPoint && !named.name.cross &&
               (named.name.role == TensorRole::Key || named.name.role == TensorRole::Value ||
                named.name.role == TensorRole::Latent || named.name.role == TensorRole::LatentRope);
    });
    if (others)
        std::erase_if(open, [](const Named* named) { return named->name.role == TensorRole::Unknown; });
    if (open.empty())
        return {};
    if (open.size() == 1) {
        Named& only = *open.front();
        only.name.layer.reset();
        if (only.name.role == TensorRole::Unknown)
            only.name.role = roleOfFile(table);
        if (only.name.role == TensorRole::KeyValue && !mayHoldPair(only.tensor) && looksLatent(only.tensor, config))
            only.name.role = TensorRole::Latent;
        return {};
    }
    const auto numbersAtLeast = [&](std::size_t count) {
        return std::all_of(open.begin(), open.end(),
                           [count](const Named* named) { return named->name.numbers.size() >= count; });
    };
    if (numbersAtLeast(2) &&
        std::none_of(open.begin(), open.end(), [](const Named* named) { return named->name.layerIsLast; }))
        return nameTuples(open, notes);
    const bool named = std::all_of(open.begin(), open.end(), [](const Named* tensor) {
        return tensor->name.role == TensorRole::KeyValue && tensor->name.layer;
    });
    if (named) {
        const bool latent = std::all_of(open.begin(), open.end(), [&](const Named* tensor) {
            return !mayHoldPair(tensor->tensor) && looksLatent(tensor->tensor, config);
        });
        for (Named* tensor : open)
            tensor->name.role = latent ? TensorRole::Latent : TensorRole::KeyValue;
        return {};
    }
    if (numbersAtLeast(1))
        return nameList(open, table.name, config, notes);
    std::string names;
    for (std::size_t i = 0; i < open.size() && i < 6; ++i)
        names += (i == 0 ? "" : ", ") + open[i]->tensor.name;
    return fail("has tensors whose names do not say which is K and which is V: " + names, table.name, kNamingAdvice);
}

/// Whether two names stand for one array (a cache that is a torch module lists its buffers besides).
bool isSameArray(const StoredTensor& a, const StoredTensor& b) {
    return a.bytes->name() == b.bytes->name() && a.offset == b.offset && a.shape == b.shape && a.strides == b.strides &&
           a.dtype == b.dtype;
}

/// Renumbers the layers from 0 without holes and says so where that changes their numbers.
void closeHoles(std::vector<Named>& tensors, TensorGroups& groups) {
    std::set<std::int64_t> present;
    for (const Named& named : tensors) {
        if (named.name.layer && isCacheRole(named.name.role) && !named.name.scale && !named.name.zeroPoint)
            present.insert(*named.name.layer);
    }
    groups.layerNumbers.assign(present.begin(), present.end());
    const auto count = static_cast<std::int64_t>(present.size());
    if (count > 0 && (*present.begin() != 0 || *present.rbegin() != count - 1)) {
        std::string list;
        for (std::size_t i = 0; i < groups.layerNumbers.size() && i < 8; ++i)
            list += (i == 0 ? "" : ", ") + std::to_string(groups.layerNumbers[i]);
        groups.notes.push_back(
            {CacheNote::Severity::Info, "The dump names its layers " + list + (count > 8 ? ", ..." : "") +
                                            "; they are shown as 0 to " + std::to_string(count - 1)});
    }
    for (Named& named : tensors) {
        if (!named.name.layer)
            continue;
        const auto place = std::lower_bound(groups.layerNumbers.begin(), groups.layerNumbers.end(), *named.name.layer);
        named.name.layer = place != groups.layerNumbers.end() && *place == *named.name.layer
                               ? std::optional<std::int64_t>(place - groups.layerNumbers.begin())
                               : std::nullopt;
    }
}

/// transformers 5 keeps MLA's latent where other models keep K, and its rotary key where they keep V: the configuration
/// tells.
void recogniseLatents(const ModelConfig* config, TensorGroups& groups) {
    if (config == nullptr || !config->latentDim || !config->latentRopeDim)
        return;
    const auto allOfWidth = [&](TensorRole role, std::int64_t width) {
        const auto tensors = groups.of(role);
        return !tensors.empty() && std::all_of(tensors.begin(), tensors.end(), [width](const auto& entry) {
            return !entry.second->shape.empty() && entry.second->shape.back() == width;
        });
    };
    if (!allOfWidth(TensorRole::Key, *config->latentDim) || !allOfWidth(TensorRole::Value, *config->latentRopeDim))
        return;
    std::map<TensorGroups::Key, StoredTensor> renamed;
    for (auto& [key, tensor] : groups.values) {
        TensorRole role = key.second;
        if (role == TensorRole::Key)
            role = TensorRole::Latent;
        else if (role == TensorRole::Value)
            role = TensorRole::LatentRope;
        renamed.emplace(TensorGroups::Key{key.first, role}, std::move(tensor));
    }
    groups.values = std::move(renamed);
}

void noteIgnored(const std::vector<std::string>& names, TensorGroups& groups) {
    if (names.empty())
        return;
    std::string list;
    for (std::size_t i = 0; i < names.size() && i < 6; ++i)
        list += (i == 0 ? "" : ", ") + names[i];
    if (names.size() > 6)
        list += " and " + std::to_string(names.size() - 6) + " more";
    groups.notes.push_back({CacheNote::Severity::Info, "Not part of the cache: " + list});
}

} // namespace

bool TensorGroups::perLayer(TensorRole role) const {
    return has(role) && !values.contains({kAllLayers, role});
}

bool TensorGroups::has(TensorRole role) const {
    return std::any_of(values.begin(), values.end(), [role](const auto& entry) { return entry.first.second == role; });
}

std::vector<std::pair<std::int64_t, const StoredTensor*>> TensorGroups::of(TensorRole role) const {
    std::vector<std::pair<std::int64_t, const StoredTensor*>> found;
    for (const auto& [key, tensor] : values) {
        if (key.second == role)
            found.emplace_back(key.first, &tensor);
    }
    return found;
}

const StoredTensor* TensorGroups::find(const std::map<Key, StoredTensor>& map, std::int64_t layer,
                                       TensorRole role) const {
    const auto found = map.find({layer, role});
    return found == map.end() ? nullptr : &found->second;
}

Result<TensorGroups> groupTensors(const TensorTable& table, const OpenOptions& options, const ModelConfig* config) {
    TensorGroups groups;
    std::vector<Named> tensors;
    std::vector<std::string> ignored;
    bool bitsNoted = false;
    bool ownAttention = false;
    for (const StoredTensor& tensor : table.tensors) {
        Named named{tensor, parseTensorName(tensor.name)};
        KVSCOPE_TRY(checkTensor(tensor));
        const TensorRole role = named.name.role;
        if (role == TensorRole::Other) {
            ignored.push_back(tensor.name);
            continue;
        }
        if (role != TensorRole::Tokens && role != TensorRole::Positions && !named.name.scale && !named.name.zeroPoint)
            KVSCOPE_TRY(resolveType(named.tensor, options, bitsNoted, groups.notes));
        ownAttention = ownAttention || (!named.name.cross && isCacheRole(role) && named.tensor.dtype);
        tensors.push_back(std::move(named));
    }
    KVSCOPE_TRY(nameTheRest(tensors, table, config, groups.notes));
    closeHoles(tensors, groups);
    for (Named& named : tensors) {
        const TensorName& name = named.name;
        const TensorGroups::Key key{name.layer.value_or(kAllLayers), name.role};
        if (name.role == TensorRole::Tokens) {
            groups.tokens.push_back(std::move(named.tensor));
            continue;
        }
        if (name.role == TensorRole::Positions) {
            groups.positions.emplace(key, std::move(named.tensor));
            continue;
        }
        if (!named.tensor.dtype || !isCacheRole(name.role) || (name.cross && ownAttention)) {
            ignored.push_back(named.tensor.name);
            continue;
        }
        KVSCOPE_TRY(checkRepeats(named.tensor));
        auto& map = name.scale ? groups.scales : name.zeroPoint ? groups.zeroPoints : groups.values;
        const auto [place, added] = map.emplace(key, named.tensor);
        if (!added && !isSameArray(place->second, named.tensor))
            return fail("has two tensors for the same layer and kind: " + place->second.name + " and " +
                            named.tensor.name,
                        table.name, kNamingAdvice);
    }
    noteIgnored(ignored, groups);
    recogniseLatents(config, groups);
    for (const TensorRole role : {TensorRole::Key, TensorRole::Value, TensorRole::KeyValue, TensorRole::Latent}) {
        const auto found = groups.of(role);
        if (found.size() > 1 && found.front().first == kAllLayers)
            return fail("has " + found.front().second->name + " for all layers and " + found[1].second->name +
                            " for one layer",
                        table.name, kNamingAdvice);
    }
    const bool noneOfCaches =
        std::ranges::none_of(table.tensors, [](const StoredTensor& tensor) { return tensor.dtype.has_value(); });
    if (groups.values.empty() && noneOfCaches && !table.tensors.empty())
        return fail("holds values of type " + table.tensors.front().typeName.substr(0, 60) + ", which no cache has",
                    table.name, "Save K and V as float32, float16 or bfloat16");
    if (groups.values.empty())
        return fail("holds no K or V tensors", table.name,
                    table.tensors.empty() ? "It has no tensors at all" : kNamingAdvice);
    return groups;
}

} // namespace kvscope
