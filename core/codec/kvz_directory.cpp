// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/kvz_directory.h"

#include "core/codec/kvz_layout.h"

#include <algorithm>
#include <cstring>

namespace kvscope {

namespace {

constexpr const char* kDamaged = "The file is damaged; encode the dump again";

class Output {
public:
    template <class T> void put(T value) {
        const auto at = bytes.size();
        bytes.resize(at + sizeof value);
        std::memcpy(bytes.data() + at, &value, sizeof value);
    }
    void putFloats(std::span<const float> values) {
        const auto raw = std::as_bytes(values);
        bytes.insert(bytes.end(), raw.begin(), raw.end());
    }

    std::vector<std::byte> bytes;
};

/// Reads numbers one after the other; after the end it gives zeros and says so.
class Input {
public:
    explicit Input(std::span<const std::byte> bytes)
        : bytes_(bytes) {}

    template <class T> T take() {
        T value{};
        if (bytes_.size() - at_ < sizeof value) {
            over_ = true;
            at_ = bytes_.size();
            return value;
        }
        std::memcpy(&value, bytes_.data() + at_, sizeof value);
        at_ += sizeof value;
        return value;
    }
    /// `count` floats; empty, and over, when there are not so many.
    std::vector<float> takeFloats(std::size_t count) {
        if (left() / sizeof(float) < count) {
            over_ = true;
            return {};
        }
        std::vector<float> values(count);
        if (count > 0)
            std::memcpy(values.data(), bytes_.data() + at_, count * sizeof(float));
        at_ += count * sizeof(float);
        return values;
    }
    /// The next `count` bytes; empty, and over, when there are not so many.
    std::span<const std::byte> takeBytes(std::size_t count) {
        if (left() < count) {
            over_ = true;
            return {};
        }
        at_ += count;
        return bytes_.subspan(at_ - count, count);
    }
    /// Whether there is room for `count` records of at least `size` bytes.
    [[nodiscard]] bool hasRoomFor(std::size_t count, std::size_t size) const { return left() / size >= count; }
    [[nodiscard]] std::size_t left() const { return bytes_.size() - at_; }
    [[nodiscard]] std::size_t at() const { return at_; }
    [[nodiscard]] bool isOver() const { return over_; }

private:
    std::span<const std::byte> bytes_;
    std::size_t at_ = 0;
    bool over_ = false;
};

constexpr std::size_t kPlaneRecord = 20;
constexpr std::size_t kPipelineRecord = 20;
constexpr std::size_t kChunkRecord = 28;
/// Most planes that a file of the text level alone may speak of; others are bounded by their own size.
constexpr std::int64_t kMaxTextPlanes = std::int64_t{1} << 20;

std::vector<Pipeline> pipelinesOf(const KvzLevel& level) {
    std::vector<Pipeline> pipelines;
    for (const auto& [id, plane] : level.planes) {
        for (const CalibratedPipeline& one : plane.pipelines) {
            if (std::ranges::find(pipelines, one.pipeline) == pipelines.end())
                pipelines.push_back(one.pipeline);
        }
    }
    return pipelines;
}

void putLevel(Output& out, const KvzLevel& level, const std::vector<Pipeline>& pipelines) {
    out.put(static_cast<std::uint32_t>(level.planes.size()));
    for (const auto& [id, plane] : level.planes) {
        out.put(static_cast<std::uint32_t>(id.layer.value));
        out.put(static_cast<std::uint32_t>(id.kind));
        out.put(static_cast<std::uint32_t>(id.sequence.value));
        out.put(static_cast<std::uint32_t>(plane.pipelines.size()));
        out.put(static_cast<std::uint32_t>(plane.chunks.size()));
        for (const CalibratedPipeline& one : plane.pipelines) {
            out.put(static_cast<std::uint32_t>(std::ranges::find(pipelines, one.pipeline) - pipelines.begin()));
            out.put(one.calibration.centredRms);
            out.put(one.calibration.anchorDeltaSigma);
            out.put(static_cast<std::uint32_t>(one.calibration.channelMean.size()));
            out.putFloats(one.calibration.channelMean);
            out.putFloats(one.calibration.channelSigma);
            std::vector<std::byte> terms;
            writeChannelTerms(one.calibration.channelTerms, terms);
            out.put(static_cast<std::uint32_t>(terms.size()));
            out.bytes.insert(out.bytes.end(), terms.begin(), terms.end());
        }
        for (const KvzChunk& chunk : plane.chunks) {
            out.put(static_cast<std::uint64_t>(chunk.offset));
            out.put(chunk.hash);
            out.put(static_cast<std::uint32_t>(chunk.bytes));
            out.put(static_cast<std::uint32_t>(chunk.tokens.size()));
            out.put(static_cast<std::uint32_t>(chunk.pipeline));
        }
    }
}

class IndexReader {
public:
    IndexReader(Input& in, const KvzDirectory& directory, std::int64_t fileBytes, std::string where)
        : in_(in)
        , directory_(directory)
        , fileBytes_(fileBytes)
        , where_(std::move(where)) {}

    Result<void> read(KvzLevel& level, const std::vector<Pipeline>& pipelines) {
        const auto count = in_.take<std::uint32_t>();
        if (!in_.hasRoomFor(count, kPlaneRecord))
            return broken("ends early");
        for (std::uint32_t i = 0; i < count; ++i)
            KVSCOPE_TRY(readPlane(level, pipelines));
        if (level.planes.size() != directory_.geometry.allPlanes().size())
            return broken("does not hold every plane at level " + level.name);
        return {};
    }

private:
    [[nodiscard]] tl::unexpected<Error> broken(const std::string& what) const {
        return fail("has a directory that " + what, where_ + ", index byte " + std::to_string(in_.at()), kDamaged);
    }

    Result<void> readPlane(KvzLevel& level, const std::vector<Pipeline>& pipelines) {
        PlaneId id;
        id.layer = LayerIndex(in_.take<std::uint32_t>());
        const auto kind = in_.take<std::uint32_t>();
        id.sequence = SequenceIndex(in_.take<std::uint32_t>());
        const auto pipelineCount = in_.take<std::uint32_t>();
        const auto chunkCount = in_.take<std::uint32_t>();
        if (in_.isOver() || kind >= kAllPlaneKinds.size())
            return broken("names a plane that cannot be");
        id.kind = kAllPlaneKinds[kind];
        const PlaneGeometry* shape = directory_.geometry.find(id);
        if (shape == nullptr || level.planes.contains(id))
            return broken("names a plane that the geometry does not have, or twice");
        if (!in_.hasRoomFor(pipelineCount, kPipelineRecord) || !in_.hasRoomFor(chunkCount, kChunkRecord))
            return broken("ends early");
        KvzPlane plane;
        for (std::uint32_t i = 0; i < pipelineCount; ++i)
            KVSCOPE_TRY(readPipeline(plane, pipelines, *shape));
        TokenIndex next(0);
        for (std::uint32_t i = 0; i < chunkCount; ++i)
            KVSCOPE_TRY(readChunk(plane, *shape, level.plan, next));
        if (next.value != shape->tokens)
            return broken("covers " + std::to_string(next.value) + " of " + std::to_string(shape->tokens) +
                          " tokens of a plane");
        level.planes.emplace(id, std::move(plane));
        return {};
    }

    Result<void> readPipeline(KvzPlane& plane, const std::vector<Pipeline>& pipelines, const PlaneGeometry& shape) {
        const auto index = in_.take<std::uint32_t>();
        CalibratedPipeline one;
        one.calibration.centredRms = in_.take<float>();
        one.calibration.anchorDeltaSigma = in_.take<float>();
        const auto channels = in_.take<std::uint32_t>();
        if (index >= pipelines.size() || (channels != 0 && channels != shape.channels()))
            return broken("holds a calibration that does not fit its plane");
        one.pipeline = pipelines[index];
        one.calibration.channelMean = in_.takeFloats(channels);
        one.calibration.channelSigma = in_.takeFloats(channels);
        const auto terms = in_.takeBytes(in_.take<std::uint32_t>());
        if (in_.isOver())
            return broken("ends early");
        if (!readChannelTerms(terms, static_cast<std::size_t>(shape.channels()), one.calibration.channelTerms))
            return broken("holds channel terms that do not fit their plane");
        plane.pipelines.push_back(std::move(one));
        return {};
    }

    Result<void> readChunk(KvzPlane& plane, const PlaneGeometry& shape, const CodecPlan& plan, TokenIndex& next) {
        const auto offset = in_.take<std::uint64_t>();
        KvzChunk chunk;
        chunk.hash = in_.take<std::uint64_t>();
        chunk.bytes = in_.take<std::uint32_t>();
        const std::int64_t tokens = in_.take<std::uint32_t>();
        chunk.pipeline = in_.take<std::uint32_t>();
        chunk.tokens = {next, next + tokens};
        if (in_.isOver())
            return broken("ends early");
        // Every chunk but the last is whole, so that a token's chunk can be computed.
        const bool isSized = tokens == plan.chunkTokens || chunk.tokens.end.value == shape.tokens;
        if (tokens == 0 || tokens > plan.chunkTokens || !isSized || chunk.tokens.end.value > shape.tokens ||
            tokens * shape.channels() > kMaxChunkValues || chunk.pipeline >= plane.pipelines.size())
            return broken("holds a chunk that does not fit its plane");
        if (offset < static_cast<std::uint64_t>(kKvzHeaderBytes) || chunk.bytes > fileBytes_ ||
            offset > static_cast<std::uint64_t>(fileBytes_ - chunk.bytes))
            return broken("holds a chunk that lies outside the file");
        chunk.offset = static_cast<std::int64_t>(offset);
        next = chunk.tokens.end;
        plane.chunks.push_back(chunk);
        return {};
    }

    Input& in_;
    const KvzDirectory& directory_;
    std::int64_t fileBytes_;
    std::string where_;
};

} // namespace

std::int64_t KvzLevel::bytes() const {
    std::int64_t sum = 0;
    for (const auto& [id, plane] : planes) {
        for (const KvzChunk& chunk : plane.chunks)
            sum += chunk.bytes;
        for (const CalibratedPipeline& one : plane.pipelines)
            sum += static_cast<std::int64_t>(one.calibration.channelTerms.storedBytes());
    }
    return sum;
}

bool hasText(const CacheInfo& info) {
    return std::ranges::any_of(info.tokens,
                               [](const CacheTokens& tokens) { return !tokens.ids.empty() || !tokens.texts.empty(); });
}

std::vector<std::string> KvzDirectory::levelNames() const {
    std::vector<std::string> names;
    std::ranges::transform(levels, std::back_inserter(names), &KvzLevel::name);
    if (hasText(info))
        names.emplace_back(kTextLevelName);
    return names;
}

std::vector<std::byte> toBytes(const KvzDirectory& directory) {
    std::vector<std::vector<Pipeline>> pipelines;
    std::ranges::transform(directory.levels, std::back_inserter(pipelines), pipelinesOf);
    const std::string description = descriptionToJson(directory, pipelines);
    Output out;
    out.put(static_cast<std::uint64_t>(description.size()));
    const auto text = std::as_bytes(std::span(description));
    out.bytes.insert(out.bytes.end(), text.begin(), text.end());
    for (std::size_t i = 0; i < directory.levels.size(); ++i)
        putLevel(out, directory.levels[i], pipelines[i]);
    return std::move(out.bytes);
}

Result<KvzDirectory> directoryFromBytes(std::span<const std::byte> bytes, std::int64_t fileBytes,
                                        const std::string& where) {
    std::uint64_t length = 0;
    if (bytes.size() < sizeof length)
        return fail("has a directory that ends early", where, kDamaged);
    std::memcpy(&length, bytes.data(), sizeof length);
    bytes = bytes.subspan(sizeof length);
    if (length > bytes.size())
        return fail("has a description that ends early", where, kDamaged);
    const auto text = bytes.first(static_cast<std::size_t>(length));
    KvzDirectory directory;
    std::vector<std::vector<Pipeline>> pipelines;
    KVSCOPE_TRY(descriptionFromJson({reinterpret_cast<const char*>(text.data()), text.size()}, where + ", description",
                                    directory, pipelines));
    Input in(bytes.subspan(text.size()));
    std::int64_t planes = 0;
    for (const LayerGeometry& layer : directory.geometry.layers)
        planes += std::ranges::count_if(layer.planes, [](const auto& plane) { return plane.has_value(); });
    const std::int64_t records = directory.geometry.sequences * planes;
    if (directory.levels.empty() && (!hasText(directory.info) || records > kMaxTextPlanes))
        return fail("has a directory that holds no level", where, kDamaged);
    if (planes == 0 || (!directory.levels.empty() && !in.hasRoomFor(static_cast<std::size_t>(records), kPlaneRecord)))
        return fail("has a directory that holds no plane, or fewer than it says", where, kDamaged);
    IndexReader reader(in, directory, fileBytes, where);
    for (std::size_t i = 0; i < directory.levels.size(); ++i)
        KVSCOPE_TRY(reader.read(directory.levels[i], pipelines[i]));
    if (in.left() != 0)
        return fail("has a directory with " + std::to_string(in.left()) + " bytes too many", where, kDamaged);
    return directory;
}

} // namespace kvscope
