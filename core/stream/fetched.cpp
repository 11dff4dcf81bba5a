// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/kvz_writer.h"
#include "core/io/kvz_dump.h"
#include "core/kv/convert.h"
#include "core/stream/fetch.h"
#include "core/stream/fetch_run.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

namespace kvscope {

namespace {

/// A chunk that was received, and where its tokens lie in the context and in what was fetched.
struct HeldChunk {
    std::size_t number = 0;
    std::size_t level = 0;
    TokenRange tokens;
    TokenIndex slot;
};

std::vector<HeldChunk> held(const Fetched& fetched) {
    std::vector<HeldChunk> chunks;
    TokenIndex slot(0);
    for (const std::size_t chunk : fetched.heldChunks()) {
        const TokenRange tokens = fetched.input.tokensOf(chunk);
        chunks.push_back({chunk, fetched.input.levels[fetched.timeline.chunks[chunk].candidate], tokens, slot});
        slot = slot + tokens.size();
    }
    return chunks;
}

/// A plane with only the tokens of the held chunks.
PlaneGeometry keepTokens(const PlaneGeometry& plane, std::span<const HeldChunk> chunks) {
    PlaneGeometry kept = plane;
    kept.positions.clear();
    for (const HeldChunk& chunk : chunks) {
        const TokenRange tokens = chunk.tokens.intersected(tokenRange(0, plane.tokens));
        for (TokenIndex token = tokens.begin; token < tokens.end; ++token)
            kept.positions.push_back(plane.position(token));
    }
    kept.tokens = static_cast<std::int64_t>(kept.positions.size());
    kept.firstPosition = kept.positions.empty() ? 0 : kept.positions.front();
    if (kept.tokens == 0 || kept.positions.back() - kept.positions.front() == kept.tokens - 1)
        kept.positions.clear();
    return kept;
}

KvGeometry keepTokens(KvGeometry geometry, std::span<const HeldChunk> chunks) {
    for (LayerGeometry& layer : geometry.layers) {
        for (const PlaneKind kind : kAllPlaneKinds) {
            if (auto& plane = layer.plane(kind))
                plane = keepTokens(*plane, chunks);
        }
    }
    return geometry;
}

CacheInfo infoOf(const Fetched& fetched, std::span<const HeldChunk> chunks) {
    CacheInfo info = fetched.directory.info;
    info.format = "fetched";
    info.fingerprint = 0;
    if (chunks.size() == fetched.input.input.chunkCount())
        return info;
    std::int64_t tokens = 0;
    for (const HeldChunk& chunk : chunks)
        tokens += chunk.tokens.size();
    const std::string share =
        std::to_string(tokens) + " of " + std::to_string(fetched.input.input.totalTokens()) + " tokens";
    info.name += std::string(kPartialMark) + share + ")";
    info.notes.push_back({CacheNote::Severity::Warning, "Only " + share + " were fetched as values"});
    return info;
}

/// The values that were received, as a cache.
class FetchedCache final : public CacheSource {
public:
    FetchedCache(KvGeometry geometry, CacheInfo info, std::shared_ptr<const ReceivedParts> parts,
                 std::span<const HeldChunk> chunks)
        : geometry_(std::move(geometry))
        , info_(std::move(info))
        , parts_(std::move(parts)) {
        for (const auto& [key, part] : *parts_) {
            const auto chunk = std::ranges::find_if(
                chunks, [&, token = key.second](const HeldChunk& one) { return one.tokens.contains(token); });
            const PlaneGeometry* plane = geometry_.find(key.first);
            if (chunk == chunks.end() || plane == nullptr || plane->tokens == 0)
                continue;
            const auto rows = static_cast<std::int64_t>(part.decoded.span().size()) / rowBytes(*plane);
            const TokenIndex slot = chunk->slot + (key.second - chunk->tokens.begin);
            blocks_[key.first].push_back({{slot, slot + rows}, part.decoded.span()});
        }
        for (auto& [id, blocks] : blocks_)
            std::ranges::sort(blocks, {}, [](const Block& block) { return block.tokens.begin; });
    }

    [[nodiscard]] const KvGeometry& geometry() const override { return geometry_; }
    [[nodiscard]] const CacheInfo& info() const override { return info_; }
    [[nodiscard]] bool nativeIsExact(PlaneId) const override { return true; }

    [[nodiscard]] Result<void> readNative(PlaneId plane, TokenRange tokens, std::span<std::byte> out) const override {
        const auto row = static_cast<std::size_t>(rowBytes(*geometry_.find(plane)));
        return forEachBlock(plane, tokens, [&](const Block& block, TokenRange part) {
            std::memcpy(out.data() + static_cast<std::size_t>(part.begin - tokens.begin) * row,
                        block.values.data() + static_cast<std::size_t>(part.begin - block.tokens.begin) * row,
                        static_cast<std::size_t>(part.size()) * row);
        });
    }

    [[nodiscard]] Result<void> readRows(PlaneId plane, TokenRange tokens, ChannelRange channels,
                                        std::span<float> out) const override {
        const PlaneGeometry& shape = *geometry_.find(plane);
        const auto row = static_cast<std::size_t>(rowBytes(shape));
        const auto size = static_cast<std::size_t>(sizeOf(shape.dtype));
        const auto columns = static_cast<std::size_t>(channels.size());
        return forEachBlock(plane, tokens, [&](const Block& block, TokenRange part) {
            for (TokenIndex token = part.begin; token < part.end; ++token) {
                const auto from = static_cast<std::size_t>(token - block.tokens.begin) * row +
                                  static_cast<std::size_t>(channels.begin.value) * size;
                const auto to = static_cast<std::size_t>(token - tokens.begin) * columns;
                convertToFloat(shape.dtype, block.values.subspan(from, columns * size), out.subspan(to, columns));
            }
        });
    }

private:
    struct Block {
        TokenRange tokens;
        std::span<const std::byte> values;
    };

    static std::int64_t rowBytes(const PlaneGeometry& plane) { return plane.channels() * sizeOf(plane.dtype); }

    template <class Body> Result<void> forEachBlock(PlaneId plane, TokenRange tokens, const Body& body) const {
        const auto found = blocks_.find(plane);
        if (found == blocks_.end())
            return tokens.empty() ? Result<void>() : fail("has no values there", info_.name);
        auto block =
            std::ranges::upper_bound(found->second, tokens.begin, {}, [](const Block& one) { return one.tokens.end; });
        for (; block != found->second.end() && block->tokens.begin < tokens.end; ++block)
            body(*block, block->tokens.intersected(tokens));
        return {};
    }

    KvGeometry geometry_;
    CacheInfo info_;
    std::shared_ptr<const ReceivedParts> parts_;
    std::map<PlaneId, std::vector<Block>> blocks_;
};

/// What was done to the tokens that were fetched: for each stretch the rules of its level.
CodecPlan joinedPlan(const Fetched& fetched, std::span<const HeldChunk> chunks) {
    const auto& levels = fetched.directory.levels;
    CodecPlan plan = levels[chunks.front().level].plan;
    const bool isOne =
        std::ranges::all_of(chunks, [&](const HeldChunk& chunk) { return chunk.level == chunks.front().level; });
    if (isOne && chunks.size() == fetched.input.input.chunkCount())
        return plan;
    plan.name = "fetched";
    plan.rules.clear();
    for (std::size_t first = 0; first < chunks.size();) {
        std::size_t end = first + 1;
        while (end < chunks.size() && chunks[end].level == chunks[first].level &&
               chunks[end].tokens.begin == chunks[end - 1].tokens.end)
            ++end;
        const TokenRange from{chunks[first].tokens.begin, chunks[end - 1].tokens.end};
        const std::int64_t shift = chunks[first].slot - from.begin;
        const auto add = [&](PlanRule rule) {
            const TokenRange tokens = rule.tokens.intersected(from);
            if (tokens.empty())
                return;
            rule.tokens = {tokens.begin + shift, tokens.end + shift};
            if (end == chunks.size() && tokens.end == from.end)
                rule.tokens.end = TokenIndex(kOpenEnd);
            plan.rules.push_back(rule);
        };
        const CodecPlan& source = levels[chunks[first].level].plan;
        PlanRule all;
        all.pipeline = source.fallback;
        add(all);
        for (const PlanRule& rule : source.rules)
            add(rule);
        first = end;
    }
    return plan;
}

std::vector<KvzLayerError> joinedErrors(const Fetched& fetched, std::span<const HeldChunk> chunks) {
    const auto& levels = fetched.directory.levels;
    std::vector<KvzLayerError> errors(fetched.directory.geometry.layers.size());
    double total = 0;
    for (const HeldChunk& chunk : chunks)
        total += static_cast<double>(chunk.tokens.size());
    for (const HeldChunk& chunk : chunks) {
        const double share = static_cast<double>(chunk.tokens.size()) / total;
        const auto& from = levels[chunk.level].errors;
        if (from.size() != errors.size())
            return {};
        for (std::size_t layer = 0; layer < errors.size(); ++layer) {
            for (std::size_t kind = 0; kind < errors[layer].size(); ++kind) {
                if (from[layer][kind])
                    errors[layer][kind] = errors[layer][kind].value_or(0) + share * *from[layer][kind];
            }
        }
    }
    return errors;
}

} // namespace

std::vector<std::size_t> Fetched::heldChunks() const {
    std::vector<std::size_t> chunks;
    for (std::size_t i = 0; i < timeline.chunks.size(); ++i) {
        const ChunkTimes& chunk = timeline.chunks[i];
        if (chunk.ready < kNever && chunk.candidate != StreamInput::textCandidate())
            chunks.push_back(i);
    }
    return chunks;
}

std::vector<TokenRange> Fetched::places() const {
    std::vector<TokenRange> places(input.input.chunkCount(), tokenRange(0, 0));
    for (const HeldChunk& chunk : held(*this))
        places[chunk.number] = {chunk.slot, chunk.slot + chunk.tokens.size()};
    return places;
}

KvCache Fetched::cache() const {
    const auto chunks = held(*this);
    return KvCache(
        std::make_shared<FetchedCache>(keepTokens(directory.geometry, chunks), infoOf(*this, chunks), parts, chunks));
}

Result<void> Fetched::writeKvz(const std::filesystem::path& path) const {
    const auto chunks = held(*this);
    if (chunks.empty())
        return fail("holds no chunk that came as values", directory.info.name, "There is nothing to write");
    const bool isWhole = chunks.size() == input.input.chunkCount();
    const std::int64_t chunkTokens = directory.levels[chunks.front().level].plan.chunkTokens;
    for (const HeldChunk& chunk : chunks) {
        if (directory.levels[chunk.level].plan.chunkTokens != chunkTokens)
            return fail("came at levels whose chunks differ in length", directory.info.name,
                        "Write .safetensors instead");
    }
    const CodecPlan plan = joinedPlan(*this, chunks);
    KVSCOPE_TRY(validate(plan));
    CacheInfo info = infoOf(*this, chunks);
    info.format = directory.info.format;
    KVSCOPE_ASSIGN(KvzWriter writer, KvzWriter::create(path, keepTokens(directory.geometry, chunks), info));
    KVSCOPE_ASSIGN(const std::size_t level, writer.addLevel(plan.name.empty() ? "fetched" : plan.name, plan));
    for (const PlaneId id : directory.geometry.allPlanes()) {
        EncodedPlane plane;
        plane.plane = id;
        plane.geometry = keepTokens(*directory.geometry.find(id), chunks);
        for (const HeldChunk& chunk : chunks) {
            const KvzPlane& source = directory.levels[chunk.level].planes.at(id);
            for (const KvzChunk& entry : source.chunks) {
                if (!chunk.tokens.contains(entry.tokens.begin))
                    continue;
                const CalibratedPipeline& how = source.pipelines[entry.pipeline];
                if (!isWhole && std::holds_alternative<Kivi>(how.pipeline.quantiser))
                    return fail("came in part, and KIVI's chunks depend on the length of the whole",
                                directory.info.name, "Write .safetensors instead");
                auto known = std::ranges::find(plane.pipelines, how);
                if (known == plane.pipelines.end()) {
                    plane.pipelines.push_back(how);
                    known = plane.pipelines.end() - 1;
                }
                const auto part = parts->find({id, entry.tokens.begin});
                if (part == parts->end())
                    return fail("lacks a part of chunk " + std::to_string(chunk.number), directory.info.name);
                const auto encoded = part->second.encoded.span();
                const std::int64_t shift = chunk.slot - chunk.tokens.begin;
                plane.parts.push_back({{entry.tokens.begin + shift, entry.tokens.end + shift},
                                       static_cast<std::size_t>(known - plane.pipelines.begin()),
                                       {encoded.begin(), encoded.end()}});
            }
        }
        KVSCOPE_TRY(writer.putPlane(level, plane));
    }
    writer.noteErrors(level, joinedErrors(*this, chunks));
    return writer.finish();
}

Result<SenderAddress> parseSenderAddress(std::string_view text) {
    const auto bad = [&] {
        return fail("is not an address: \"" + std::string(text) + "\"", "sender", "Write HOST:PORT");
    };
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0)
        return bad();
    SenderAddress address;
    std::string_view host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']'))
        host = host.substr(1, host.size() - 2);
    address.host = host;
    const char* end = text.data() + text.size();
    const auto read = std::from_chars(text.data() + colon + 1, end, address.port);
    if (read.ec != std::errc() || read.ptr != end || address.port == 0 || host.empty())
        return bad();
    return address;
}

Result<Fetched> fetchContext(const FetchOptions& options, ThreadPool& pool, const JobControl& job) {
    if (options.senders.empty() || options.senders.size() > 2)
        return fail("a context is fetched from one sender or two", "fetch");
    if (!(options.sloSeconds > 0 && options.sloSeconds < 1e9))
        return fail("the target for the first token must be positive", "fetch");
    if (options.attempts < 1 || !(options.stallSeconds > 0) || !(options.connectSeconds > 0) ||
        !(options.totalSeconds > 0))
        return fail("limits of time and attempts must be positive", "fetch");
    if (options.context.size() > wire::kMaxText)
        return fail("the context's name is too long", "fetch");
    KVSCOPE_TRY(validate(options.compute));
    FetchRun run(options, pool, job);
    return run.run();
}

} // namespace kvscope
