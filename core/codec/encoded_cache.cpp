// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/encoded_cache.h"

#include "core/kv/convert.h"

#include <algorithm>
#include <cstring>
#include <list>
#include <mutex>
#include <new>
#include <unordered_map>

namespace kvscope {

namespace {

std::string chunkName(PlaneId plane, TokenRange tokens) {
    return "layer " + std::to_string(plane.layer.value) + " " + std::string(nameOf(plane.kind)) +
           (plane.sequence.value != 0 ? " sequence " + std::to_string(plane.sequence.value) : std::string()) +
           ", tokens " + std::to_string(tokens.begin.value) + ".." + std::to_string(tokens.end.value);
}

using Rows = std::shared_ptr<const std::vector<float>>;

/// Decoded chunks that were read last, up to a number of bytes.
class RecentChunks {
public:
    struct Key {
        PlaneId plane;
        std::size_t chunk;

        bool operator==(const Key&) const = default;
    };

    explicit RecentChunks(std::int64_t bytes)
        : room_(bytes) {}

    Rows find(const Key& key) {
        const std::lock_guard lock(mutex_);
        const auto found = index_.find(key);
        if (found == index_.end())
            return nullptr;
        order_.splice(order_.begin(), order_, found->second);
        return found->second->second;
    }

    void put(const Key& key, const Rows& rows) {
        const std::lock_guard lock(mutex_);
        if (index_.contains(key))
            return;
        order_.emplace_front(key, rows);
        index_[key] = order_.begin();
        held_ += bytesOf(rows);
        while (held_ > room_ && order_.size() > 1) {
            held_ -= bytesOf(order_.back().second);
            index_.erase(order_.back().first);
            order_.pop_back();
        }
    }

private:
    struct KeyHash {
        std::size_t operator()(const Key& key) const noexcept {
            return std::hash<PlaneId>{}(key.plane) * 1000003U + key.chunk;
        }
    };
    using Order = std::list<std::pair<Key, Rows>>;

    static std::int64_t bytesOf(const Rows& rows) { return static_cast<std::int64_t>(rows->size() * sizeof(float)); }

    std::mutex mutex_;
    std::int64_t room_;
    std::int64_t held_ = 0;
    Order order_;
    std::unordered_map<Key, Order::iterator, KeyHash> index_;
};

class DecodedCache final : public CacheSource {
public:
    DecodedCache(KvGeometry geometry, CacheInfo info, std::shared_ptr<const ChunkStore> store, KvCache rest,
                 std::int64_t keepBytes)
        : geometry_(std::move(geometry))
        , info_(std::move(info))
        , store_(std::move(store))
        , rest_(std::move(rest))
        , recent_(keepBytes) {
        for (const PlaneId id : geometry_.allPlanes()) {
            if (auto chunks = store_->chunks(id); !chunks.empty())
                chunks_.emplace(id, std::move(chunks));
        }
    }

    [[nodiscard]] const KvGeometry& geometry() const override { return geometry_; }
    [[nodiscard]] const CacheInfo& info() const override { return info_; }

    [[nodiscard]] Result<void> readRows(PlaneId plane, TokenRange tokens, ChannelRange channels,
                                        std::span<float> out) const override {
        const auto held = chunks_.find(plane);
        if (held == chunks_.end())
            return readRest(plane, [&] { return rest_.readRows(plane, tokens, channels, out); });
        const auto width = static_cast<std::size_t>(geometry_.find(plane)->channels());
        const auto columns = static_cast<std::size_t>(channels.size());
        return forEachChunk(held->second, tokens, [&](std::size_t chunk, TokenRange part) -> Result<void> {
            KVSCOPE_ASSIGN(const Rows rows, decoded(plane, chunk, held->second[chunk]));
            for (std::int64_t t = part.begin.value; t < part.end.value; ++t) {
                const auto from = static_cast<std::size_t>(t - held->second[chunk].begin.value) * width +
                                  static_cast<std::size_t>(channels.begin.value);
                const auto to = static_cast<std::size_t>(t - tokens.begin.value) * columns;
                std::copy_n(rows->begin() + static_cast<std::ptrdiff_t>(from), columns,
                            out.begin() + static_cast<std::ptrdiff_t>(to));
            }
            return {};
        });
    }

    [[nodiscard]] Result<void> readNative(PlaneId plane, TokenRange tokens, std::span<std::byte> out) const override {
        const auto held = chunks_.find(plane);
        if (held == chunks_.end())
            return readRest(plane, [&] { return rest_.readNative(plane, tokens, out); });
        const PlaneGeometry& shape = *geometry_.find(plane);
        const std::int64_t rowBytes = shape.channels() * sizeOf(shape.dtype);
        std::vector<std::byte> whole;
        return forEachChunk(held->second, tokens, [&](std::size_t chunk, TokenRange part) -> Result<void> {
            const TokenRange all = held->second[chunk];
            const auto target = out.subspan(static_cast<std::size_t>((part.begin - tokens.begin) * rowBytes),
                                            static_cast<std::size_t>(part.size() * rowBytes));
            if (part == all)
                return decodeNative(plane, chunk, all, target);
            whole.resize(static_cast<std::size_t>(all.size() * rowBytes));
            KVSCOPE_TRY(decodeNative(plane, chunk, all, whole));
            std::memcpy(target.data(), whole.data() + (part.begin - all.begin) * rowBytes, target.size());
            return {};
        });
    }

    [[nodiscard]] bool nativeIsExact(PlaneId plane) const override {
        if (!chunks_.contains(plane))
            return !rest_.isNull() && rest_.nativeIsExact(plane);
        const DType type = geometry_.find(plane)->dtype;
        return type == DType::F32 || allLossless(plane);
    }

private:
    template <class Read> Result<void> readRest(PlaneId plane, const Read& read) const {
        if (rest_.isNull())
            return fail("has no chunks of layer " + std::to_string(plane.layer.value) + " " +
                            std::string(nameOf(plane.kind)),
                        store_->name());
        return read();
    }

    [[nodiscard]] bool allLossless(PlaneId plane) const {
        const std::size_t count = chunks_.at(plane).size();
        for (std::size_t i = 0; i < count; ++i) {
            if (!store_->pipeline(plane, i).pipeline.isLossless())
                return false;
        }
        return true;
    }

    /// Calls body(chunk, tokens of it) for the chunks that a range touches.
    template <class Body>
    static Result<void> forEachChunk(const std::vector<TokenRange>& chunks, TokenRange tokens, const Body& body) {
        auto chunk = static_cast<std::size_t>(
            std::ranges::upper_bound(chunks, tokens.begin, std::less<>(), &TokenRange::end) - chunks.begin());
        for (; chunk < chunks.size() && chunks[chunk].begin < tokens.end; ++chunk)
            KVSCOPE_TRY(body(chunk, chunks[chunk].intersected(tokens)));
        return {};
    }

    [[nodiscard]] ChunkShape shapeOf(PlaneId plane, TokenRange tokens) const {
        const auto layer = static_cast<std::size_t>(plane.layer.value);
        const Rope* rope = layer < info_.rope.size() && info_.rope[layer] ? &*info_.rope[layer] : nullptr;
        return {plane.kind, *geometry_.find(plane), tokens, rope};
    }

    /// Names the chunk in an error of its decoder.
    [[nodiscard]] tl::unexpected<Error> inChunk(Error error, PlaneId plane, TokenRange tokens) const {
        const std::string where = store_->name() + ", " + chunkName(plane, tokens);
        error.where = error.where.empty() ? where : where + ", " + error.where;
        return tl::unexpected<Error>(std::move(error));
    }

    [[nodiscard]] Result<Rows> decoded(PlaneId plane, std::size_t chunk, TokenRange tokens) const {
        const RecentChunks::Key key{plane, chunk};
        if (Rows rows = recent_.find(key))
            return rows;
        try {
            const ChunkShape shape = shapeOf(plane, tokens);
            std::vector<float> values(static_cast<std::size_t>(shape.values()));
            const CalibratedPipeline& how = store_->pipeline(plane, chunk);
            KVSCOPE_ASSIGN(const auto bytes, store_->read(plane, chunk));
            if (auto done = decodeChunk(how.pipeline, how.calibration, shape, bytes, values); !done)
                return inChunk(std::move(done.error()), plane, tokens);
            Rows rows = std::make_shared<const std::vector<float>>(std::move(values));
            recent_.put(key, rows);
            return rows;
        } catch (const std::bad_alloc&) {
            return fail("needs more memory than there is to decode " + chunkName(plane, tokens), store_->name(),
                        "Close other dumps", Error::Kind::System);
        }
    }

    [[nodiscard]] Result<void> decodeNative(PlaneId plane, std::size_t chunk, TokenRange tokens,
                                            std::span<std::byte> out) const {
        const CalibratedPipeline& how = store_->pipeline(plane, chunk);
        KVSCOPE_ASSIGN(const auto bytes, store_->read(plane, chunk));
        if (auto done = decodeChunkNative(how.pipeline, how.calibration, shapeOf(plane, tokens), bytes, out); !done)
            return inChunk(std::move(done.error()), plane, tokens);
        return {};
    }

    KvGeometry geometry_;
    CacheInfo info_;
    std::shared_ptr<const ChunkStore> store_;
    KvCache rest_;
    std::map<PlaneId, std::vector<TokenRange>> chunks_;
    mutable RecentChunks recent_;
};

/// Encoded planes in memory.
class MemoryStore final : public ChunkStore {
public:
    MemoryStore(EncodedPlanes planes, std::string name)
        : planes_(std::move(planes))
        , name_(std::move(name)) {}

    [[nodiscard]] std::vector<TokenRange> chunks(PlaneId plane) const override {
        std::vector<TokenRange> ranges;
        if (const auto found = planes_.find(plane); found != planes_.end())
            std::ranges::transform(found->second->parts, std::back_inserter(ranges), &EncodedPart::tokens);
        return ranges;
    }
    [[nodiscard]] Result<std::vector<std::byte>> read(PlaneId plane, std::size_t chunk) const override {
        return planes_.at(plane)->parts[chunk].bytes;
    }
    [[nodiscard]] const CalibratedPipeline& pipeline(PlaneId plane, std::size_t chunk) const override {
        const EncodedPlane& encoded = *planes_.at(plane);
        return encoded.pipelines[encoded.parts[chunk].pipeline];
    }
    [[nodiscard]] const std::string& name() const override { return name_; }

private:
    EncodedPlanes planes_;
    std::string name_;
};

/// Values that follow from a report and not from a dump.
class BitsCache final : public CacheSource {
public:
    BitsCache(KvGeometry geometry, CacheInfo info, const EncodeReport& report)
        : geometry_(std::move(geometry))
        , info_(std::move(info)) {
        for (const PlaneReport& plane : report.planes) {
            if (geometry_.find(plane.plane) == nullptr)
                continue;
            std::vector<Stretch>& stretches = planes_[plane.plane];
            for (const ChunkReport& chunk : plane.chunks) {
                Stretch stretch{chunk.tokens, chunk.channelBits};
                for (float& bits : stretch.bits)
                    bits /= static_cast<float>(chunk.tokens.size());
                stretches.push_back(std::move(stretch));
            }
        }
    }

    [[nodiscard]] const KvGeometry& geometry() const override { return geometry_; }
    [[nodiscard]] const CacheInfo& info() const override { return info_; }

    [[nodiscard]] Result<void> readRows(PlaneId plane, TokenRange tokens, ChannelRange channels,
                                        std::span<float> out) const override {
        const auto& stretches = planes_.at(plane);
        auto stretch = std::ranges::upper_bound(stretches, tokens.begin, std::less<>(),
                                                [](const Stretch& candidate) { return candidate.tokens.end; });
        auto target = out.begin();
        for (auto token = tokens.begin; token < tokens.end; ++token) {
            if (!stretch->tokens.contains(token))
                ++stretch;
            target = std::copy_n(stretch->bits.begin() + channels.begin.value, channels.size(), target);
        }
        return {};
    }
    [[nodiscard]] Result<void> readNative(PlaneId plane, TokenRange tokens, std::span<std::byte> out) const override {
        std::vector<float> values(out.size() / sizeof(float));
        KVSCOPE_TRY(readRows(plane, tokens, channelRange(0, geometry_.find(plane)->channels()), values));
        std::memcpy(out.data(), values.data(), out.size());
        return {};
    }
    [[nodiscard]] bool nativeIsExact(PlaneId) const override { return true; }

private:
    /// Bits a value of each channel over some tokens.
    struct Stretch {
        TokenRange tokens;
        std::vector<float> bits;
    };

    KvGeometry geometry_;
    CacheInfo info_;
    std::map<PlaneId, std::vector<Stretch>> planes_;
};

} // namespace

KvCache makeDecodedCache(KvGeometry geometry, CacheInfo info, std::shared_ptr<const ChunkStore> store, KvCache rest,
                         std::int64_t keepBytes) {
    return KvCache(std::make_shared<DecodedCache>(std::move(geometry), std::move(info), std::move(store),
                                                  std::move(rest), keepBytes));
}

KvCache makeDecodedCache(const KvCache& original, EncodedPlanes planes) {
    CacheInfo info = original.info();
    info.fingerprint = 0;
    std::string name = info.name;
    KvGeometry geometry = original.geometry();
    for (const auto& [id, plane] : planes)
        geometry.layers[static_cast<std::size_t>(id.layer.value)].plane(id.kind) = plane->geometry;
    return makeDecodedCache(std::move(geometry), std::move(info),
                            std::make_shared<MemoryStore>(std::move(planes), std::move(name)), original);
}

Result<KvCache> makeBitsCache(const KvCache& original, const EncodeReport& report) {
    KvGeometry geometry = original.geometry();
    bool any = false;
    for (std::size_t layer = 0; layer < geometry.layers.size(); ++layer) {
        for (const PlaneKind kind : kAllPlaneKinds) {
            auto& plane = geometry.layers[layer].plane(kind);
            if (!plane)
                continue;
            bool complete = true;
            for (std::int64_t sequence = 0; sequence < geometry.sequences; ++sequence) {
                const PlaneReport* found =
                    report.find({LayerIndex(static_cast<std::int64_t>(layer)), kind, SequenceIndex(sequence)});
                complete = complete && found != nullptr && found->tokens == plane->tokens &&
                           found->channels() == plane->channels();
            }
            if (!complete) {
                plane.reset();
                continue;
            }
            any = true;
            plane->dtype = DType::F32;
            plane->storage.clear();
            plane->storedRowBytes = 0;
        }
    }
    if (!any)
        return fail("has no encoded planes yet", original.info().name, "Wait until a plane is encoded");
    CacheInfo info = original.info();
    info.fingerprint = 0;
    info.format = "bits a value";
    info.rope.clear();
    return KvCache(std::make_shared<BitsCache>(std::move(geometry), std::move(info), report));
}

} // namespace kvscope
