// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/kvz_lossless.h"

#include "core/base/hash.h"
#include "core/codec/learnt_tables.h"
#include "core/codec/rans.h"
#include "core/codec/raw_vector.h"
#include "core/codec/side_bits.h"
#include "core/codec/side_bytes.h"
#include "core/codec/symbol_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace kvscope {

namespace {

/// First byte.
enum class LosslessForm : std::uint8_t { Stored = 1, Planes = 2 };
/// Bytes of a value, most significant first, are coded each in planes [channel][coded row].
constexpr std::size_t kMostPlanes = 8;

/// Whether the sign goes from the top of a value to its bottom, so that the top byte holds the exponent.
bool rotatesSign(DType type) {
    return type == DType::F16 || type == DType::BF16 || type == DType::F32 || type == DType::F64;
}

template <class Word> Word toPlanes(Word word, bool rotate) {
    return rotate ? std::rotl(word, 1) : word;
}

template <class Word> Word fromPlanes(Word word, bool rotate) {
    return rotate ? std::rotr(word, 1) : word;
}

/// For every row the earlier one that it equals, or itself.
std::vector<std::uint32_t> findTwins(std::span<const std::byte> native, std::size_t tokens) {
    std::vector<std::uint32_t> twins(tokens);
    const std::size_t rowBytes = tokens > 0 ? native.size() / tokens : 0;
    std::unordered_map<std::uint64_t, std::uint32_t> seen;
    seen.reserve(tokens);
    for (std::size_t t = 0; t < tokens; ++t) {
        const auto row = native.subspan(t * rowBytes, rowBytes);
        const auto [at, isNew] = seen.try_emplace(hashBytes(row), static_cast<std::uint32_t>(t));
        const bool equal = !isNew && std::memcmp(row.data(), native.data() + at->second * rowBytes, rowBytes) == 0;
        twins[t] = equal ? at->second : static_cast<std::uint32_t>(t);
    }
    return twins;
}

void putTwins(const std::vector<std::uint32_t>& twins, std::vector<std::byte>& out) {
    SideBitWriter writer(out);
    bool any = false;
    for (std::size_t t = 0; t < twins.size(); ++t)
        any = any || twins[t] != t;
    writer.put(any ? 1 : 0, 1);
    for (std::size_t t = 1; any && t < twins.size(); ++t) {
        writer.put(twins[t] != t ? 1 : 0, 1);
        if (twins[t] != t)
            writer.put(twins[t], std::bit_width(t - 1));
    }
    writer.finish();
}

struct ReadTwins {
    std::vector<std::uint32_t> twins;
    std::size_t bytes = 0;
};

Result<ReadTwins> getTwins(std::span<const std::byte> bytes, std::size_t tokens) {
    SideBitReader reader(bytes);
    ReadTwins read;
    const bool any = reader.get(1) != 0;
    if (any && bytes.size() * 8 < tokens)
        return damagedChunk("equal rows", "the bytes end too early");
    read.twins.resize(tokens);
    std::iota(read.twins.begin(), read.twins.end(), 0U);
    for (std::size_t t = 1; any && t < tokens; ++t) {
        if (reader.get(1) != 0)
            read.twins[t] = reader.get(std::bit_width(t - 1));
        if (read.twins[t] > t)
            return damagedChunk("equal rows", "a row equals a later one");
    }
    if (!reader.good())
        return damagedChunk("equal rows", "the bytes end too early");
    read.bytes = reader.bytesRead();
    return read;
}

std::vector<std::uint32_t> ownRows(const std::vector<std::uint32_t>& twins) {
    std::vector<std::uint32_t> own;
    for (std::size_t t = 0; t < twins.size(); ++t) {
        if (twins[t] == t)
            own.push_back(static_cast<std::uint32_t>(t));
    }
    return own;
}

/// Rows with a table, by table, those of a table in order.
std::vector<std::uint32_t> tableOrder(const LearntTables& learnt) {
    std::vector<std::uint32_t> order;
    for (std::size_t table = 1; table <= learnt.tables.size(); ++table) {
        for (std::size_t c = 0; c < learnt.classes.size(); ++c) {
            if (learnt.classes[c] == table)
                order.push_back(static_cast<std::uint32_t>(c));
        }
    }
    return order;
}

int streamsFor(std::size_t values) {
    return values < 16384 ? 1 : values < 65536 ? 2 : 4;
}

class Encoder {
public:
    Encoder(const ChunkShape& shape, std::span<const std::byte> native, bool statistics)
        : native_(native)
        , statistics_(statistics)
        , tokens_(static_cast<std::size_t>(shape.tokens.size()))
        , channels_(static_cast<std::size_t>(shape.plane.channels()))
        , planeCount_(static_cast<std::size_t>(sizeOf(shape.plane.dtype)))
        , rotate_(rotatesSign(shape.plane.dtype)) {}

    Result<EncodedChunk> encode() {
        const auto twins = findTwins(native_, tokens_);
        rows_ = ownRows(twins);
        split();

        std::vector<std::byte>& out = chunk_.bytes;
        out.push_back(static_cast<std::byte>(LosslessForm::Planes));
        putTwins(twins, out);
        chunk_.parts[BytePart::Header] = static_cast<std::int64_t>(out.size());
        if (statistics_) {
            chunk_.channelBits.assign(channels_, 0);
            chunk_.entropyBits = 0;
        }
        for (std::size_t plane = 0; plane < planeCount_; ++plane)
            KVSCOPE_TRY(encodePlane(plane));
        return std::move(chunk_);
    }

private:
    void split() {
        switch (planeCount_) {
        case 1:
            return splitWords<std::uint8_t>();
        case 2:
            return splitWords<std::uint16_t>();
        case 4:
            return splitWords<std::uint32_t>();
        default:
            return splitWords<std::uint64_t>();
        }
    }

    template <class Word> void splitWords() {
        const std::size_t planeSize = channels_ * rows_.size();
        for (std::size_t plane = 0; plane < planeCount_; ++plane)
            planes_[plane].resize(planeSize);
        // Bytes of some rows, [plane][row][channel], are turned into channels at once.
        constexpr std::size_t kRowsAtOnce = 64;
        const std::size_t stride = channels_ + 64;
        std::vector<std::uint8_t> bytes(sizeof(Word) * kRowsAtOnce * stride);
        for (std::size_t first = 0; first < rows_.size(); first += kRowsAtOnce) {
            const std::size_t count = std::min(kRowsAtOnce, rows_.size() - first);
            for (std::size_t i = 0; i < count; ++i) {
                const std::byte* row = native_.data() + rows_[first + i] * channels_ * sizeof(Word);
                for (std::size_t c = 0; c < channels_; ++c) {
                    Word word = 0;
                    std::memcpy(&word, row + c * sizeof(Word), sizeof(Word));
                    word = toPlanes(word, rotate_);
                    for (std::size_t plane = 0; plane < sizeof(Word); ++plane)
                        bytes[(plane * kRowsAtOnce + i) * stride + c] =
                            static_cast<std::uint8_t>(word >> (8 * (sizeof(Word) - 1 - plane)));
                }
            }
            for (std::size_t plane = 0; plane < sizeof(Word); ++plane)
                transposeBytes(bytes.data() + plane * kRowsAtOnce * stride, stride, count, channels_,
                               planes_[plane].data() + first, rows_.size());
        }
    }

    Result<void> encodePlane(std::size_t plane) {
        const std::size_t rows = rows_.size();
        std::vector<std::uint16_t> counts(channels_ * kRansSymbols);
        for (std::size_t c = 0; c < channels_; ++c) {
            std::uint16_t* own = counts.data() + c * kRansSymbols;
            for (std::size_t i = 0; i < rows; ++i)
                ++own[planes_[plane][c * rows + i]];
        }
        KVSCOPE_ASSIGN(const auto learnt, learnTables(counts, channels_));

        std::vector<std::byte>& out = chunk_.bytes;
        const std::size_t before = out.size();
        writeLearntTables(learnt, out);
        chunk_.parts[BytePart::Tables] += static_cast<std::int64_t>(out.size() - before);
        std::vector<RansRow> coded;
        for (const std::uint32_t c : tableOrder(learnt))
            coded.push_back({&learnt.tables[learnt.classes[c] - 1U], planes_[plane].data() + c * rows});
        const auto stored = storedBytes(plane, learnt);
        const int streams = streamsFor(coded.size() * rows);
        const auto room =
            static_cast<std::size_t>(ransPayloadCapacity(coded, static_cast<std::int64_t>(rows), streams));
        const auto payload = std::span(stored).first(std::min(room, stored.size()));
        std::vector<std::byte> blob;
        RansEncoder coder;
        KVSCOPE_TRY(coder.encode(coded, static_cast<std::int64_t>(rows), streams, payload, blob));
        const std::size_t header = out.size();
        putLeb128(blob.size(), out);
        chunk_.parts[BytePart::Header] += static_cast<std::int64_t>(out.size() - header);
        out.insert(out.end(), blob.begin(), blob.end());
        out.insert(out.end(), stored.begin() + static_cast<std::ptrdiff_t>(payload.size()), stored.end());
        chunk_.parts[BytePart::Payload] += static_cast<std::int64_t>(blob.size() + stored.size() - payload.size());
        if (statistics_)
            countBits(counts, learnt);
        return {};
    }

    /// Bytes of the channels without a table, row by row.
    [[nodiscard]] std::vector<std::byte> storedBytes(std::size_t plane, const LearntTables& learnt) const {
        std::vector<std::byte> stored;
        for (std::size_t i = 0; i < rows_.size(); ++i) {
            for (std::size_t c = 0; c < channels_; ++c) {
                if (learnt.classes[c] == 0)
                    stored.push_back(static_cast<std::byte>(planes_[plane][c * rows_.size() + i]));
            }
        }
        return stored;
    }

    void countBits(const std::vector<std::uint16_t>& counts, const LearntTables& learnt) {
        const auto total = static_cast<double>(rows_.size());
        for (std::size_t c = 0; c < channels_; ++c) {
            double bits = 8 * total;
            double entropy = 0;
            if (learnt.classes[c] > 0)
                bits = 0;
            for (std::size_t byte = 0; byte < kRansSymbols; ++byte) {
                const auto count = static_cast<double>(counts[c * kRansSymbols + byte]);
                if (count == 0)
                    continue;
                entropy -= count * std::log2(count / total);
                if (learnt.classes[c] > 0)
                    bits += count * learnt.tables[learnt.classes[c] - 1U].costs()[byte] / 65536;
            }
            chunk_.channelBits[c] += static_cast<float>(bits);
            *chunk_.entropyBits += entropy;
        }
    }

    std::span<const std::byte> native_;
    bool statistics_;
    std::size_t tokens_;
    std::size_t channels_;
    std::size_t planeCount_;
    bool rotate_;
    /// Rows that equal no earlier one.
    std::vector<std::uint32_t> rows_;
    std::array<std::vector<std::uint8_t>, kMostPlanes> planes_;
    EncodedChunk chunk_;
};

class Decoder {
public:
    Decoder(const ChunkShape& shape, std::span<std::byte> native)
        : native_(native)
        , tokens_(static_cast<std::size_t>(shape.tokens.size()))
        , channels_(static_cast<std::size_t>(shape.plane.channels()))
        , planeCount_(static_cast<std::size_t>(sizeOf(shape.plane.dtype)))
        , rotate_(rotatesSign(shape.plane.dtype)) {}

    Result<void> decode(std::span<const std::byte> bytes) {
        KVSCOPE_ASSIGN(const auto read, getTwins(bytes, tokens_));
        rows_ = ownRows(read.twins);
        SideBytes reader(bytes.subspan(read.bytes));
        for (std::size_t plane = 0; plane < planeCount_; ++plane)
            KVSCOPE_TRY(decodePlane(plane, reader));
        if (!reader.rest().empty())
            return damagedChunk("planes", "there are bytes behind the last");
        join();
        const std::size_t rowBytes = channels_ * planeCount_;
        for (std::size_t t = 0; t < tokens_; ++t) {
            if (read.twins[t] != t)
                std::memcpy(native_.data() + t * rowBytes, native_.data() + read.twins[t] * rowBytes, rowBytes);
        }
        return {};
    }

private:
    Result<void> decodePlane(std::size_t plane, SideBytes& reader) {
        const std::size_t rows = rows_.size();
        KVSCOPE_ASSIGN(const auto tables, readLearntTables(reader.rest(), channels_));
        KVSCOPE_TRY(reader.take(tables.bytes, "tables"));
        const LearntTables& learnt = tables.learnt;
        auto& symbols = planes_[plane];
        const auto order = tableOrder(learnt);
        if (!order.empty())
            symbols.resize(channels_ * rows);
        std::vector<RansOutputRow> outputs;
        std::vector<RansRow> coded;
        for (const std::uint32_t c : order) {
            const RansTable& table = learnt.tables[learnt.classes[c] - 1U];
            outputs.push_back({&table, symbols.data() + c * rows});
            coded.push_back({&table, symbols.data() + c * rows});
        }
        const std::size_t storedChannels = channels_ - coded.size();
        const std::size_t storedCount = storedChannels * rows;
        const int streams = streamsFor(coded.size() * rows);
        const auto room =
            static_cast<std::size_t>(ransPayloadCapacity(coded, static_cast<std::int64_t>(rows), streams));
        const std::size_t payload = std::min(room, storedCount);
        KVSCOPE_ASSIGN(const auto length, reader.leb128("planes"));
        KVSCOPE_ASSIGN(const auto blob, reader.take(length, "planes"));
        KVSCOPE_ASSIGN(auto stored, ransDecode(blob, outputs, static_cast<std::int64_t>(rows), streams,
                                               static_cast<std::int64_t>(payload)));
        KVSCOPE_ASSIGN(const auto rest, reader.take(storedCount - payload, "planes"));
        // The low bytes of 16-bit values, all stored, are joined as they lie.
        if (planeCount_ == 2 && plane == 1 && rotate_ && payload == 0 && storedChannels == channels_) {
            storedRows_ = rest;
            return {};
        }
        symbols.resize(channels_ * rows);
        stored.insert(stored.end(), rest.begin(), rest.end());
        std::size_t next = 0;
        for (std::size_t i = 0; i < rows && storedChannels > 0; ++i) {
            for (std::size_t c = 0; c < channels_; ++c) {
                if (learnt.classes[c] == 0)
                    symbols[c * rows + i] = std::to_integer<std::uint8_t>(stored[next++]);
            }
        }
        return {};
    }

    void join() {
        switch (planeCount_) {
        case 1:
            return joinWords<std::uint8_t>();
        case 2:
            return joinWords<std::uint16_t>();
        case 4:
            return joinWords<std::uint32_t>();
        default:
            return joinWords<std::uint64_t>();
        }
    }

    /// Sixteen bits: both planes are turned into rows and joined there.
    void joinHalves() {
        const std::size_t stride = channels_ + 64;
        RawVector<std::uint8_t> high(rows_.size() * stride);
        transposeBytes(planes_[0].data(), rows_.size(), channels_, rows_.size(), high.data(), stride);
        RawVector<std::uint8_t> turned;
        const auto* low = reinterpret_cast<const std::uint8_t*>(storedRows_.data());
        std::size_t lowStride = channels_;
        if (storedRows_.empty()) {
            lowStride = stride;
            turned.resize(rows_.size() * stride);
            transposeBytes(planes_[1].data(), rows_.size(), channels_, rows_.size(), turned.data(), stride);
            low = turned.data();
        }
        std::vector<std::uint16_t> words(channels_);
        for (std::size_t i = 0; i < rows_.size(); ++i) {
            joinRotated(high.data() + i * stride, low + i * lowStride, channels_, words.data());
            std::memcpy(native_.data() + rows_[i] * channels_ * sizeof(std::uint16_t), words.data(),
                        channels_ * sizeof(std::uint16_t));
        }
    }

    template <class Word> void joinWords() {
        if constexpr (sizeof(Word) == sizeof(std::uint16_t)) {
            if (rotate_)
                return joinHalves();
        }
        for (std::size_t i = 0; i < rows_.size(); ++i) {
            std::byte* row = native_.data() + rows_[i] * channels_ * sizeof(Word);
            for (std::size_t c = 0; c < channels_; ++c) {
                Word word = 0;
                for (std::size_t plane = 0; plane < sizeof(Word); ++plane)
                    word = static_cast<Word>(word | static_cast<Word>(planes_[plane][c * rows_.size() + i])
                                                        << (8 * (sizeof(Word) - 1 - plane)));
                word = fromPlanes(word, rotate_);
                std::memcpy(row + c * sizeof(Word), &word, sizeof(Word));
            }
        }
    }

    std::span<std::byte> native_;
    std::size_t tokens_;
    std::size_t channels_;
    std::size_t planeCount_;
    bool rotate_;
    std::vector<std::uint32_t> rows_;
    std::array<RawVector<std::uint8_t>, kMostPlanes> planes_;
    /// Low bytes [coded row][channel] where none of them is coded.
    std::span<const std::byte> storedRows_;
};

} // namespace

Result<EncodedChunk> encodeKvzLossless(const ChunkShape& shape, std::span<const std::byte> native, bool statistics) {
    EncodedChunk stored;
    stored.bytes.push_back(static_cast<std::byte>(LosslessForm::Stored));
    stored.bytes.insert(stored.bytes.end(), native.begin(), native.end());
    stored.parts[BytePart::Header] = 1;
    stored.parts[BytePart::Payload] = static_cast<std::int64_t>(native.size());
    // Counts of a channel are kept in 16 bits.
    if (native.empty() || shape.tokens.size() > 65535)
        return stored;
    KVSCOPE_ASSIGN(auto coded, Encoder(shape, native, statistics).encode());
    return coded.bytes.size() < stored.bytes.size() ? std::move(coded) : std::move(stored);
}

Result<void> decodeKvzLossless(const ChunkShape& shape, std::span<const std::byte> bytes, std::span<std::byte> native) {
    if (bytes.empty())
        return damagedChunk("lossless header", "there are no bytes");
    const auto body = bytes.subspan(1);
    switch (static_cast<LosslessForm>(bytes.front())) {
    case LosslessForm::Stored:
        if (body.size() != native.size())
            return damagedChunk("stored values", "there are " + std::to_string(body.size()) + " bytes instead of " +
                                                     std::to_string(native.size()));
        std::ranges::copy(body, native.begin());
        return {};
    case LosslessForm::Planes:
        if (native.empty())
            return damagedChunk("lossless header", "an empty chunk is coded");
        return Decoder(shape, native).decode(body);
    }
    return damagedChunk("lossless header",
                        "the form " + std::to_string(std::to_integer<int>(bytes.front())) + " is not known");
}

} // namespace kvscope
