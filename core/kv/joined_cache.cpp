// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/kv/joined_cache.h"

#include <algorithm>
#include <unordered_map>

namespace kvscope {

namespace {

/// A rectangle of a plane that one of the joined caches holds whole.
struct Piece {
    KvCache cache;
    PlaneId id;
    TokenRange tokens;
    ChannelRange channels;
};

class JoinedCache final : public CacheSource {
public:
    JoinedCache(KvGeometry geometry, CacheInfo info, std::unordered_map<PlaneId, std::vector<Piece>> planes)
        : geometry_(std::move(geometry))
        , info_(std::move(info))
        , planes_(std::move(planes)) {}

    [[nodiscard]] const KvGeometry& geometry() const override { return geometry_; }
    [[nodiscard]] const CacheInfo& info() const override { return info_; }

    [[nodiscard]] Result<void> readRows(PlaneId plane, TokenRange tokens, ChannelRange channels,
                                        std::span<float> out) const override {
        return gather<float>(plane, tokens, channels, 1, out,
                             [](const Piece& piece, TokenRange wanted, ChannelRange part, std::span<float> rows) {
                                 return piece.cache.readRows(piece.id, wanted, part, rows);
                             });
    }

    [[nodiscard]] Result<void> readNative(PlaneId plane, TokenRange tokens, std::span<std::byte> out) const override {
        const PlaneGeometry& shape = *geometry_.find(plane);
        return gather<std::byte>(plane, tokens, channelRange(0, shape.channels()), sizeOf(shape.dtype), out,
                                 [](const Piece& piece, TokenRange wanted, ChannelRange, std::span<std::byte> rows) {
                                     return piece.cache.readNative(piece.id, wanted, rows);
                                 });
    }

    [[nodiscard]] bool nativeIsExact(PlaneId plane) const override {
        const auto& pieces = planes_.at(plane);
        return std::all_of(pieces.begin(), pieces.end(),
                           [](const Piece& piece) { return piece.cache.nativeIsExact(piece.id); });
    }

private:
    /// Reads each piece's share of the window; `unit` is how many T one value takes.
    template <class T, class Read>
    Result<void> gather(PlaneId plane, TokenRange tokens, ChannelRange channels, std::int64_t unit, std::span<T> out,
                        Read read) const {
        const std::int64_t width = channels.size() * unit;
        std::vector<T> rows;
        for (const Piece& piece : planes_.at(plane)) {
            const TokenRange wantedTokens = tokens.intersected(piece.tokens);
            const ChannelRange wantedChannels = channels.intersected(piece.channels);
            if (wantedTokens.empty() || wantedChannels.empty())
                continue;
            const TokenRange from{wantedTokens.begin - piece.tokens.begin.value,
                                  wantedTokens.end - piece.tokens.begin.value};
            const ChannelRange part{wantedChannels.begin - piece.channels.begin.value,
                                    wantedChannels.end - piece.channels.begin.value};
            const std::int64_t partWidth = wantedChannels.size() * unit;
            const std::int64_t top = (wantedTokens.begin - tokens.begin) * width;
            if (partWidth == width) {
                KVSCOPE_TRY(
                    read(piece, from, part,
                         out.subspan(static_cast<std::size_t>(top), static_cast<std::size_t>(from.size() * width))));
                continue;
            }
            rows.resize(static_cast<std::size_t>(from.size() * partWidth));
            KVSCOPE_TRY(read(piece, from, part, rows));
            const std::int64_t left = (wantedChannels.begin - channels.begin) * unit;
            for (std::int64_t row = 0; row < from.size(); ++row)
                std::copy_n(rows.begin() + row * partWidth, partWidth, out.begin() + top + row * width + left);
        }
        return {};
    }

    KvGeometry geometry_;
    CacheInfo info_;
    std::unordered_map<PlaneId, std::vector<Piece>> planes_;
};

tl::unexpected<Error> mismatch(const KvCache& cache, const std::string& what) {
    return fail(what + " differ from those of the files before it", cache.info().name,
                "Open files of one cache only, or open it alone");
}

/// Appends one layer of the next cache to a plane, along tokens or heads.
Result<void> extend(JoinAxis axis, const KvCache& cache, PlaneGeometry& shape, const PlaneGeometry& more) {
    if (shape.headDim != more.headDim || shape.dtype != more.dtype || shape.storage != more.storage)
        return mismatch(cache, "head dimension or type");
    if (axis == JoinAxis::Heads) {
        if (shape.tokens != more.tokens)
            return mismatch(cache, "tokens");
        shape.heads += more.heads;
        return {};
    }
    if (shape.heads != more.heads)
        return mismatch(cache, "heads");
    const bool continues =
        more.positions.empty() && (more.firstPosition == 0 || more.firstPosition == shape.firstPosition + shape.tokens);
    if (!shape.positions.empty() || !continues) {
        const auto positionsOf = [](const PlaneGeometry& plane) {
            std::vector<std::int64_t> positions;
            for (std::int64_t token = 0; token < plane.tokens; ++token)
                positions.push_back(plane.position(TokenIndex(token)));
            return positions;
        };
        std::vector<std::int64_t> positions = positionsOf(shape);
        const auto next = positionsOf(more);
        positions.insert(positions.end(), next.begin(), next.end());
        shape.positions = std::move(positions);
    }
    shape.tokens += more.tokens;
    return {};
}

} // namespace

Result<KvCache> joinCaches(JoinAxis axis, std::vector<KvCache> caches, CacheInfo info) {
    if (caches.empty())
        return fail("there is nothing to join", info.name);
    KvGeometry geometry;
    geometry.sequences = caches.front().geometry().sequences;
    std::unordered_map<PlaneId, std::vector<Piece>> planes;
    std::vector<std::optional<Rope>> ropes;
    for (const KvCache& cache : caches) {
        const KvGeometry& own = cache.geometry();
        if (own.sequences != geometry.sequences)
            return mismatch(cache, "sequences");
        const bool fresh = axis == JoinAxis::Layers || geometry.layers.empty();
        const std::int64_t firstLayer = axis == JoinAxis::Layers ? geometry.layerCount() : 0;
        if (!fresh && own.layerCount() != geometry.layerCount())
            return mismatch(cache, "layers");
        if (fresh)
            geometry.layers.resize(static_cast<std::size_t>(firstLayer + own.layerCount()));
        for (const PlaneId id : own.allPlanes()) {
            const PlaneGeometry& shape = *own.find(id);
            const PlaneId joined{id.layer + firstLayer, id.kind, id.sequence};
            auto& whole = geometry.layers[static_cast<std::size_t>(joined.layer.value)].plane(id.kind);
            if (!fresh && !whole)
                return mismatch(cache, "planes");
            Piece piece{cache, id, tokenRange(0, shape.tokens), channelRange(0, shape.channels())};
            if (!fresh && axis == JoinAxis::Tokens)
                piece.tokens = {piece.tokens.begin + planes[joined].back().tokens.end.value,
                                piece.tokens.end + planes[joined].back().tokens.end.value};
            if (!fresh && axis == JoinAxis::Heads)
                piece.channels = {piece.channels.begin + planes[joined].back().channels.end.value,
                                  piece.channels.end + planes[joined].back().channels.end.value};
            planes[joined].push_back(std::move(piece));
            if (fresh)
                whole = shape;
            else if (id.sequence.value == 0)
                KVSCOPE_TRY(extend(axis, cache, *whole, shape));
        }
        if (fresh) {
            for (std::int64_t layer = 0; layer < own.layerCount(); ++layer) {
                const Rope* rope = cache.rope(LayerIndex(layer));
                ropes.push_back(rope != nullptr ? std::optional(*rope) : std::nullopt);
            }
        } else if (own.allPlanes().size() != caches.front().geometry().allPlanes().size()) {
            return mismatch(cache, "planes");
        }
        info.synthetic = info.synthetic || cache.info().synthetic;
    }
    if (info.rope.empty() && std::any_of(ropes.begin(), ropes.end(), [](const auto& rope) { return rope.has_value(); }))
        info.rope = std::move(ropes);
    if (const auto problem = findGeometryProblem(geometry))
        return fail(*problem, info.name);
    return KvCache(std::make_shared<JoinedCache>(std::move(geometry), std::move(info), std::move(planes)));
}

} // namespace kvscope
