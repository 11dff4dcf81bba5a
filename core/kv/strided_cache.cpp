// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/kv/strided_cache.h"

#include "core/base/checked.h"
#include "core/kv/convert.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

namespace kvscope {

namespace {

/// Bytes read at once when rows are gathered; large enough to amortise the call, small enough to stay in the L2 cache.
constexpr std::int64_t kReadBlock = std::int64_t{256} * 1024;

std::string planeName(PlaneId id) {
    return "layer " + std::to_string(id.layer.value) + " " + std::string(nameOf(id.kind));
}

void swapBytes(std::span<std::byte> bytes, std::int64_t elementSize) {
    for (std::size_t i = 0; i + static_cast<std::size_t>(elementSize) <= bytes.size();
         i += static_cast<std::size_t>(elementSize))
        std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                     bytes.begin() + static_cast<std::ptrdiff_t>(i) + elementSize);
}

/// Turns stored values into what the caller asked for: float32, or the same bytes in little-endian order.
struct Sink {
    DType stored;
    float scale;
    bool toFloat;

    [[nodiscard]] std::int64_t elementSize() const { return toFloat ? 4 : sizeOf(stored); }

    void put(const std::byte* in, std::int64_t count, std::byte* out) const {
        const auto bytes = static_cast<std::size_t>(count * sizeOf(stored));
        if (toFloat)
            convertToFloat(stored, {in, bytes}, {reinterpret_cast<float*>(out), static_cast<std::size_t>(count)},
                           scale);
        else
            std::memcpy(out, in, bytes);
    }
};

/// Reads a part of one plane. Coordinates are relative to the part; output is a matrix of `outStride` elements a row.
class PartReader {
public:
    PartReader(const StridedPart& part, std::int64_t headDim, bool toFloat)
        : part_(part)
        , headDim_(headDim)
        , size_(sizeOf(part.stored))
        , sink_{part.stored, part.scale, toFloat} {}

    Result<void> read(TokenRange tokens, ChannelRange channels, std::byte* out, std::int64_t outStride) {
        std::int64_t token = tokens.begin.value;
        while (token < tokens.end.value) {
            const auto [element, run] = tokenRun(token, tokens.end.value);
            KVSCOPE_TRY(readRun(element, run, channels,
                                out + (token - tokens.begin.value) * outStride * sink_.elementSize(), outStride));
            token += run;
        }
        return {};
    }

private:
    struct Run {
        std::int64_t element;
        std::int64_t tokens;
    };

    /// First element of a token and how many tokens follow at a regular stride.
    [[nodiscard]] Run tokenRun(std::int64_t token, std::int64_t end) const {
        if (part_.pages == nullptr)
            return {token * part_.tokenStride, end - token};
        const auto& pages = *part_.pages;
        const std::int64_t block = token / pages.blockSize;
        const std::int64_t within = token % pages.blockSize;
        return {pages.blocks[static_cast<std::size_t>(block)] * pages.blockStride + within * part_.tokenStride,
                std::min(end - token, pages.blockSize - within)};
    }

    Result<void> readRun(std::int64_t element, std::int64_t tokens, ChannelRange channels, std::byte* out,
                         std::int64_t outStride) {
        if (part_.dimStride == 1 && (part_.headStride == headDim_ || part_.headCount == 1))
            return readRows(element + channels.begin.value, tokens, part_.tokenStride, channels.size(), out, outStride);
        for (std::int64_t channel = channels.begin.value; channel < channels.end.value;) {
            const std::int64_t head = channel / headDim_;
            const std::int64_t dim = channel % headDim_;
            const std::int64_t dims = std::min(headDim_ - dim, channels.end.value - channel);
            const std::int64_t first = element + head * part_.headStride + dim * part_.dimStride;
            std::byte* column = out + (channel - channels.begin.value) * sink_.elementSize();
            if (part_.dimStride == 1)
                KVSCOPE_TRY(readRows(first, tokens, part_.tokenStride, dims, column, outStride));
            else if (part_.tokenStride == 1)
                KVSCOPE_TRY(readTransposed(first, tokens, dims, column, outStride));
            else
                KVSCOPE_TRY(readScattered(first, tokens, dims, column, outStride));
            channel += dims;
        }
        return {};
    }

    /// Rows of `width` neighbouring elements, `stride` elements apart.
    Result<void> readRows(std::int64_t element, std::int64_t rows, std::int64_t stride, std::int64_t width,
                          std::byte* out, std::int64_t outStride) {
        const bool dense = rows == 1 || (stride >= width && width * 4 >= stride);
        const std::int64_t blockRows =
            dense ? std::max<std::int64_t>(1, kReadBlock / std::max<std::int64_t>(1, stride * size_)) : 1;
        if (!sink_.toFloat && stride == width && outStride == width)
            return fetchInto(element, {out, static_cast<std::size_t>(rows * width * size_)});
        for (std::int64_t row = 0; row < rows; row += blockRows) {
            const std::int64_t count = std::min(blockRows, rows - row);
            KVSCOPE_TRY(fetch(element + row * stride, (count - 1) * stride + width));
            if (stride == width && outStride == width) {
                sink_.put(buffer_.get(), count * width, out + row * outStride * sink_.elementSize());
                continue;
            }
            for (std::int64_t i = 0; i < count; ++i)
                sink_.put(buffer_.get() + i * stride * size_, width, out + (row + i) * outStride * sink_.elementSize());
        }
        return {};
    }

    /// Dimensions lie apart and the tokens of each are neighbours: reads along tokens and turns the block.
    Result<void> readTransposed(std::int64_t element, std::int64_t tokens, std::int64_t dims, std::byte* out,
                                std::int64_t outStride) {
        const std::int64_t wide = sink_.elementSize();
        std::vector<std::byte> line(static_cast<std::size_t>(tokens * wide));
        for (std::int64_t dim = 0; dim < dims; ++dim) {
            KVSCOPE_TRY(fetch(element + dim * part_.dimStride, tokens));
            sink_.put(buffer_.get(), tokens, line.data());
            for (std::int64_t token = 0; token < tokens; ++token)
                std::memcpy(out + (token * outStride + dim) * wide, line.data() + token * wide,
                            static_cast<std::size_t>(wide));
        }
        return {};
    }

    /// Neither axis has neighbours (e.g. K and V interleaved innermost): reads each row's span and picks from it.
    Result<void> readScattered(std::int64_t element, std::int64_t tokens, std::int64_t dims, std::byte* out,
                               std::int64_t outStride) {
        const std::int64_t wide = sink_.elementSize();
        const bool spanFits = (dims - 1) * part_.dimStride * size_ <= kReadBlock;
        for (std::int64_t token = 0; token < tokens; ++token) {
            const std::int64_t first = element + token * part_.tokenStride;
            if (spanFits)
                KVSCOPE_TRY(fetch(first, (dims - 1) * part_.dimStride + 1));
            for (std::int64_t dim = 0; dim < dims; ++dim) {
                if (!spanFits)
                    KVSCOPE_TRY(fetch(first + dim * part_.dimStride, 1));
                sink_.put(buffer_.get() + (spanFits ? dim * part_.dimStride * size_ : 0), 1,
                          out + (token * outStride + dim) * wide);
            }
        }
        return {};
    }

    /// Brings `count` neighbouring elements into the buffer, in little-endian order.
    Result<void> fetch(std::int64_t element, std::int64_t count) {
        const auto bytes = static_cast<std::size_t>(count * size_);
        if (bytes > bufferBytes_) {
            buffer_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
            bufferBytes_ = bytes;
        }
        return fetchInto(element, {buffer_.get(), bytes});
    }

    /// Fills `out` with neighbouring elements, in little-endian order.
    Result<void> fetchInto(std::int64_t element, std::span<std::byte> out) const {
        KVSCOPE_TRY(part_.bytes->readAt(part_.offset + element * size_, out));
        if (part_.bigEndian && size_ > 1)
            swapBytes(out, size_);
        return {};
    }

    const StridedPart& part_;
    std::int64_t headDim_;
    std::int64_t size_;
    Sink sink_;
    /// Not cleared before use: what is read overwrites it.
    std::unique_ptr<std::byte[]> buffer_;
    std::size_t bufferBytes_ = 0;
};

class StridedCache final : public CacheSource {
public:
    StridedCache(KvGeometry geometry, CacheInfo info, std::unordered_map<PlaneId, std::vector<StridedPart>> planes)
        : geometry_(std::move(geometry))
        , info_(std::move(info))
        , planes_(std::move(planes)) {}

    [[nodiscard]] const KvGeometry& geometry() const override { return geometry_; }
    [[nodiscard]] const CacheInfo& info() const override { return info_; }

    [[nodiscard]] Result<void> readRows(PlaneId plane, TokenRange tokens, ChannelRange channels,
                                        std::span<float> out) const override {
        return read(plane, tokens, channels, std::as_writable_bytes(out), true);
    }

    [[nodiscard]] Result<void> readNative(PlaneId plane, TokenRange tokens, std::span<std::byte> out) const override {
        return read(plane, tokens, channelRange(0, geometry_.find(plane)->channels()), out, false);
    }

    [[nodiscard]] Result<void> readNativeByHead(PlaneId id, TokenRange tokens,
                                                std::span<std::byte> out) const override {
        const PlaneGeometry& plane = *geometry_.find(id);
        const std::int64_t headBytes = tokens.size() * plane.headDim * sizeOf(plane.dtype);
        for (std::int64_t head = 0; head < plane.heads; ++head)
            KVSCOPE_TRY(read(
                id, tokens, channelRange(head * plane.headDim, (head + 1) * plane.headDim),
                out.subspan(static_cast<std::size_t>(head * headBytes), static_cast<std::size_t>(headBytes)), false));
        return {};
    }

    [[nodiscard]] bool headsLieApart(PlaneId id) const override {
        const PlaneGeometry& plane = *geometry_.find(id);
        const auto& parts = planes_.at(id);
        return plane.heads > 1 && std::all_of(parts.begin(), parts.end(), [&](const StridedPart& part) {
                   return part.pages == nullptr && part.dimStride == 1 && part.tokenStride == plane.headDim;
               });
    }

    [[nodiscard]] bool nativeIsExact(PlaneId plane) const override {
        const auto& parts = planes_.at(plane);
        // A named storage is quantised in blocks, of which f32 is only the decoded form.
        return geometry_.find(plane)->storage.empty() &&
               std::all_of(parts.begin(), parts.end(), [](const StridedPart& part) { return part.scale == 1.0F; });
    }

private:
    [[nodiscard]] Result<void> read(PlaneId id, TokenRange tokens, ChannelRange channels, std::span<std::byte> out,
                                    bool toFloat) const {
        const PlaneGeometry& plane = *geometry_.find(id);
        const std::int64_t width = channels.size();
        const std::int64_t elementSize = toFloat ? 4 : sizeOf(plane.dtype);
        for (const StridedPart& part : planes_.at(id)) {
            const auto partTokens = tokens.intersected(tokenRange(part.tokenBegin, part.tokenBegin + part.tokenCount));
            const auto partChannels = channels.intersected(
                channelRange(part.headBegin * plane.headDim, (part.headBegin + part.headCount) * plane.headDim));
            if (partTokens.empty() || partChannels.empty())
                continue;
            std::byte* corner =
                out.data() +
                ((partTokens.begin - tokens.begin) * width + (partChannels.begin - channels.begin)) * elementSize;
            PartReader reader(part, plane.headDim, toFloat);
            KVSCOPE_TRY(reader.read({partTokens.begin - part.tokenBegin, partTokens.end - part.tokenBegin},
                                    {partChannels.begin - part.headBegin * plane.headDim,
                                     partChannels.end - part.headBegin * plane.headDim},
                                    corner, width));
        }
        return {};
    }

    KvGeometry geometry_;
    CacheInfo info_;
    std::unordered_map<PlaneId, std::vector<StridedPart>> planes_;
};

/// Index of the last element that the part touches, or nothing when the arithmetic leaves int64.
std::optional<std::int64_t> lastElement(const StridedPart& part, std::int64_t headDim) {
    std::optional<std::int64_t> token;
    if (part.pages == nullptr) {
        token = checkedMul(part.tokenCount - 1, part.tokenStride);
    } else {
        const std::int64_t block = *std::max_element(part.pages->blocks.begin(), part.pages->blocks.end());
        const auto start = checkedMul(block, part.pages->blockStride);
        const auto within = checkedMul(part.pages->blockSize - 1, part.tokenStride);
        token = start && within ? checkedAdd(*start, *within) : std::nullopt;
    }
    const auto head = checkedMul(part.headCount - 1, part.headStride);
    const auto dim = checkedMul(headDim - 1, part.dimStride);
    if (!token || !head || !dim)
        return std::nullopt;
    const auto tokenHead = checkedAdd(*token, *head);
    return tokenHead ? checkedAdd(*tokenHead, *dim) : std::nullopt;
}

Result<void> checkPages(const PageTable& pages, std::int64_t tokens, const std::string& where) {
    if (pages.blockSize < 1 || pages.blockStride < 0)
        return fail("the block size of the page table is not positive", where);
    const auto needed = tokens / pages.blockSize + (tokens % pages.blockSize != 0 ? 1 : 0);
    if (static_cast<std::int64_t>(pages.blocks.size()) < needed)
        return fail("the page table lists " + std::to_string(pages.blocks.size()) + " blocks but " +
                        std::to_string(needed) + " are needed",
                    where);
    if (std::any_of(pages.blocks.begin(), pages.blocks.end(), [](std::int64_t block) { return block < 0; }))
        return fail("the page table holds a negative block number", where);
    return {};
}

Result<void> checkPart(const StridedPart& part, const PlaneGeometry& plane, const std::string& where) {
    if (part.bytes == nullptr)
        return fail("has no data", where);
    if (part.stored != plane.dtype)
        return fail("mixes " + std::string(nameOf(part.stored)) + " with " + std::string(nameOf(plane.dtype)), where);
    if (part.tokenCount < 1 || part.headCount < 1 || part.tokenBegin < 0 || part.headBegin < 0 ||
        part.tokenCount > plane.tokens || part.tokenBegin > plane.tokens - part.tokenCount ||
        part.headCount > plane.heads || part.headBegin > plane.heads - part.headCount)
        return fail("has a part that lies outside of the plane", where);
    if (part.offset < 0 || part.tokenStride < 0 || part.headStride < 0 || part.dimStride < 0)
        return fail("has a negative offset or stride", where);
    if (part.pages != nullptr)
        KVSCOPE_TRY(checkPages(*part.pages, part.tokenCount, where));
    const auto last = lastElement(part, plane.headDim);
    const auto bytes = last && *last < INT64_MAX ? checkedMul(*last + 1, sizeOf(part.stored)) : std::nullopt;
    const auto end = bytes ? checkedAdd(*bytes, part.offset) : std::nullopt;
    if (!end || *end > part.bytes->size())
        return fail("needs bytes up to offset " + (end ? std::to_string(*end) : std::string("2^63")) + " of " +
                        part.bytes->name() + ", which ends at " + std::to_string(part.bytes->size()),
                    where, "The file is truncated, or its shape is not what was assumed");
    return {};
}

/// Each (token, head) of the plane must come from exactly one part.
Result<void> checkTiling(std::vector<StridedPart>& parts, const PlaneGeometry& plane, const std::string& where) {
    std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) {
        return std::pair(a.tokenBegin, a.headBegin) < std::pair(b.tokenBegin, b.headBegin);
    });
    std::int64_t covered = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        covered += parts[i].tokenCount * parts[i].headCount;
        for (std::size_t j = i + 1; j < parts.size() && parts[j].tokenBegin < parts[i].tokenBegin + parts[i].tokenCount;
             ++j) {
            if (parts[j].headBegin < parts[i].headBegin + parts[i].headCount &&
                parts[i].headBegin < parts[j].headBegin + parts[j].headCount)
                return fail("holds token " + std::to_string(parts[j].tokenBegin) + " twice", where,
                            "Two files or chunks of the dump overlap");
        }
    }
    if (covered != plane.tokens * plane.heads)
        return fail("lacks " + std::to_string(plane.tokens * plane.heads - covered) + " of its " +
                        std::to_string(plane.tokens * plane.heads) + " (token, head) rows",
                    where, "A file or chunk of the dump is missing");
    return {};
}

class FloatSource final : public ByteSource {
public:
    FloatSource(std::vector<float> values, std::string name)
        : values_(std::move(values))
        , name_(std::move(name)) {}

    [[nodiscard]] std::int64_t size() const override {
        return static_cast<std::int64_t>(values_.size() * sizeof(float));
    }
    [[nodiscard]] const std::string& name() const override { return name_; }
    [[nodiscard]] Result<void> readAt(std::int64_t offset, std::span<std::byte> out) const override {
        if (offset < 0 || offset > size() || static_cast<std::int64_t>(out.size()) > size() - offset)
            return fail("read outside of the values in memory", name_);
        const auto bytes = std::as_bytes(std::span(values_));
        std::copy_n(bytes.begin() + offset, out.size(), out.begin());
        return {};
    }

private:
    std::vector<float> values_;
    std::string name_;
};

} // namespace

Result<KvCache> makeStridedCache(KvGeometry geometry, CacheInfo info, std::vector<StridedPlane> planes) {
    if (const auto problem = findGeometryProblem(geometry))
        return fail(*problem, info.name, "The file is damaged, or its shape is not what was assumed");
    std::unordered_map<PlaneId, std::vector<StridedPart>> byId;
    for (StridedPlane& plane : planes) {
        const std::string where = info.name + ", " + planeName(plane.id);
        const PlaneGeometry* shape = geometry.find(plane.id);
        if (shape == nullptr)
            return fail("is not part of the geometry", where);
        for (const StridedPart& part : plane.parts)
            KVSCOPE_TRY(checkPart(part, *shape, where));
        KVSCOPE_TRY(checkTiling(plane.parts, *shape, where));
        if (!byId.emplace(plane.id, std::move(plane.parts)).second)
            return fail("is given twice", where);
    }
    for (const PlaneId id : geometry.allPlanes()) {
        if (!byId.contains(id) && geometry.find(id)->tokens > 0)
            return fail("has no data", info.name + ", " + planeName(id));
        byId.try_emplace(id);
    }
    return KvCache(std::make_shared<StridedCache>(std::move(geometry), std::move(info), std::move(byId)));
}

Result<KvCache> makeMemoryCache(KvGeometry geometry, CacheInfo info, std::vector<std::vector<float>> values) {
    const auto ids = geometry.allPlanes();
    if (ids.size() != values.size())
        return fail("got " + std::to_string(values.size()) + " planes of values for " + std::to_string(ids.size()),
                    info.name);
    std::vector<StridedPlane> planes;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        const PlaneGeometry& shape = *geometry.find(ids[i]);
        const auto size = checkedProduct({shape.tokens, shape.heads, shape.headDim});
        if (!size || *size != static_cast<std::int64_t>(values[i].size()))
            return fail("got " + std::to_string(values[i].size()) + " values", info.name + ", " + planeName(ids[i]));
        StridedPlane plane{ids[i], {}};
        if (shape.tokens > 0) {
            StridedPart part;
            part.bytes = std::make_shared<FloatSource>(std::move(values[i]), info.name);
            part.stored = DType::F32;
            part.tokenStride = shape.channels();
            part.headStride = shape.headDim;
            part.tokenCount = shape.tokens;
            part.headCount = shape.heads;
            plane.parts.push_back(std::move(part));
        }
        planes.push_back(std::move(plane));
    }
    return makeStridedCache(std::move(geometry), std::move(info), std::move(planes));
}

} // namespace kvscope
