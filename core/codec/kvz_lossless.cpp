// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/kvz_lossless.h"

#include "core/codec/fixed_log.h"
#include "core/codec/kvz_pairs.h"
#include "core/codec/learnt_tables.h"
#include "core/codec/rans.h"
#include "core/codec/raw_vector.h"
#include "core/codec/row_relations.h"
#include "core/codec/side_bytes.h"
#include "core/codec/symbol_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace kvscope {

namespace {

/// First byte.
enum class LosslessForm : std::uint8_t { Stored = 1, Planes = 2, Pairs = 3 };
/// Bytes of a value, most significant first, are coded each in planes [channel][coded row].
constexpr std::size_t kMostPlanes = 8;
/// Chunks of so many values are not coded in two ways when the fast one is near its bound.
constexpr std::int64_t kManyValues = 65536;
/// How much larger pairs may be than planes.
constexpr double kWorthPairs = 1.01;

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
    /// `front`: what the bytes begin with.
    Encoder(const ChunkShape& shape, std::span<const std::byte> native, bool statistics, std::vector<std::byte> front)
        : native_(native)
        , statistics_(statistics)
        , front_(std::move(front))
        , tokens_(static_cast<std::size_t>(shape.tokens.size()))
        , channels_(static_cast<std::size_t>(shape.plane.channels()))
        , planeCount_(static_cast<std::size_t>(sizeOf(shape.plane.dtype)))
        , rotate_(rotatesSign(shape.plane.dtype)) {}

    Result<EncodedChunk> encode(const std::vector<std::uint32_t>& twins) {
        RowRelations relations;
        relations.twins = twins;
        relations.likes.resize(tokens_);
        std::iota(relations.likes.begin(), relations.likes.end(), 0U);
        const auto likes = findLikes(native_, planeCount_, rotate_, relations.twins);
        if (!anyOther(likes))
            return encode(relations);
        RowRelations differing = relations;
        differing.likes = likes;
        if (tokens_ * channels_ >= static_cast<std::size_t>(kManyValues)) {
            // Some channels usually say enough.
            constexpr double kClear = 0.03;
            const double plain = sampledBits(relations);
            const double differences = sampledBits(differing);
            if (std::fabs(differences - plain) > kClear * plain)
                return encode(differences < plain ? differing : relations);
        }
        KVSCOPE_ASSIGN(auto plain, encode(relations));
        KVSCOPE_ASSIGN(auto differences, encode(differing));
        return differences.bytes.size() < plain.bytes.size() ? std::move(differences) : std::move(plain);
    }

private:
    Result<EncodedChunk> encode(const RowRelations& relations) {
        chunk_ = {};
        std::vector<std::byte>& out = chunk_.bytes;
        out.reserve(native_.size());
        out.assign(front_.begin(), front_.end());
        putRelations(relations, out);
        chunk_.parts[BytePart::Header] = static_cast<std::int64_t>(out.size());
        if (statistics_) {
            chunk_.channelBits.assign(channels_, 0);
            chunk_.channelEntropyBits.assign(channels_, 0);
            chunk_.entropyBits = 0;
        }
        likes_ = relations.likes;
        for (const bool differences : {false, true}) {
            rows_ = relations.rows(differences);
            if (rows_.empty())
                continue;
            split();
            for (std::size_t plane = 0; plane < planeCount_; ++plane)
                KVSCOPE_TRY(encodePlane(plane));
        }
        return std::move(chunk_);
    }

    /// Bits (times 2^8) of all bytes of some channels if each byte of a value had a table of the channel's own.
    [[nodiscard]] double sampledBits(const RowRelations& relations) const {
        constexpr std::size_t kStep = 11;
        double bits = 0;
        for (const bool differences : {false, true}) {
            const auto rows = relations.rows(differences);
            for (std::size_t c = 0; c < channels_ && !rows.empty(); c += kStep) {
                std::array<std::array<std::uint16_t, kRansSymbols>, kMostPlanes> counts{};
                for (const std::uint32_t t : rows) {
                    std::uint64_t word = wordAt(t, c);
                    if (differences)
                        word -= wordAt(relations.likes[t], c);
                    for (std::size_t plane = 0; plane < planeCount_; ++plane)
                        ++counts[plane][word >> 8 * plane & 0xFFU];
                }
                bits += static_cast<double>(planeCount_ * rows.size()) *
                        static_cast<double>(realLog2Q8(static_cast<double>(rows.size())));
                for (std::size_t plane = 0; plane < planeCount_; ++plane) {
                    for (const std::uint16_t count : counts[plane]) {
                        if (count > 1)
                            bits -= static_cast<double>(count * realLog2Q8(count));
                    }
                }
            }
        }
        return bits;
    }

    /// A value as the planes have it.
    [[nodiscard]] std::uint64_t wordAt(std::size_t t, std::size_t c) const {
        std::uint64_t word = 0;
        std::memcpy(&word, native_.data() + (t * channels_ + c) * planeCount_, planeCount_);
        const std::size_t bits = 8 * planeCount_;
        return rotate_ ? word << 1 | word >> (bits - 1) : word;
    }

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

    /// Makes the planes, [coded row][channel].
    template <class Word> void splitWords() {
        // Rows do not all begin at the same place of a page: turning them would wait for the same few cache lines.
        stride_ = channels_ + 64;
        for (std::size_t plane = 0; plane < planeCount_; ++plane)
            planes_[plane].resize(stride_ * rows_.size());
        for (std::size_t i = 0; i < rows_.size(); ++i) {
            const std::size_t t = rows_[i];
            const std::byte* row = native_.data() + t * channels_ * sizeof(Word);
            const std::byte* like = native_.data() + likes_[t] * channels_ * sizeof(Word);
            std::array<std::uint8_t*, sizeof(Word)> to;
            for (std::size_t plane = 0; plane < sizeof(Word); ++plane)
                to[plane] = planes_[plane].data() + i * stride_;
            if (sizeof(Word) == sizeof(std::uint16_t) && rotate_) {
                splitRotated(row, like != row ? like : nullptr, channels_, to[0], to[sizeof(Word) / 2]);
                continue;
            }
            for (std::size_t c = 0; c < channels_; ++c) {
                Word word = 0;
                std::memcpy(&word, row + c * sizeof(Word), sizeof(Word));
                word = toPlanes(word, rotate_);
                if (like != row) {
                    Word other = 0;
                    std::memcpy(&other, like + c * sizeof(Word), sizeof(Word));
                    word = static_cast<Word>(word - toPlanes(other, rotate_));
                }
                for (std::size_t plane = 0; plane < sizeof(Word); ++plane)
                    to[plane][c] = static_cast<std::uint8_t>(word >> (8 * (sizeof(Word) - 1 - plane)));
            }
        }
    }

    /// Whether tables would save next to nothing: bytes are spread evenly over all channels, and their bits in each.
    [[nodiscard]] bool isNoise(std::size_t plane) const {
        // Bits a byte.
        constexpr double kNothing = 0.008;
        constexpr std::size_t kStep = 7;
        const std::size_t rows = rows_.size();
        if (rows * channels_ < static_cast<std::size_t>(kManyValues))
            return false;
        RansCounts counts{};
        for (std::size_t i = 0; i < rows; ++i) {
            for (std::size_t c = i % kStep; c < channels_; c += kStep)
                ++counts[planes_[plane][i * stride_ + c]];
        }
        return entropyOfSome(counts) > 8 - kNothing && knownOfBits(plane) < kNothing;
    }

    /// What the channels say about the bits of their bytes, one by one, in bits a byte.
    [[nodiscard]] double knownOfBits(std::size_t plane) const {
        constexpr std::size_t kBits = 8;
        constexpr std::size_t kMostCounted = 128;
        const std::size_t rows = std::min(rows_.size(), kMostCounted);
        std::vector<std::uint8_t> ones(kBits * channels_);
        for (std::size_t i = 0; i < rows; ++i)
            countBitsOf(planes_[plane].data() + i * rows_.size() / rows * stride_, channels_, ones.data());
        // For bits that are ones in every second row the squares of what is above or below are a quarter of the rows.
        double excess = 0;
        for (const std::uint8_t count : ones) {
            const double above = 2.0 * count - static_cast<double>(rows);
            excess += above * above / static_cast<double>(rows) - 1;
        }
        return excess / (2 * std::log(2.0) * static_cast<double>(rows * channels_));
    }

    /// Turns a plane into channels [channel][coded row] and counts the bytes of each.
    void turn(std::size_t plane, RawVector<std::uint16_t>& counts) {
        const std::size_t rows = rows_.size();
        turned_.resize(channels_ * rows);
        transposeBytes(planes_[plane].data(), stride_, rows, channels_, turned_.data(), rows);
        counts.resize(channels_ * kRansSymbols);
        for (std::size_t c = 0; c < channels_; ++c) {
            // Neighbours are often equal: counting them in one place would wait for the memory each time.
            constexpr std::size_t kParts = 4;
            std::array<std::array<std::uint16_t, kRansSymbols>, kParts> part{};
            const std::uint8_t* bytes = turned_.data() + c * rows;
            std::size_t i = 0;
            for (; i + kParts <= rows; i += kParts) {
                for (std::size_t k = 0; k < kParts; ++k)
                    ++part[k][bytes[i + k]];
            }
            for (; i < rows; ++i)
                ++part[0][bytes[i]];
            std::uint16_t* own = counts.data() + c * kRansSymbols;
            for (std::size_t byte = 0; byte < kRansSymbols; ++byte)
                own[byte] = static_cast<std::uint16_t>(part[0][byte] + part[1][byte] + part[2][byte] + part[3][byte]);
        }
    }

    Result<void> encodePlane(std::size_t plane) {
        const std::size_t rows = rows_.size();
        RawVector<std::uint16_t> counts;
        LearntTables learnt;
        const bool noise = isNoise(plane);
        if (!noise || statistics_)
            turn(plane, counts);
        if (noise) {
            learnt.classes.resize(channels_);
        } else {
            KVSCOPE_ASSIGN(learnt, learnTables(counts, channels_));
        }

        std::vector<std::byte>& out = chunk_.bytes;
        const std::size_t before = out.size();
        writeLearntTables(learnt, out);
        chunk_.parts[BytePart::Tables] += static_cast<std::int64_t>(out.size() - before);
        std::vector<RansRow> coded;
        for (const std::uint32_t c : tableOrder(learnt))
            coded.push_back({&learnt.tables[learnt.classes[c] - 1U], turned_.data() + c * rows});
        const auto stored = storedBytes(plane, learnt);
        const int streams = streamsFor(coded.size() * rows);
        const auto room =
            static_cast<std::size_t>(ransPayloadCapacity(coded, static_cast<std::int64_t>(rows), streams));
        const auto payload = std::span(stored).first(std::min(room, stored.size()));
        RansEncoder coder;
        KVSCOPE_ASSIGN(const auto length, coder.code(coded, static_cast<std::int64_t>(rows), streams, payload));
        const std::size_t header = out.size();
        putLeb128(length, out);
        chunk_.parts[BytePart::Header] += static_cast<std::int64_t>(out.size() - header);
        coder.append(out);
        out.insert(out.end(), stored.begin() + static_cast<std::ptrdiff_t>(payload.size()), stored.end());
        chunk_.parts[BytePart::Payload] += static_cast<std::int64_t>(length + stored.size() - payload.size());
        if (statistics_)
            countBits(counts, learnt);
        return {};
    }

    /// Bytes of the channels without a table, row by row.
    [[nodiscard]] RawVector<std::byte> storedBytes(std::size_t plane, const LearntTables& learnt) const {
        const auto channels = static_cast<std::size_t>(std::ranges::count(learnt.classes, std::uint8_t{0}));
        RawVector<std::byte> stored(channels * rows_.size());
        auto* to = stored.data();
        for (std::size_t i = 0; i < rows_.size() && channels > 0; ++i) {
            const std::uint8_t* row = planes_[plane].data() + i * stride_;
            if (channels == channels_) {
                std::memcpy(to, row, channels);
                to += channels;
                continue;
            }
            for (std::size_t c = 0; c < channels_; ++c) {
                if (learnt.classes[c] == 0)
                    *to++ = static_cast<std::byte>(row[c]);
            }
        }
        return stored;
    }

    void countBits(std::span<const std::uint16_t> counts, const LearntTables& learnt) {
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
            chunk_.channelEntropyBits[c] += static_cast<float>(entropy);
            *chunk_.entropyBits += entropy;
        }
    }

    std::span<const std::byte> native_;
    bool statistics_;
    std::vector<std::byte> front_;
    std::size_t tokens_;
    std::size_t channels_;
    std::size_t planeCount_;
    bool rotate_;
    /// Rows in work, and for each row of the chunk the one that it is like.
    std::vector<std::uint32_t> rows_;
    std::vector<std::uint32_t> likes_;
    /// Bytes [coded row][channel], rows stride_ apart.
    std::array<RawVector<std::uint8_t>, kMostPlanes> planes_;
    std::size_t stride_ = 0;
    /// Bytes of the plane in work, [channel][coded row].
    RawVector<std::uint8_t> turned_;
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
        KVSCOPE_ASSIGN(const auto read, getRelations(bytes, tokens_));
        SideBytes reader(bytes.subspan(read.bytes));
        for (const bool differences : {false, true}) {
            rows_ = read.relations.rows(differences);
            if (rows_.empty())
                continue;
            for (std::size_t plane = 0; plane < planeCount_; ++plane)
                KVSCOPE_TRY(decodePlane(plane, reader));
            join();
        }
        if (!reader.rest().empty())
            return damagedChunk("planes", "there are bytes behind the last");
        const std::size_t rowBytes = channels_ * planeCount_;
        for (std::size_t t = 0; t < tokens_; ++t) {
            if (const std::size_t twin = read.relations.twins[t]; twin != t)
                std::memcpy(native_.data() + t * rowBytes, native_.data() + twin * rowBytes, rowBytes);
            else if (const std::size_t like = read.relations.likes[t]; like != t)
                addLike(t, like);
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
        storedRows_ = {};
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

    /// Turns the differences of a row into values.
    void addLike(std::size_t t, std::size_t like) {
        switch (planeCount_) {
        case 1:
            return addWords<std::uint8_t>(t, like);
        case 2:
            return addWords<std::uint16_t>(t, like);
        case 4:
            return addWords<std::uint32_t>(t, like);
        default:
            return addWords<std::uint64_t>(t, like);
        }
    }

    template <class Word> void addWords(std::size_t t, std::size_t like) {
        std::byte* row = native_.data() + t * channels_ * sizeof(Word);
        const std::byte* from = native_.data() + like * channels_ * sizeof(Word);
        for (std::size_t c = 0; c < channels_; ++c) {
            Word word = 0;
            Word other = 0;
            std::memcpy(&word, row + c * sizeof(Word), sizeof(Word));
            std::memcpy(&other, from + c * sizeof(Word), sizeof(Word));
            word = fromPlanes(static_cast<Word>(toPlanes(word, rotate_) + toPlanes(other, rotate_)), rotate_);
            std::memcpy(row + c * sizeof(Word), &word, sizeof(Word));
        }
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

Result<EncodedChunk> encodeKvzLossless(const ChunkShape& shape, std::span<const std::byte> native, bool statistics,
                                       std::span<const std::byte> front) {
    const auto begun = [&](LosslessForm form) {
        std::vector<std::byte> bytes(front.begin(), front.end());
        bytes.push_back(static_cast<std::byte>(form));
        return bytes;
    };
    const auto stored = [&] {
        EncodedChunk chunk;
        chunk.bytes = begun(LosslessForm::Stored);
        chunk.parts[BytePart::Header] = static_cast<std::int64_t>(chunk.bytes.size());
        chunk.parts[BytePart::Payload] = static_cast<std::int64_t>(native.size());
        chunk.bytes.insert(chunk.bytes.end(), native.begin(), native.end());
        return chunk;
    };
    // Counts of a channel are kept in 16 bits.
    if (native.empty() || shape.tokens.size() > 65535)
        return stored();
    const auto twins = findTwins(native, static_cast<std::size_t>(shape.tokens.size()));
    KVSCOPE_ASSIGN(auto pairs, encodePairs(shape, native, twins, statistics, begun(LosslessForm::Pairs)));
    if (pairs && pairs->nearBound && shape.values() >= kManyValues)
        return std::move(pairs->chunk);
    KVSCOPE_ASSIGN(auto coded, Encoder(shape, native, statistics, begun(LosslessForm::Planes)).encode(twins));
    // Pairs decode several times as fast.
    if (pairs && static_cast<double>(pairs->chunk.bytes.size()) < kWorthPairs * static_cast<double>(coded.bytes.size()))
        coded = std::move(pairs->chunk);
    return coded.bytes.size() < front.size() + 1 + native.size() ? std::move(coded) : stored();
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
    case LosslessForm::Pairs:
        return decodePairs(shape, body, native);
    }
    return damagedChunk("lossless header",
                        "the form " + std::to_string(std::to_integer<int>(bytes.front())) + " is not known");
}

} // namespace kvscope
