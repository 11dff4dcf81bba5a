// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/llama_state.h"

#include "core/base/checked.h"
#include "core/io/little_endian.h"
#include "core/io/llama_heads.h"
#include "core/io/sequential_reader.h"

#include <algorithm>
#include <array>
#include <new>
#include <optional>
#include <utility>

namespace kvscope {

namespace {

constexpr std::uint32_t kSessionMagic = 0x6767736E;
constexpr std::uint32_t kSequenceMagic = 0x67677371;
constexpr std::uint32_t kMaxStreams = 4096;
constexpr std::uint32_t kMaxCells = 1U << 24;
constexpr std::uint32_t kMaxSequencesOfCell = 4096;
constexpr std::size_t kMaxSequenceEntries = std::size_t{1} << 24;
constexpr std::uint32_t kMaxLayers = 4096;
constexpr std::uint32_t kMaxArchitecture = 256;
constexpr int kMaxMemories = 2;
constexpr std::string_view kAdvice =
    "The file is truncated, damaged or by a version of llama.cpp that KVScope does not "
    "know: save the state again";

/// One of the layouts that share a version number.
struct Variant {
    /// Outputs, logits and embeddings before the cache (llama.cpp of mid 2025 and before; sessions only).
    bool outputs = false;
    /// The number of streams comes first (since Aug 2025).
    bool streams = true;
    /// Bytes of M-RoPE and the like in each cell.
    std::uint32_t extension = 0;
    /// V is there; MLA has none.
    bool values = true;
};

class LlamaParser {
public:
    LlamaParser(const ByteSource& file, Variant variant)
        : in_(file, 0)
        , variant_(variant) {}

    /// How far the parser came: how many headers behind the cells made sense, then where it is. The variant that fails
    /// last is the most likely one.
    [[nodiscard]] std::pair<int, std::int64_t> reached() const { return {headers_, in_.position()}; }

    Result<LlamaState> parse() {
        LlamaState state;
        KVSCOPE_TRY(parsePrefix(state));
        if (variant_.outputs)
            KVSCOPE_TRY(skipOutputs());
        while (in_.remaining() > 0 || state.memories.empty()) {
            if (state.memories.size() == kMaxMemories)
                return wrong("has " + std::to_string(in_.remaining()) + " bytes behind its end");
            KVSCOPE_ASSIGN(auto memory, parseMemory());
            state.memories.push_back(std::move(memory));
        }
        // Came after the outputs went out of the file and streams came into it.
        state.mayBeRotated = variant_.streams && !variant_.outputs;
        return state;
    }

    Result<void> parsePrefix(LlamaState& state) {
        KVSCOPE_ASSIGN(const auto magic, in_.number(4));
        state.session = magic == kSessionMagic;
        if (!state.session && magic != kSequenceMagic)
            return wrong("does not begin with ggsn or ggsq");
        KVSCOPE_ASSIGN(const auto version, in_.number(4));
        state.version = static_cast<std::uint32_t>(version);
        const bool known = state.session ? (version == 9 || version == 10) : (version == 2 || version == 3);
        if (!known)
            return wrong("is a " + std::string(state.session ? "session" : "sequence") + " of version " +
                         std::to_string(version) + "; KVScope reads " +
                         (state.session ? "9 and 10 of sessions" : "2 and 3 of sequences"));
        KVSCOPE_ASSIGN(const auto count, in_.number(4));
        if (in_.remaining() / 4 < static_cast<std::int64_t>(count))
            return wrong("claims " + std::to_string(count) + " tokens");
        state.tokens.reserve(count);
        for (std::uint64_t i = 0; i < count; ++i) {
            KVSCOPE_ASSIGN(const auto token, in_.number(4));
            state.tokens.push_back(static_cast<std::int32_t>(token));
        }
        if (!state.session)
            return {};
        KVSCOPE_ASSIGN(const auto length, in_.number(4));
        if (length == 0 || length > kMaxArchitecture)
            return wrong("claims that the name of its architecture has " + std::to_string(length) + " letters");
        KVSCOPE_ASSIGN(state.architecture, in_.text(length));
        return {};
    }

private:
    [[nodiscard]] tl::unexpected<Error> wrong(const std::string& what) const {
        return fail("the llama.cpp state " + what + " at byte " + std::to_string(in_.position()), in_.name(),
                    std::string(kAdvice));
    }

    /// `count` values of `bytes` each, jumped over.
    Result<void> skipArray(std::uint64_t count, std::uint64_t bytes) {
        if (in_.remaining() < 0 || count > static_cast<std::uint64_t>(in_.remaining()) / bytes)
            return wrong("claims " + std::to_string(count) + " values of " + std::to_string(bytes) + " bytes");
        return in_.skip(count * bytes);
    }

    Result<void> skipOutputs() {
        KVSCOPE_ASSIGN(const auto outputs, in_.number(4));
        KVSCOPE_TRY(skipArray(outputs, 4));
        KVSCOPE_ASSIGN(const auto logits, in_.number(8));
        KVSCOPE_TRY(skipArray(logits, 4));
        KVSCOPE_ASSIGN(const auto embeddings, in_.number(8));
        return skipArray(embeddings, 4);
    }

    Result<LlamaMemory> parseMemory() {
        LlamaMemory memory;
        std::uint64_t streams = 1;
        if (variant_.streams) {
            KVSCOPE_ASSIGN(streams, in_.number(4));
            if (streams == 0 || streams > kMaxStreams)
                return wrong("claims " + std::to_string(streams) + " streams");
        }
        bool cells = false;
        for (std::uint64_t i = 0; i < streams; ++i) {
            KVSCOPE_ASSIGN(auto stream, parseStream());
            cells = cells || !stream.cells.empty();
            memory.streams.push_back(std::move(stream));
        }
        if (!cells)
            return wrong("holds no token");
        return memory;
    }

    Result<LlamaStream> parseStream() {
        LlamaStream stream;
        KVSCOPE_ASSIGN(const auto count, in_.number(4));
        if (count == 0 && variant_.streams)
            return stream;
        const std::int64_t smallest = 8 + static_cast<std::int64_t>(variant_.extension);
        if (count == 0 || count > kMaxCells || in_.remaining() / smallest < static_cast<std::int64_t>(count))
            return wrong("claims " + std::to_string(count) + " cells");
        stream.cells.reserve(count);
        for (std::uint64_t i = 0; i < count; ++i)
            KVSCOPE_TRY(parseCell(stream));
        KVSCOPE_ASSIGN(const auto transposed, in_.number(4));
        KVSCOPE_ASSIGN(const auto layers, in_.number(4));
        if (transposed > 1)
            return wrong("has the transposition flag " + std::to_string(transposed));
        if (layers == 0 || layers > kMaxLayers)
            return wrong("claims " + std::to_string(layers) + " layers");
        ++headers_;
        const auto cells = static_cast<std::int64_t>(count);
        for (std::uint64_t i = 0; i < layers; ++i) {
            KVSCOPE_ASSIGN(auto tensor, parseTensor(cells, false));
            stream.keys.push_back(tensor);
        }
        for (std::uint64_t i = 0; variant_.values && i < layers; ++i) {
            KVSCOPE_ASSIGN(auto tensor, parseTensor(cells, transposed == 1));
            stream.values.push_back(tensor);
        }
        return stream;
    }

    Result<void> parseCell(LlamaStream& stream) {
        KVSCOPE_ASSIGN(const auto position, in_.number(4));
        KVSCOPE_ASSIGN(const auto sequences, in_.number(4));
        LlamaCell cell;
        cell.position = static_cast<std::int32_t>(static_cast<std::uint32_t>(position));
        if (cell.position < 0)
            return wrong("has a cell of position " + std::to_string(cell.position));
        if (sequences > kMaxSequencesOfCell)
            return wrong("has a cell of " + std::to_string(sequences) + " sequences");
        KVSCOPE_TRY(in_.skip(variant_.extension));
        if (stream.sequences.size() + sequences > kMaxSequenceEntries)
            return wrong("lists more than " + std::to_string(kMaxSequenceEntries) + " sequences of its cells");
        cell.sequenceBegin = stream.sequences.size();
        cell.sequenceCount = sequences;
        for (std::uint64_t i = 0; i < sequences; ++i) {
            KVSCOPE_ASSIGN(const auto id, in_.number(4));
            stream.sequences.push_back(static_cast<std::int32_t>(static_cast<std::uint32_t>(id)));
            if (stream.sequences.back() < 0)
                return wrong("has a cell of sequence " + std::to_string(stream.sequences.back()));
        }
        stream.cells.push_back(cell);
        return {};
    }

    Result<LlamaTensor> parseTensor(std::int64_t cells, bool transposed) {
        KVSCOPE_ASSIGN(const auto id, in_.number(4));
        LlamaTensor tensor;
        tensor.transposed = transposed;
        tensor.type = ggmlType(static_cast<std::int32_t>(static_cast<std::uint32_t>(id)));
        if (tensor.type == nullptr)
            return wrong("has values of the ggml type " +
                         std::to_string(static_cast<std::int32_t>(static_cast<std::uint32_t>(id))) +
                         ", which is none of those for a cache,");
        std::uint64_t rowBytes = 0;
        if (transposed) {
            KVSCOPE_ASSIGN(const auto elementBytes, in_.number(4));
            KVSCOPE_ASSIGN(const auto width, in_.number(4));
            if (tensor.type->quantised() || elementBytes != static_cast<std::uint64_t>(tensor.type->blockBytes))
                return wrong("has transposed values of " + std::to_string(elementBytes) + " bytes of type " +
                             std::string(tensor.type->name));
            rowBytes = width * elementBytes;
        } else {
            KVSCOPE_ASSIGN(rowBytes, in_.number(8));
        }
        const auto blockBytes = static_cast<std::uint64_t>(tensor.type->blockBytes);
        if (rowBytes == 0 || rowBytes % blockBytes != 0 || in_.remaining() < 0 ||
            rowBytes > static_cast<std::uint64_t>(in_.remaining()))
            return wrong("has rows of " + std::to_string(rowBytes) + " bytes of type " +
                         std::string(tensor.type->name));
        const auto row = static_cast<std::int64_t>(rowBytes);
        const auto bytes = checkedMul(row, cells);
        if (!bytes || *bytes > in_.remaining())
            return wrong("ends before " + std::to_string(cells) + " rows of " + std::to_string(row) + " bytes");
        tensor.width = row / tensor.type->blockBytes * tensor.type->blockValues;
        tensor.offset = in_.position();
        KVSCOPE_TRY(in_.skip(static_cast<std::uint64_t>(*bytes)));
        return tensor;
    }

    SequentialReader in_;
    Variant variant_;
    int headers_ = 0;
};

/// Models of multi-head latent attention, whose cache has no V of its own; an unknown name may be one.
bool mayLackValues(const LlamaState& prefix) {
    constexpr auto kLatent =
        std::to_array<std::string_view>({"deepseek2", "minicpm3", "kimi-linear", "glm-dsa", "plm"});
    return !prefix.session || std::find(kLatent.begin(), kLatent.end(), prefix.architecture) != kLatent.end() ||
           !llamaPairing(prefix.architecture);
}

/// All layouts, the ones of recent versions first.
std::vector<Variant> variantsOf(const LlamaState& prefix) {
    const bool newest = prefix.version >= (prefix.session ? 10U : 3U);
    std::vector<Variant> variants;
    for (const bool values : {true, false}) {
        if (!values && !mayLackValues(prefix))
            continue;
        for (const bool streams : {true, false}) {
            for (const bool outputs : {false, true}) {
                for (const std::uint32_t extension : {0U, 8U, 12U}) {
                    const bool possible = (!outputs || (prefix.session && !newest && extension == 0)) &&
                                          (streams || (!newest && extension == 0)) && (extension != 8 || !newest) &&
                                          (extension != 12 || newest);
                    if (possible)
                        variants.push_back({outputs, streams, extension, values});
                }
            }
        }
    }
    return variants;
}

} // namespace

bool looksLikeLlamaState(std::span<const std::byte> head) {
    if (head.size() < 4)
        return false;
    const auto magic = littleEndianAt<std::uint32_t>(head, 0);
    return magic == kSessionMagic || magic == kSequenceMagic;
}

Result<LlamaState> parseLlamaState(const ByteSource& file) {
    try {
        LlamaState prefix;
        KVSCOPE_TRY(LlamaParser(file, {}).parsePrefix(prefix));
        std::optional<Error> furthest;
        std::pair<int, std::int64_t> reached{-1, 0};
        for (const auto& variant : variantsOf(prefix)) {
            LlamaParser parser(file, variant);
            auto state = parser.parse();
            if (state)
                return state;
            if (state.error().kind == Error::Kind::System)
                return state;
            if (parser.reached() > reached) {
                reached = parser.reached();
                furthest = std::move(state.error());
            }
        }
        return tl::unexpected<Error>(std::move(*furthest));
    } catch (const std::bad_alloc&) {
        return fail("there is not enough memory for the list of its cells", file.name(), {}, Error::Kind::System);
    }
}

} // namespace kvscope
