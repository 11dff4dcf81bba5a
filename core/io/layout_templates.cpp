// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/layout_templates.h"

#include "core/io/axes.h"

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <string_view>

namespace kvscope {

namespace {

constexpr std::int64_t kLayerLimit = 4096;
constexpr std::int64_t kPlaneLimit = 1 << 18;

/// An axis order seen in the wild and how usual it is among those of the same rank.
struct Template {
    std::string_view axes;
    double weight;
};

// Hugging Face and ONNX [B,H,T,D]; flash-attention and JAX [B,T,H,D]; transposed storage [B,H,D,T]; Megatron [T,B,H,D].
constexpr std::array<Template, 11> kOneKindOneLayer{{{"SHTD", 1},
                                                     {"STHD", 0.7},
                                                     {"SHDT", 0.15},
                                                     {"TSHD", 0.05},
                                                     {"HTD", 1},
                                                     {"THD", 1},
                                                     {"STC", 0.5},
                                                     {"HDT", 0.1},
                                                     {"TSC", 0.02},
                                                     {"TC", 1},
                                                     {"CT", 0.1}}};

// vLLM [2,T,H,D] and [T,H,2D], LMCache KV_2TD [2,T,C] and KV_T2D [T,2,C], stacks of Hugging Face's pairs.
constexpr std::array<Template, 15> kBothKindsOneLayer{{{"XSHTD", 1},
                                                       {"XSTHD", 0.6},
                                                       {"SXHTD", 0.3},
                                                       {"SXTHD", 0.3},
                                                       {"XHTD", 1},
                                                       {"XTHD", 1},
                                                       {"TXHD", 0.5},
                                                       {"THXD", 0.3},
                                                       {"XSTC", 0.3},
                                                       {"SXTC", 0.2},
                                                       {"XTC", 1},
                                                       {"TXC", 0.7},
                                                       {"STXC", 0.05},
                                                       {"HTXD", 0.1},
                                                       {"XCT", 0.1}}};

constexpr std::array<Template, 11> kOneKindAllLayers{{{"LSHTD", 1},
                                                      {"LSTHD", 0.7},
                                                      {"SLHTD", 0.2},
                                                      {"LSHDT", 0.1},
                                                      {"LTHD", 1},
                                                      {"LHTD", 1},
                                                      {"LSTC", 0.3},
                                                      {"LHDT", 0.1},
                                                      {"LTC", 1},
                                                      {"LCT", 0.05},
                                                      {"TC", 1}}};

// CacheGen [L,2,T,H,D] and [L,2,H,T,D]; LMCache KV_2LTD [2,L,T,C]; JAX-like stacks with the kind outermost.
constexpr std::array<Template, 28> kBothKindsAllLayers{
    {{"LXSHTD", 1},   {"LXSTHD", 0.8}, {"XLSHTD", 0.6}, {"XLSTHD", 0.5}, {"SLXHTD", 0.2}, {"SLXTHD", 0.2},
     {"LSXHTD", 0.2}, {"LSXTHD", 0.2}, {"LXTHD", 1},    {"LXHTD", 1},    {"XLTHD", 0.7},  {"XLHTD", 0.7},
     {"LXSTC", 0.2},  {"XLSTC", 0.1},  {"LTXHD", 0.2},  {"LXHDT", 0.1},  {"TLXHD", 0.05}, {"XSHTD", 0.1},
     {"XSTHD", 0.1},  {"LXTC", 1},     {"XLTC", 0.8},   {"LTXC", 0.3},   {"TLXC", 0.2},   {"XHTD", 0.2},
     {"XTHD", 0.2},   {"XTC", 1},      {"TXC", 0.5},    {"LXCT", 0.05}}};

constexpr std::array<Template, 4> kLatentOneLayer{{{"TC", 1}, {"STC", 1}, {"SHTD", 1}, {"STHD", 0.8}}};
constexpr std::array<Template, 5> kLatentAllLayers{
    {{"LTC", 1}, {"LSTC", 0.7}, {"XLTC", 0.7}, {"LXTC", 0.5}, {"TC", 1}}};

std::span<const Template> templatesFor(TensorRole role, bool perLayer) {
    if (role == TensorRole::KeyValue)
        return perLayer ? std::span<const Template>(kBothKindsOneLayer) : kBothKindsAllLayers;
    if (role == TensorRole::Latent)
        return perLayer ? std::span<const Template>(kLatentOneLayer) : kLatentAllLayers;
    return perLayer ? std::span<const Template>(kOneKindOneLayer) : kOneKindAllLayers;
}

bool contradicts(std::optional<std::int64_t> wanted, std::int64_t size) {
    return wanted && *wanted != size;
}

/// Whether the reading is possible at all: K and V come in two, layers are few, and the user's numbers hold.
bool isPossible(const AxisReading& reading, TensorRole role, const GeometryHints& hints) {
    const OpenOptions& options = *hints.options;
    const std::int64_t kinds = reading.size('X');
    if (reading.find('X') != nullptr && kinds != (role == TensorRole::Latent ? 1 : 2))
        return false;
    if (role == TensorRole::Latent && reading.size('H') != 1)
        return false;
    const std::int64_t layers = reading.size('L');
    const std::int64_t sequences = reading.size('S');
    if (layers > kLayerLimit || sequences > kPlaneLimit || layers * sequences > kPlaneLimit)
        return false;
    if (std::any_of(reading.axes.begin(), reading.axes.end(),
                    [](const TensorAxis& axis) { return axis.letter != 'T' && axis.size == 0; }))
        return false;
    if (reading.find('L') != nullptr && contradicts(options.layers, layers))
        return false;
    if (contradicts(options.tokens, reading.size('T')))
        return false;
    if (reading.find('C') != nullptr) {
        const std::int64_t channels = reading.size('C');
        return (!options.heads || channels % *options.heads == 0) &&
               (!options.headDim || channels % *options.headDim == 0) &&
               (!options.heads || !options.headDim || *options.heads * *options.headDim == channels);
    }
    return !(reading.find('H') != nullptr && contradicts(options.heads, reading.size('H'))) &&
           !contradicts(options.headDim, reading.size('D'));
}

double agreement(std::optional<std::int64_t> expected, std::int64_t size) {
    if (!expected)
        return 1.0;
    return *expected == size ? 6.0 : 0.2;
}

/// Whether all sizes are those of the configuration, as far as it gives them.
bool agreesWithConfig(const AxisReading& reading, const ModelConfig& config) {
    if (!config.kvHeads || !config.headDim)
        return false;
    const auto differs = [&](char letter, std::optional<std::int64_t> expected) {
        return reading.find(letter) != nullptr && expected && reading.size(letter) != *expected;
    };
    return !differs('L', config.layers) && !differs('H', config.kvHeads) && !differs('D', config.headDim) &&
           !differs('C', *config.kvHeads * *config.headDim);
}

/// How much the sizes look like those of a model's cache.
double plausibility(const AxisReading& reading, const GeometryHints& hints) {
    double weight = 1.0;
    if (reading.find('S') != nullptr)
        weight *= reading.size('S') == 1 ? 1.0 : 0.3;
    if (reading.find('S') != nullptr && reading.size('S') > 64)
        weight *= 0.05;
    if (reading.find('D') != nullptr) {
        const std::int64_t dim = reading.size('D');
        weight *= dim % 8 == 0 && dim <= 1024 ? 1.0 : dim % 2 == 0 ? 0.4 : 0.1;
    }
    if (reading.find('H') != nullptr && reading.size('H') > 64)
        weight *= reading.size('H') > 256 ? 0.02 : 0.4;
    if (reading.find('H') != nullptr && reading.size('H') % 2 != 0 && reading.size('H') > 5)
        weight *= 0.3;
    if (reading.size('T') == 1)
        weight *= 0.1;
    if (reading.find('L') != nullptr && reading.size('L') > 160)
        weight *= 0.05;
    if (hints.tokens > 0)
        weight *= reading.size('T') == hints.tokens || reading.size('T') + 1 == hints.tokens ? 8.0 : 0.5;
    if (hints.config != nullptr) {
        const ModelConfig& config = *hints.config;
        if (reading.find('L') != nullptr)
            weight *= agreement(config.layers, reading.size('L'));
        if (reading.find('H') != nullptr)
            weight *= agreement(config.kvHeads, reading.size('H'));
        if (reading.find('D') != nullptr)
            weight *= agreement(config.headDim, reading.size('D'));
        if (reading.find('C') != nullptr && config.kvHeads && config.headDim)
            weight *= agreement(*config.kvHeads * *config.headDim, reading.size('C'));
    }
    return weight;
}

/// The reading of every tensor of a role under one order of axes; empty when one of them does not fit.
std::vector<AxisReading> readAll(const TensorGroups& groups, TensorRole role, std::string_view axes,
                                 const GeometryHints& hints) {
    std::vector<AxisReading> readings;
    for (const auto& [layer, tensor] : groups.of(role)) {
        auto reading = readAxes(*tensor, axes);
        if (!reading || !isPossible(*reading, role, hints))
            return {};
        readings.push_back(std::move(*reading));
    }
    return readings;
}

/// Whether V can be read so beside K: the same layers, sequences, heads and tokens.
bool agree(const std::vector<AxisReading>& keys, const std::vector<AxisReading>& values) {
    if (keys.size() != values.size())
        return false;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        for (const char letter : {'L', 'S', 'H', 'T'}) {
            if (keys[i].size(letter) != values[i].size(letter))
                return false;
        }
    }
    return true;
}

std::string transposed(std::string axes) {
    for (const char channel : {'D', 'C'}) {
        const auto token = axes.find('T');
        const auto place = axes.find(channel);
        if (place != std::string::npos)
            std::swap(axes[token], axes[place]);
    }
    return axes;
}

/// The orders that V may have beside K's.
std::vector<LayoutChoice> withValues(const TensorGroups& groups, const GeometryHints& hints, const LayoutChoice& key,
                                     const std::vector<AxisReading>& readings) {
    std::vector<LayoutChoice> choices;
    for (const auto& [axes, weight] : {std::pair(key.main, 1.0), std::pair(transposed(key.main), 0.2)}) {
        if (agree(readings, readAll(groups, TensorRole::Value, axes, hints)))
            choices.push_back({key.main, axes, key.prior * weight});
    }
    return choices;
}

std::string shapesOf(const TensorGroups& groups, TensorRole role) {
    const auto tensors = groups.of(role);
    std::string text = "[";
    const auto& shape = tensors.front().second->shape;
    for (std::size_t i = 0; i < shape.size(); ++i)
        text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
    return text + "]";
}

Result<std::vector<LayoutChoice>> chosenLayout(const TensorGroups& groups, const GeometryHints& hints,
                                               const std::string& where) {
    const std::string& text = *hints.options->axes;
    const auto slash = text.find('/');
    LayoutChoice choice;
    choice.main = text.substr(0, slash);
    choice.value = slash == std::string::npos ? choice.main : text.substr(slash + 1);
    const TensorRole role = mainRole(groups);
    for (const auto& [tensorRole, axes] : {std::pair(role, choice.main), std::pair(TensorRole::Value, choice.value)}) {
        for (const auto& [layer, tensor] : groups.of(tensorRole)) {
            KVSCOPE_ASSIGN(const AxisReading reading, readAxes(*tensor, axes));
            if (!isPossible(reading, tensorRole, hints))
                return fail("the axes \"" + text + "\" do not fit the shape " + shapesOf(groups, tensorRole) +
                                " with the layers, heads, head dimension and tokens that are given",
                            where, "Check the axes and numbers; X needs a size of 2");
        }
    }
    return std::vector{choice};
}

} // namespace

std::optional<std::int64_t> GeometryHints::heads() const {
    if (options->heads)
        return options->heads;
    return config != nullptr ? config->kvHeads : std::nullopt;
}

std::optional<std::int64_t> GeometryHints::headDim() const {
    if (options->headDim)
        return options->headDim;
    return config != nullptr ? config->headDim : std::nullopt;
}

std::int64_t GeometryHints::headsOf(std::int64_t channels) const {
    if (options->heads && *options->heads > 0 && channels % *options->heads == 0)
        return *options->heads;
    if (options->headDim && *options->headDim > 0 && channels % *options->headDim == 0)
        return channels / *options->headDim;
    if (config == nullptr)
        return 0;
    if (config->headDim && channels % *config->headDim == 0)
        return channels / *config->headDim;
    if (config->kvHeads && channels % *config->kvHeads == 0)
        return *config->kvHeads;
    return 0;
}

TensorRole mainRole(const TensorGroups& groups) {
    for (const TensorRole role : {TensorRole::KeyValue, TensorRole::Key, TensorRole::Value, TensorRole::Latent,
                                  TensorRole::KeyBeforeRope, TensorRole::Query}) {
        if (groups.has(role))
            return role;
    }
    return TensorRole::LatentRope;
}

Result<std::vector<LayoutChoice>> findLayouts(const TensorGroups& groups, const GeometryHints& hints,
                                              const std::string& where) {
    const OpenOptions& options = *hints.options;
    for (const auto& [name, number] :
         {std::pair("layers", options.layers), std::pair("heads", options.heads),
          std::pair("head dimension", options.headDim), std::pair("tokens", options.tokens)}) {
        if (number && *number < 1)
            return fail("the number of " + std::string(name) + " given is " + std::to_string(*number), where,
                        "Give a number of at least 1");
    }
    if (options.axes)
        return chosenLayout(groups, hints, where);
    const TensorRole role = mainRole(groups);
    std::vector<LayoutChoice> choices;
    bool anyAgrees = false;
    for (const Template& usual : templatesFor(role, groups.perLayer(role))) {
        const auto readings = readAll(groups, role, usual.axes, hints);
        if (readings.empty())
            continue;
        // Where the configuration's sizes can be found in the shape, readings without them are out.
        const bool agrees = hints.config != nullptr && agreesWithConfig(readings.front(), *hints.config);
        if (anyAgrees && !agrees)
            continue;
        if (agrees && !anyAgrees)
            choices.clear();
        anyAgrees = agrees;
        const std::string axes(usual.axes);
        LayoutChoice choice{axes, axes, usual.weight * plausibility(readings.front(), hints)};
        if (hints.fromTransformers && axes == "SHTD")
            choice.prior *= 20;
        if (role == TensorRole::Key && groups.has(TensorRole::Value)) {
            for (auto& both : withValues(groups, hints, choice, readings))
                choices.push_back(std::move(both));
        } else {
            choices.push_back(choice);
        }
    }
    if (choices.empty())
        return fail("has the shape " + shapesOf(groups, role) + ", which fits no known layout of " +
                        (role == TensorRole::KeyValue ? "K and V" : "a cache"),
                    where, "Say which axis is what, outermost first (--axes, e.g. LXTHD), if it is a KV cache");
    std::stable_sort(choices.begin(), choices.end(),
                     [](const LayoutChoice& a, const LayoutChoice& b) { return a.prior > b.prior; });
    return choices;
}

std::string companionAxes(const StoredTensor& tensor, bool perLayer, std::int64_t layers, std::int64_t tokens) {
    for (const Template& usual : templatesFor(TensorRole::Query, perLayer)) {
        const auto reading = readAxes(tensor, usual.axes);
        if (reading && reading->size('T') == tokens && reading->size('S') == 1 &&
            (perLayer || reading->size('L') == layers))
            return std::string(usual.axes);
    }
    return {};
}

} // namespace kvscope
