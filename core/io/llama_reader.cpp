// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/llama_reader.h"

#include "core/base/hash.h"
#include "core/io/dequantised_source.h"
#include "core/io/llama_heads.h"
#include "core/io/llama_sequences.h"
#include "core/io/llama_state.h"
#include "core/io/model_config.h"
#include "core/io/rope_guess.h"
#include "core/io/side_files.h"
#include "core/kv/strided_cache.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <system_error>

namespace kvscope {

namespace {

/// More runs of neighbouring cells than this are described by a page table instead of one part each.
constexpr std::size_t kMaxRuns = 64;
constexpr std::int64_t kSampleRows = 256;
constexpr std::int64_t kSampleValues = std::int64_t{1} << 22;
constexpr std::int64_t kMaxSampleWidth = 1 << 16;

/// Where one layer of the model lies in the file.
struct LayerPlace {
    std::size_t memory = 0;
    std::size_t index = 0;
};

/// How the channels of a layer are divided.
struct HeadShape {
    std::int64_t heads = 1;
    std::int64_t headDim = 0;
};

/// Who says how K is divided into heads.
struct HeadRule {
    /// The same number in every layer, or 0.
    std::int64_t heads = 0;
    /// Else the same dimension in every layer, or 0: one head.
    std::int64_t headDim = 0;
    /// The user says so, and is told where it does not fit.
    bool strict = false;
};

class LlamaAssembler {
public:
    LlamaAssembler(ByteSourcePtr file, const std::filesystem::path& path, const OpenOptions& options, LlamaState state,
                   SideFiles side)
        : file_(std::move(file))
        , path_(path)
        , options_(options)
        , state_(std::move(state))
        , side_(std::move(side)) {}

    Result<OpenedDump> assemble() {
        notes_ = side_.notes;
        KVSCOPE_ASSIGN(sequences_, chooseSequences(state_, options_.sequence, path_.string(), notes_));
        KVSCOPE_TRY(checkStreams());
        orderLayers();
        KVSCOPE_TRY(decideHeads());
        noteOrder();
        KVSCOPE_ASSIGN(auto cache, build(rule_));
        return OpenedDump{std::move(cache), {}, {}, std::move(sequences_.choice)};
    }

private:
    [[nodiscard]] tl::unexpected<Error> wrong(const std::string& what, const std::string& advice) const {
        return fail(what, path_.string(), advice);
    }
    void note(CacheNote::Severity severity, std::string text) { notes_.push_back({severity, std::move(text)}); }

    /// A stream that has cells: all of them have the same layers.
    [[nodiscard]] const LlamaStream& streamOf(std::size_t memory) const {
        const auto& streams = state_.memories[memory].streams;
        return *std::find_if(streams.begin(), streams.end(), [](const LlamaStream& s) { return !s.cells.empty(); });
    }
    [[nodiscard]] const LlamaTensor& keyOf(LayerPlace place) const { return streamOf(place.memory).keys[place.index]; }
    [[nodiscard]] bool hasValues(LayerPlace place) const { return !streamOf(place.memory).values.empty(); }
    [[nodiscard]] std::string model() const {
        return !state_.architecture.empty() ? state_.architecture : side_.config ? side_.config->model : std::string();
    }
    [[nodiscard]] bool undo() const { return options_.undoHadamard.value_or(false); }

    [[nodiscard]] Result<void> checkStreams() const;
    void orderLayers();
    Result<void> decideHeads();
    Result<void> guess(LayerPlace sample, HeadHints hints);
    void noteRotation(const HeadGuess& found);
    void noteOrder();
    [[nodiscard]] Result<HeadShape> keyShape(std::int64_t width, const HeadRule& rule) const;
    [[nodiscard]] PlaneGeometry planeGeometry(LayerPlace place, const LlamaTensor& tensor, HeadShape shape) const;
    [[nodiscard]] Result<StridedPlane> plane(PlaneId id, LayerPlace place, HeadShape shape) const;
    [[nodiscard]] Result<KvCache> build(const HeadRule& rule) const;
    [[nodiscard]] CacheInfo makeInfo(const KvGeometry& geometry) const;
    [[nodiscard]] std::uint64_t fingerprint(const KvGeometry& geometry) const;
    [[nodiscard]] std::vector<std::optional<Rope>> ropes(const KvGeometry& geometry) const;

    ByteSourcePtr file_;
    const std::filesystem::path& path_;
    const OpenOptions& options_;
    LlamaState state_;
    SideFiles side_;
    std::vector<CacheNote> notes_;
    LlamaSequences sequences_;
    /// Layer by layer of the model.
    std::vector<LayerPlace> places_;
    HeadRule rule_;
    Rope::Pairing pairing_ = Rope::Pairing::Interleaved;
};

Result<void> LlamaAssembler::checkStreams() const {
    const auto same = [](const std::vector<LlamaTensor>& a, const std::vector<LlamaTensor>& b) {
        return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const LlamaTensor& x, const LlamaTensor& y) {
            return x.type == y.type && x.width == y.width;
        });
    };
    for (std::size_t memory = 0; memory < state_.memories.size(); ++memory) {
        const auto& first = streamOf(memory);
        for (const auto& stream : state_.memories[memory].streams) {
            if (!stream.cells.empty() && (!same(stream.keys, first.keys) || !same(stream.values, first.values)))
                return wrong("its streams have layers of different types or widths", "The file is damaged");
        }
    }
    return {};
}

/// Two memories hold the layers without and with a sliding window; which layer of the model is which is in neither.
void LlamaAssembler::orderLayers() {
    std::vector<std::size_t> counts;
    for (std::size_t memory = 0; memory < state_.memories.size(); ++memory)
        counts.push_back(streamOf(memory).keys.size());
    std::vector<bool> windowed;
    if (counts.size() == 2) {
        const auto total = counts[0] + counts[1];
        const auto pattern = llamaWindowPattern(state_.architecture);
        if (side_.config && side_.config->slidingLayers.size() == total) {
            windowed = side_.config->slidingLayers;
        } else if (pattern.period > 0) {
            for (std::size_t i = 0; i < total; ++i)
                windowed.push_back(pattern.windowed(static_cast<std::int64_t>(i)));
        }
        if (static_cast<std::size_t>(std::count(windowed.begin(), windowed.end(), true)) != counts[1])
            windowed.clear();
        if (windowed.empty())
            note(CacheNote::Severity::Warning,
                 "The file holds " + std::to_string(counts[0]) + " layers of full attention and then " +
                     std::to_string(counts[1]) +
                     " with a sliding window, and nothing tells how they alternate in the model: they are numbered in "
                     "the order of the file. Put the model's config.json beside it to have them in the model's");
    }
    std::vector<std::size_t> next(counts.size(), 0);
    for (const bool inWindow : windowed) {
        const std::size_t memory = inWindow ? 1 : 0;
        places_.push_back({memory, next[memory]++});
    }
    for (std::size_t memory = 0; memory < counts.size(); ++memory) {
        while (next[memory] < counts[memory])
            places_.push_back({memory, next[memory]++});
    }
}

Result<HeadShape> LlamaAssembler::keyShape(std::int64_t width, const HeadRule& rule) const {
    const bool fits = rule.heads > 0
                          ? width % rule.heads == 0 && (rule.headDim == 0 || rule.heads * rule.headDim == width)
                          : rule.headDim > 0 && width % rule.headDim == 0;
    if (fits && rule.heads > 0)
        return HeadShape{rule.heads, width / rule.heads};
    if (fits)
        return HeadShape{width / rule.headDim, rule.headDim};
    if (!rule.strict)
        return HeadShape{1, width};
    return wrong("a layer has " + std::to_string(width) + " channels of K, which are not " +
                     (rule.heads > 0 ? std::to_string(rule.heads) + " equal heads" : std::string("heads")) +
                     (rule.headDim > 0 ? " of " + std::to_string(rule.headDim) : std::string()),
                 "Correct the number of heads or the head dimension");
}

/// Asks the options, then a configuration, then the keys themselves.
Result<void> LlamaAssembler::decideHeads() {
    const auto sample = places_[places_.size() / 2];
    const auto width = keyOf(sample).width;
    HeadHints hints;
    hints.pairing = options_.ropePairing ? options_.ropePairing : llamaPairing(model());
    hints.mayBeRotated = keyOf(sample).type->quantised() && state_.mayBeRotated;
    pairing_ = hints.pairing.value_or(Rope::Pairing::Interleaved);
    if (options_.ropeTheta)
        hints.theta = options_.ropeTheta;
    else if (side_.config && side_.config->rope)
        hints.theta = side_.config->rope->theta;
    if (options_.heads.value_or(1) < 1 || options_.headDim.value_or(1) < 1)
        return wrong("was opened with a number of heads or a head dimension below 1", "Give positive numbers");
    if (!hasValues(sample)) {
        note(CacheNote::Severity::Info,
             "The file holds one matrix a layer and no V: it is shown as a latent cache (MLA). "
             "Were the model not one of those, the file would be cut off");
        rule_ = {1, 0, false};
        return {};
    }
    rule_ = {options_.heads.value_or(0), options_.headDim.value_or(0), true};
    if (rule_.heads == 0 && rule_.headDim == 0) {
        rule_.strict = false;
        if (side_.config) {
            const auto& config = *side_.config;
            if (config.kvHeads && width % *config.kvHeads == 0 &&
                (!config.headDim || *config.kvHeads * *config.headDim == width))
                rule_.heads = *config.kvHeads;
            else if (config.headDim && width % *config.headDim == 0)
                rule_.headDim = *config.headDim;
            else if (config.kvHeads || config.headDim)
                note(CacheNote::Severity::Warning, "The heads that " + config.source + " gives do not fit the " +
                                                       std::to_string(width) + " channels of K in the file");
        }
    }
    if (rule_.heads > 0 || rule_.headDim > 0) {
        KVSCOPE_ASSIGN(const auto shape, keyShape(width, rule_));
        hints.headDims = {shape.headDim};
        if (hints.pairing && !hints.mayBeRotated)
            return {};
    }
    return guess(sample, hints);
}

/// Asks the keys for what is still open: the head dimension, the pairing, the Hadamard rotation.
Result<void> LlamaAssembler::guess(LayerPlace sample, HeadHints hints) {
    const auto width = keyOf(sample).width;
    HeadGuess found;
    found.headDim = !hints.headDims.empty() ? hints.headDims.front() : width % 128 == 0 ? 128 : width;
    if (width <= kMaxSampleWidth) {
        // One head of all channels, as stored.
        const auto geometry = planeGeometry(sample, keyOf(sample), {1, width});
        const auto rows = std::min({geometry.tokens, kSampleRows, kSampleValues / width});
        KvGeometry whole;
        whole.layers.resize(1);
        whole.layers.back().plane(PlaneKind::Key) = geometry;
        const PlaneId id{LayerIndex(0), PlaneKind::Key, SequenceIndex(0)};
        KVSCOPE_ASSIGN(auto parts, plane(id, sample, {1, width}));
        std::vector<StridedPlane> planes;
        planes.push_back(std::move(parts));
        CacheInfo info;
        info.name = path_.filename().string();
        KVSCOPE_ASSIGN(const auto cache, makeStridedCache(std::move(whole), std::move(info), std::move(planes)));
        std::vector<float> keys(static_cast<std::size_t>(rows * width));
        KVSCOPE_TRY(cache.readRows(id, tokenRange(0, rows), keys));
        std::vector<std::int64_t> positions;
        for (std::int64_t t = 0; t < rows; ++t)
            positions.push_back(geometry.position(TokenIndex(t)));
        const KeySample keySample{keys, width, positions};
        found = guessHeads({&keySample, 1}, hints);
    }
    if (!hints.pairing && found.clear())
        pairing_ = found.pairing;
    if (hints.headDims.empty()) {
        rule_ = {0, found.headDim, false};
        note(CacheNote::Severity::Warning,
             "The file does not say how the " + std::to_string(width) + " channels of K are divided: " +
                 std::to_string(width / found.headDim) + " heads of " + std::to_string(found.headDim) +
                 (found.clear() ? " is what the rotation of the keys shows (theta near " +
                                      std::to_string(std::lround(found.theta)) + ")"
                                : std::string(" is a guess by custom alone, for the keys show no clear rotation")) +
                 ". Give the number of heads, or put the model's config.json beside the file, to be sure");
    }
    if (hints.mayBeRotated && keyHadamardSize(found.headDim) > 0)
        noteRotation(found);
    return {};
}

void LlamaAssembler::noteRotation(const HeadGuess& found) {
    const std::string type(keyOf(places_[places_.size() / 2]).type->name);
    if (options_.undoHadamard) {
        note(CacheNote::Severity::Info, undo() ? "The Hadamard rotation of quantised K and V was undone, as asked"
                                               : "Quantised K and V were taken as not Hadamard-rotated, as told");
        return;
    }
    const auto margin = found.rotatedScore - found.plainScore;
    const bool told = found.clear() && std::abs(margin) > 0.2;
    const std::string verdict = !told        ? "The keys do not tell"
                                : margin > 0 ? "The rotation of the keys suggests that it did"
                                             : "The rotation of the keys suggests that it did not";
    note(
        CacheNote::Severity::Warning,
        "K is " + type +
            ": llama.cpp may have multiplied quantised K and V by a Hadamard matrix, which the file does not record. " +
            verdict + "; they are shown as stored. Say when opening whether to undo it");
}

/// Tells of cells that do not lie in the order of the text.
void LlamaAssembler::noteOrder() {
    for (const auto& sequence : sequences_.slots.front()) {
        for (std::size_t i = 1; i < sequence.size(); ++i) {
            if (sequence[i].stream != sequence[i - 1].stream || sequence[i].cell < sequence[i - 1].cell) {
                note(CacheNote::Severity::Info,
                     "The slots of the cache are not in the order of the text; tokens are shown by position");
                return;
            }
        }
    }
}

PlaneGeometry LlamaAssembler::planeGeometry(LayerPlace place, const LlamaTensor& tensor, HeadShape shape) const {
    const auto& slots = sequences_.slots[place.memory].front();
    PlaneGeometry plane;
    plane.heads = shape.heads;
    plane.headDim = shape.headDim;
    plane.tokens = static_cast<std::int64_t>(slots.size());
    plane.dtype = tensor.type->plain.value_or(DType::F32);
    if (tensor.type->quantised()) {
        plane.storage = tensor.type->name;
        plane.storedRowBytes = tensor.width / tensor.type->blockValues * tensor.type->blockBytes;
    }
    if (slots.empty())
        return plane;
    plane.firstPosition = slots.front().position;
    const auto consecutive = std::adjacent_find(slots.begin(), slots.end(), [](const LlamaSlot& a, const LlamaSlot& b) {
                                 return b.position != a.position + 1;
                             }) == slots.end();
    if (!consecutive) {
        for (const auto& slot : slots)
            plane.positions.push_back(slot.position);
    }
    return plane;
}

/// The parts of a plane: one for each run of neighbouring cells, or for each stream where there are many runs.
Result<StridedPlane> LlamaAssembler::plane(PlaneId id, LayerPlace place, HeadShape shape) const {
    const bool key = id.kind != PlaneKind::Value;
    const auto& memory = state_.memories[place.memory];
    const auto& slots = sequences_.slots[place.memory][static_cast<std::size_t>(id.sequence.value)];
    std::vector<std::size_t> begins;
    std::vector<std::size_t> streamBegins;
    for (std::size_t i = 0; i < slots.size(); ++i) {
        const bool sameStream = i > 0 && slots[i].stream == slots[i - 1].stream;
        if (!sameStream)
            streamBegins.push_back(i);
        if (!sameStream || slots[i].cell != slots[i - 1].cell + 1)
            begins.push_back(i);
    }
    const bool paged = begins.size() > kMaxRuns;
    const auto& starts = paged ? streamBegins : begins;
    std::vector<ByteSourcePtr> decoded(memory.streams.size());
    StridedPlane plane{id, {}};
    for (std::size_t i = 0; i < starts.size(); ++i) {
        const auto& first = slots[starts[i]];
        const auto& stream = memory.streams[first.stream];
        const auto& tensor = (key ? stream.keys : stream.values)[place.index];
        const auto cells = static_cast<std::int64_t>(stream.cells.size());
        StridedPart part;
        part.tokenBegin = static_cast<std::int64_t>(starts[i]);
        part.tokenCount = static_cast<std::int64_t>((i + 1 < starts.size() ? starts[i + 1] : slots.size()) - starts[i]);
        part.headCount = shape.heads;
        part.tokenStride = tensor.transposed ? 1 : tensor.width;
        part.dimStride = tensor.transposed ? cells : 1;
        part.headStride = shape.headDim * part.dimStride;
        part.stored = tensor.type->plain.value_or(DType::F32);
        if (tensor.type->quantised()) {
            auto& source = decoded[first.stream];
            if (source == nullptr) {
                const auto size = undo() ? (key                       ? keyHadamardSize(shape.headDim)
                                            : shape.headDim % 64 == 0 ? 64
                                                                      : 0)
                                         : 0;
                KVSCOPE_ASSIGN(source,
                               dequantisedSource(file_, tensor.offset, *tensor.type, cells * tensor.width, size));
            }
            part.bytes = source;
        } else {
            part.bytes = file_;
            part.offset = tensor.offset;
        }
        if (paged) {
            auto pages = std::make_shared<PageTable>();
            pages->blockStride = part.tokenStride;
            for (std::int64_t t = 0; t < part.tokenCount; ++t)
                pages->blocks.push_back(slots[starts[i] + static_cast<std::size_t>(t)].cell);
            part.pages = std::move(pages);
        } else {
            part.offset += first.cell * part.tokenStride * sizeOf(part.stored);
        }
        plane.parts.push_back(std::move(part));
    }
    return plane;
}

Result<KvCache> LlamaAssembler::build(const HeadRule& rule) const {
    KvGeometry geometry;
    geometry.sequences = static_cast<std::int64_t>(sequences_.ids.size());
    std::vector<StridedPlane> planes;
    for (std::size_t i = 0; i < places_.size(); ++i) {
        const auto place = places_[i];
        const auto& stream = streamOf(place.memory);
        auto& layer = geometry.layers.emplace_back();
        KVSCOPE_ASSIGN(const auto keys, keyShape(keyOf(place).width, rule));
        const auto keyKind = hasValues(place) ? PlaneKind::Key : PlaneKind::Latent;
        layer.plane(keyKind) = planeGeometry(place, keyOf(place), keys);
        HeadShape values;
        if (hasValues(place)) {
            const auto width = stream.values[place.index].width;
            values = width % keys.heads == 0 ? HeadShape{keys.heads, width / keys.heads} : HeadShape{1, width};
            layer.plane(PlaneKind::Value) = planeGeometry(place, stream.values[place.index], values);
        }
        for (std::int64_t sequence = 0; sequence < geometry.sequences; ++sequence) {
            const auto index = LayerIndex(static_cast<std::int64_t>(i));
            KVSCOPE_ASSIGN(auto key, plane({index, keyKind, SequenceIndex(sequence)}, place, keys));
            planes.push_back(std::move(key));
            if (hasValues(place)) {
                KVSCOPE_ASSIGN(auto value, plane({index, PlaneKind::Value, SequenceIndex(sequence)}, place, values));
                planes.push_back(std::move(value));
            }
        }
    }
    auto info = makeInfo(geometry);
    return makeStridedCache(std::move(geometry), std::move(info), std::move(planes));
}

std::vector<std::optional<Rope>> LlamaAssembler::ropes(const KvGeometry& geometry) const {
    const auto* key = geometry.find(LayerIndex(0), PlaneKind::Key);
    if (key == nullptr || key->headDim % 2 != 0)
        return {};
    if (options_.ropeTheta)
        return std::vector<std::optional<Rope>>(places_.size(),
                                                Rope::plain(*options_.ropeTheta, key->headDim, pairing_));
    if (!side_.config)
        return {};
    auto ropes = side_.config->ropes(geometry.layerCount(), key->headDim);
    // llama.cpp reorders the weights of some models, so that its pairs are not those of the configuration.
    for (auto& rope : ropes) {
        if (rope)
            rope->pairing = pairing_;
    }
    return ropes;
}

/// Changes with the file and with everything that changes which value is where.
std::uint64_t LlamaAssembler::fingerprint(const KvGeometry& geometry) const {
    std::error_code problem;
    const auto time = std::filesystem::last_write_time(path_, problem).time_since_epoch().count();
    if (problem)
        return 0;
    std::string text = path_.string() + "|" + std::to_string(file_->size()) + "|" + std::to_string(time) +
                       (undo() ? "|undone" : "|stored");
    for (const auto id : sequences_.ids)
        text += "|" + std::to_string(id);
    for (std::size_t i = 0; i < places_.size(); ++i) {
        text += "|" + std::to_string(places_[i].memory) + "," + std::to_string(places_[i].index);
        for (const auto& plane : geometry.layers[i].planes)
            text += plane ? "," + std::to_string(plane->heads) : std::string(",");
    }
    return hashBytes(std::as_bytes(std::span(text)));
}

CacheInfo LlamaAssembler::makeInfo(const KvGeometry& geometry) const {
    CacheInfo info;
    info.name = path_.filename().string();
    info.path = path_;
    info.format = std::string("llama.cpp ") + (state_.session ? "session" : "sequence") + " state, version " +
                  std::to_string(state_.version);
    const auto& stream = streamOf(0);
    const bool transposed = !stream.values.empty() && stream.values.front().transposed;
    info.layout = transposed ? "K [cell, head, dim], V [head, dim, cell]" : "[cell, head, dim]";
    info.model = model();
    info.rope = ropes(geometry);
    info.notes = notes_;
    std::int64_t end = 0;
    for (const auto& slots : sequences_.slots) {
        if (!slots.front().empty())
            end = std::max(end, slots.front().back().position + 1);
    }
    // The list in the file belongs to one sequence, which it does not name: the first, where it is long enough.
    if (static_cast<std::int64_t>(state_.tokens.size()) >= end) {
        CacheTokens tokens;
        tokens.ids.assign(state_.tokens.begin(), state_.tokens.end());
        info.tokens.push_back(std::move(tokens));
    }
    if (side_.tokens)
        info.tokens = {*side_.tokens};
    info.fingerprint = fingerprint(geometry);
    return info;
}

} // namespace

Result<OpenedDump> openLlamaState(const ByteSourcePtr& file, const std::filesystem::path& path,
                                  const OpenOptions& options) {
    KVSCOPE_ASSIGN(auto state, parseLlamaState(*file));
    KVSCOPE_ASSIGN(auto side, findSideFiles(path, options));
    try {
        return LlamaAssembler(file, path, options, std::move(state), std::move(side)).assemble();
    } catch (const std::bad_alloc&) {
        return fail("there is not enough memory for the list of its cells", path.string(), {}, Error::Kind::System);
    }
}

} // namespace kvscope
