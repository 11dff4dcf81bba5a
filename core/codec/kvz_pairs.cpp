// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/kvz_pairs.h"

#include "core/codec/learnt_tables.h"
#include "core/codec/pair_kernels.h"
#include "core/codec/rans.h"
#include "core/codec/raw_vector.h"
#include "core/codec/row_relations.h"
#include "core/codec/side_bits.h"
#include "core/codec/side_bytes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>

namespace kvscope {

namespace {

constexpr std::size_t kChannelBlock = 64;
constexpr std::size_t kLeastValues = 16384;
/// Pairs with a symbol of their own: with the escape as many as a table in registers holds.
constexpr std::size_t kMostOwnPairs = 63;
/// A base lies above all the classes below it.
constexpr std::uint16_t kLeastBase = kFarClass;
constexpr std::int32_t kFirstBase = 127;
/// Bytes for a few lengths.
constexpr std::size_t kRoom = 64;
/// How much larger than the bound by channels the form may be and still be taken without a look at others.
constexpr double kNearBound = 1.03;

int streamsFor(std::size_t symbols) {
    return symbols < 16384 ? 1 : symbols < 65536 ? 2 : 4;
}

/// Bits (times 256) of the exponents of a Gaussian at distances 0 .. 14 from a base that lies at most an octave above
/// 2^1.5 standard deviations, and of a far one, which is sent in full.
constexpr std::array<std::uint16_t, 16> kClassCosts{1028, 490,  455,  626,  860,  1110, 1365, 1620,
                                                    1876, 2132, 2388, 2644, 2900, 3156, 3412, 7424};

/// The base of each channel of a block for which its classes cost least.
void chooseBases(const ExponentCounts& counts, std::size_t rowCount, std::uint16_t* bases) {
    constexpr std::size_t kShifts = 9;
    std::array<std::array<std::uint32_t, kChannelBlock>, kShifts> costs{};
    std::array<std::uint32_t, kChannelBlock> left{};
    left.fill(static_cast<std::uint32_t>(rowCount));
    for (std::size_t depth = 0; depth < kCountedDepths; ++depth) {
        for (std::size_t c = 0; c < kChannelBlock; ++c)
            left[c] -= counts.below[depth][c];
        for (std::size_t shift = 0; shift < kShifts; ++shift) {
            const bool far = depth < shift || depth - shift >= kFarClass;
            const std::uint32_t cost = kClassCosts[far ? kFarClass : depth - shift];
            for (std::size_t c = 0; c < kChannelBlock; ++c)
                costs[shift][c] += counts.below[depth][c] * cost;
        }
    }
    for (std::size_t c = 0; c < kChannelBlock; ++c) {
        std::size_t best = 0;
        for (std::size_t shift = 1; shift < kShifts; ++shift) {
            if (costs[shift][c] < costs[best][c])
                best = shift;
        }
        const int base = static_cast<int>(counts.largest[c]) - static_cast<int>(best);
        bases[c] = static_cast<std::uint16_t>(std::max<int>(base, kLeastBase));
    }
}

/// Bits that a table of each channel's own would spend on its exponents.
void ownEntropy(const ExponentCounts& counts, std::size_t rowCount, double* bits) {
    const auto total = static_cast<double>(rowCount);
    for (std::size_t c = 0; c < kChannelBlock; ++c) {
        double left = total;
        double sum = 0;
        for (const auto& row : counts.below) {
            if (const double count = row[c]; count > 0) {
                sum -= count * std::log2(count / total);
                left -= count;
            }
        }
        bits[c] = left > 0 ? sum - left * std::log2(left / total) : sum;
    }
}

/// Bits a byte by some of them.
double entropyOfBytes(std::span<const std::uint8_t> bytes) {
    constexpr std::size_t kStep = 7;
    RansCounts counts{};
    for (std::size_t i = 0; i < bytes.size(); i += kStep)
        ++counts[bytes[i]];
    return entropyOfSome(counts);
}

bool holdsFar(std::uint8_t pair) {
    return (pair & 0x0FU) == kFarClass || pair >> 4U == kFarClass;
}

/// An exponent that has no class.
struct FarValue {
    std::uint32_t place = 0;
    std::uint8_t exponent = 0;
};

class Encoder {
public:
    Encoder(const ChunkShape& shape, std::span<const std::byte> native, const std::vector<std::uint32_t>& twins)
        : channels_(static_cast<std::size_t>(shape.plane.channels()))
        , twins_(twins)
        , words_(native.size() / sizeof(std::uint16_t)) {
        std::memcpy(words_.data(), native.data(), native.size());
        for (std::size_t t = 0; t < twins_.size(); ++t) {
            if (twins_[t] == t)
                rows_.push_back(words_.data() + t * channels_);
        }
    }

    [[nodiscard]] std::size_t values() const { return rows_.size() * channels_; }

    Result<PairChunk> encode(bool statistics, std::span<const std::byte> front) {
        measure();
        split();
        chooseSymbols();

        PairChunk made;
        std::vector<std::byte>& out = made.chunk.bytes;
        EncodedChunk& chunk = made.chunk;
        out.assign(front.begin(), front.end());
        auto since = [&, before = std::size_t{0}]() mutable {
            return static_cast<std::int64_t>(out.size() - std::exchange(before, out.size()));
        };
        RowRelations relations{twins_, std::vector<std::uint32_t>(twins_.size())};
        std::iota(relations.likes.begin(), relations.likes.end(), 0U);
        putRelations(relations, out);
        chunk.parts[BytePart::Header] += since();
        putBases(out);
        KVSCOPE_ASSIGN(const auto frequencies, normaliseForRegisters(counts_));
        KVSCOPE_ASSIGN(const auto table, RansTable::fromFrequencies(frequencies));
        out.push_back(static_cast<std::byte>(names_.size()));
        const auto names = std::as_bytes(std::span(names_));
        out.insert(out.end(), names.begin(), names.end());
        writeRansTable(table, out);
        chunk.parts[BytePart::Tables] += since();

        const std::size_t rowSymbols = channels_ / 2;
        std::vector<RansRow> coded;
        for (std::size_t i = 0; i < rows_.size(); ++i)
            coded.push_back({&table, symbols_.data() + i * rowSymbols});
        RansEncoder coder;
        KVSCOPE_ASSIGN(const auto length,
                       coder.code(coded, static_cast<std::int64_t>(rowSymbols), streamsFor(symbols_.size()), {}));
        // All that is to come, and lengths and far exponents, of which there are few.
        out.reserve(out.size() + length + escapes_.size() + lows_.size() + kRoom + 4 * far_.size());
        putLeb128(length, out);
        putLeb128(escapes_.size(), out);
        chunk.parts[BytePart::Header] += since();
        coder.append(out);
        const auto escapes = std::as_bytes(std::span(escapes_));
        out.insert(out.end(), escapes.begin(), escapes.end());
        putFar(out);
        const auto lows = std::as_bytes(std::span(lows_));
        out.insert(out.end(), lows.begin(), lows.end());
        chunk.parts[BytePart::Payload] += since();

        const double bound = std::accumulate(ownBits_.begin(), ownBits_.end(), 0.0) +
                             entropyOfBytes(lows_) * static_cast<double>(lows_.size());
        made.nearBound = 8 * static_cast<double>(out.size()) <= kNearBound * bound;
        if (statistics)
            countBits(table, chunk);
        return made;
    }

private:
    void measure() {
        bases_.resize(channels_);
        ownBits_.resize(channels_);
        ExponentCounts counts;
        for (std::size_t c = 0; c < channels_; c += kChannelBlock) {
            countExponents(rows_.data(), rows_.size(), c, counts);
            chooseBases(counts, rows_.size(), bases_.data() + c);
            ownEntropy(counts, rows_.size(), ownBits_.data() + c);
        }
    }

    void split() {
        symbols_.resize(values() / 2);
        lows_.resize(values());
        for (std::size_t i = 0; i < rows_.size(); ++i)
            splitPairs(rows_[i], bases_.data(), channels_, symbols_.data() + i * channels_ / 2,
                       lows_.data() + i * channels_);
    }

    /// Gives symbols to the most frequent pairs, in order of frequency, the rarest first (which is what a table in
    /// registers needs); the others are escaped.
    void chooseSymbols() {
        const RansCounts all = countPairs();
        std::array<std::uint8_t, kRansSymbols> order{};
        std::iota(order.begin(), order.end(), std::uint8_t{0});
        std::ranges::stable_sort(order, std::ranges::greater(), [&](std::uint8_t pair) { return all[pair]; });
        std::uint32_t escaped = 0;
        for (const std::uint8_t pair : order) {
            if (!holdsFar(pair) && all[pair] > 0 && names_.size() < kMostOwnPairs)
                names_.push_back(pair);
            else
                escaped += all[pair];
        }
        if (escaped > 0)
            names_.push_back(kEscapedPair);
        const auto countOf = [&](std::uint8_t pair) { return pair == kEscapedPair ? escaped : all[pair]; };
        std::ranges::stable_sort(names_, std::ranges::less(), countOf);

        std::array<std::uint8_t, kRansSymbols> coded{};
        std::uint8_t escape = 0xFF;
        for (std::size_t symbol = 0; symbol < names_.size(); ++symbol) {
            coded[names_[symbol]] = static_cast<std::uint8_t>(symbol);
            counts_[symbol] = countOf(names_[symbol]);
        }
        escape = escaped > 0 ? coded[kEscapedPair] : escape;
        for (const std::uint8_t pair : order) {
            if (std::ranges::find(names_, pair) == names_.end())
                coded[pair] = escape;
        }
        code(coded, escape, escaped);
    }

    [[nodiscard]] RansCounts countPairs() const {
        // Neighbours are often equal: counting them in one place would wait for the memory each time.
        std::array<RansCounts, 4> some{};
        for (std::size_t i = 0; i < symbols_.size(); i += some.size()) {
            for (std::size_t k = 0; k < some.size(); ++k)
                ++some[k][symbols_[i + k]];
        }
        RansCounts all{};
        for (const RansCounts& one : some) {
            for (std::size_t pair = 0; pair < all.size(); ++pair)
                all[pair] += one[pair];
        }
        return all;
    }

    /// Puts symbols in the place of pairs.
    void code(const std::array<std::uint8_t, kRansSymbols>& coded, std::uint8_t escape, std::size_t escaped) {
        escapes_.resize(escaped + 1);
        RawVector<std::uint32_t> places(escaped + 1);
        std::size_t next = 0;
        for (std::size_t i = 0; i < symbols_.size(); ++i) {
            const std::uint8_t pair = symbols_[i];
            const std::uint8_t symbol = coded[pair];
            symbols_[i] = symbol;
            escapes_[next] = pair;
            places[next] = static_cast<std::uint32_t>(i);
            next += symbol == escape ? 1 : 0;
        }
        escapes_.resize(next);
        for (std::size_t i = 0; i < next; ++i) {
            if (holdsFar(escapes_[i]))
                addFar(places[i], escapes_[i]);
        }
    }

    void addFar(std::size_t pair, std::uint8_t symbol) {
        for (std::size_t half = 0; half < 2; ++half) {
            if ((half == 0 ? symbol & 0x0FU : symbol >> 4U) != kFarClass)
                continue;
            const std::size_t place = 2 * pair + half;
            const std::uint16_t word = rows_[place / channels_][place % channels_];
            far_.push_back({static_cast<std::uint32_t>(place), static_cast<std::uint8_t>(word >> 7 & 0xFFU)});
        }
    }

    void putBases(std::vector<std::byte>& out) const {
        std::vector<std::uint32_t> steps;
        std::int32_t before = kFirstBase;
        for (const std::uint16_t base : bases_)
            steps.push_back(zigzagOf(base - std::exchange(before, base)));
        SideBitWriter writer(out);
        putNumbers(writer, steps);
        writer.finish();
    }

    void putFar(std::vector<std::byte>& out) const {
        putLeb128(far_.size(), out);
        if (far_.empty())
            return;
        std::vector<std::uint32_t> gaps;
        std::uint32_t next = 0;
        for (const FarValue& value : far_)
            gaps.push_back(value.place - std::exchange(next, value.place + 1));
        std::vector<std::byte> places;
        SideBitWriter writer(places);
        putNumbers(writer, gaps);
        writer.finish();
        putLeb128(places.size(), out);
        out.insert(out.end(), places.begin(), places.end());
        for (const FarValue& value : far_)
            out.push_back(static_cast<std::byte>(value.exponent));
    }

    /// Half of what a pair costs is put down to each of its channels.
    void countBits(const RansTable& table, EncodedChunk& chunk) const {
        constexpr double kFarBits = 16;
        chunk.channelBits.assign(channels_, 8 * static_cast<float>(rows_.size()));
        const std::size_t rowSymbols = channels_ / 2;
        for (std::size_t i = 0; i < symbols_.size(); ++i) {
            const std::uint8_t symbol = symbols_[i];
            const float bits =
                static_cast<float>(table.costs()[symbol]) / 65536 + (names_[symbol] == kEscapedPair ? 8.0F : 0.0F);
            const std::size_t channel = 2 * (i % rowSymbols);
            chunk.channelBits[channel] += bits / 2;
            chunk.channelBits[channel + 1] += bits / 2;
        }
        for (const FarValue& value : far_)
            chunk.channelBits[value.place % channels_] += kFarBits;
        chunk.entropyBits = 0;
        for (const double bits : ownBits_) {
            const double all = bits + 8 * static_cast<double>(rows_.size());
            chunk.channelEntropyBits.push_back(static_cast<float>(all));
            *chunk.entropyBits += all;
        }
    }

    std::size_t channels_;
    const std::vector<std::uint32_t>& twins_;
    RawVector<std::uint16_t> words_;
    /// Rows that equal no earlier one.
    std::vector<const std::uint16_t*> rows_;
    std::vector<std::uint16_t> bases_;
    /// Entropy of the exponents of each channel.
    std::vector<double> ownBits_;
    /// Pairs, later their symbols.
    RawVector<std::uint8_t> symbols_;
    RawVector<std::uint8_t> lows_;
    /// The pair of each symbol.
    std::vector<std::uint8_t> names_;
    RansCounts counts_{};
    RawVector<std::uint8_t> escapes_;
    std::vector<FarValue> far_;
};

/// Every channel's base, where exponents stand in a word.
Result<std::vector<std::uint16_t>> readTops(SideBytes& reader, std::size_t channels) {
    SideBitReader bits(reader.rest());
    std::vector<std::uint16_t> tops(channels);
    std::int32_t base = kFirstBase;
    bool good = true;
    getNumbers(bits, channels, [&](std::size_t c, std::uint32_t number) {
        base += fromZigzag(number & 0xFFFFU);
        good = good && base >= kLeastBase && base <= 255;
        if (!good)
            base = kFirstBase;
        tops[c] = static_cast<std::uint16_t>(base << 7);
    });
    if (!good || !bits.good())
        return damagedChunk("exponents", "a channel's largest one is out of its range");
    KVSCOPE_TRY(reader.take(bits.bytesRead(), "exponents"));
    return tops;
}

Result<std::vector<FarValue>> readFar(SideBytes& reader, std::size_t values) {
    KVSCOPE_ASSIGN(const auto count, reader.leb128("far exponents"));
    if (count > values)
        return damagedChunk("far exponents", "there are more of them than values");
    std::vector<FarValue> far(static_cast<std::size_t>(count));
    if (far.empty())
        return far;
    KVSCOPE_ASSIGN(const auto length, reader.leb128("far exponents"));
    KVSCOPE_ASSIGN(const auto places, reader.take(length, "far exponents"));
    KVSCOPE_ASSIGN(const auto exponents, reader.take(count, "far exponents"));
    SideBitReader bits(places);
    std::uint64_t next = 0;
    bool good = true;
    getNumbers(bits, far.size(), [&](std::size_t i, std::uint32_t gap) {
        next += gap;
        good = good && next < values;
        far[i] = {static_cast<std::uint32_t>(good ? next : 0), std::to_integer<std::uint8_t>(exponents[i])};
        ++next;
    });
    if (!good || !bits.good() || bits.bytesRead() != places.size())
        return damagedChunk("far exponents", "a place is out of its range");
    return far;
}

} // namespace

Result<std::optional<PairChunk>> encodePairs(const ChunkShape& shape, std::span<const std::byte> native,
                                             const std::vector<std::uint32_t>& twins, bool statistics,
                                             std::span<const std::byte> front) {
    const auto channels = static_cast<std::size_t>(shape.plane.channels());
    if (shape.plane.dtype != DType::BF16 || channels % kChannelBlock != 0)
        return std::nullopt;
    Encoder encoder(shape, native, twins);
    if (encoder.values() < kLeastValues)
        return std::nullopt;
    KVSCOPE_ASSIGN(auto made, encoder.encode(statistics, front));
    return made;
}

Result<void> decodePairs(const ChunkShape& shape, std::span<const std::byte> bytes, std::span<std::byte> native) {
    const auto tokens = static_cast<std::size_t>(shape.tokens.size());
    const auto channels = static_cast<std::size_t>(shape.plane.channels());
    if (shape.plane.dtype != DType::BF16 || channels % kChannelBlock != 0 || native.empty())
        return damagedChunk("pairs", "values of this type or geometry are not coded in pairs");
    KVSCOPE_ASSIGN(const auto related, getRelations(bytes, tokens));
    if (anyOther(related.relations.likes))
        return damagedChunk("equal rows", "a row is said to be like another");
    const std::vector<std::uint32_t> rows = related.relations.rows(false);
    SideBytes reader(bytes.subspan(related.bytes));
    KVSCOPE_ASSIGN(const auto tops, readTops(reader, channels));
    KVSCOPE_ASSIGN(const auto nameCount, reader.take(1, "tables"));
    KVSCOPE_ASSIGN(const auto listed, reader.take(std::to_integer<std::size_t>(nameCount.front()), "tables"));
    RansNames names{};
    std::memcpy(names.data(), listed.data(), listed.size());
    KVSCOPE_ASSIGN(const auto read, readRansTable(reader.rest(), &names));
    KVSCOPE_TRY(reader.take(read.bytes, "tables"));
    const RansTable& table = read.table;
    KVSCOPE_ASSIGN(const auto length, reader.leb128("pairs"));
    KVSCOPE_ASSIGN(const auto escapeCount, reader.leb128("escaped pairs"));
    KVSCOPE_ASSIGN(const auto blob, reader.take(length, "pairs"));
    KVSCOPE_ASSIGN(const auto escaped, reader.take(escapeCount, "escaped pairs"));
    KVSCOPE_ASSIGN(const auto far, readFar(reader, rows.size() * channels));
    if (reader.rest().size() != rows.size() * channels)
        return damagedChunk("low bytes", "there are " + std::to_string(reader.rest().size()) + " instead of " +
                                             std::to_string(rows.size() * channels));
    const auto* lows = reinterpret_cast<const std::uint8_t*>(reader.rest().data());
    const auto* escapes = reinterpret_cast<const std::uint8_t*>(escaped.data());
    std::size_t escapesLeft = escaped.size();

    const std::size_t rowSymbols = channels / 2;
    const int streams = streamsFor(rows.size() * rowSymbols);
    KVSCOPE_ASSIGN(auto decoder, RansDecoder::open(blob, static_cast<std::int64_t>(rowSymbols), streams));
    // A row of each stream at a time, so that its symbols are found in the cache.
    std::vector<std::uint8_t> symbols(static_cast<std::size_t>(streams) * rowSymbols);
    std::vector<RansOutputRow> outputs;
    for (std::size_t first = 0; first < rows.size(); first += static_cast<std::size_t>(streams)) {
        const std::size_t count = std::min(static_cast<std::size_t>(streams), rows.size() - first);
        outputs.clear();
        for (std::size_t i = 0; i < count; ++i)
            outputs.push_back({&table, symbols.data() + i * rowSymbols});
        KVSCOPE_TRY(decoder.decode(outputs));
        for (std::size_t i = 0; i < count; ++i) {
            std::uint8_t* row = symbols.data() + i * rowSymbols;
            const std::size_t used = fillEscapes(row, rowSymbols, escapes, escapesLeft);
            if (used > escapesLeft)
                return damagedChunk("escaped pairs", "there are too few");
            escapes += used;
            escapesLeft -= used;
            joinPairs(row, lows + (first + i) * channels, tops.data(), channels,
                      native.data() + rows[first + i] * channels * sizeof(std::uint16_t));
        }
    }
    KVSCOPE_TRY(decoder.finish(0));
    if (escapesLeft != 0)
        return damagedChunk("escaped pairs", "there are too many");
    for (const FarValue& value : far) {
        const std::size_t at = rows[value.place / channels] * channels + value.place % channels;
        std::uint16_t word = 0;
        std::memcpy(&word, native.data() + at * sizeof(word), sizeof(word));
        word = static_cast<std::uint16_t>((word & ~(0xFFU << 7U)) | static_cast<unsigned>(value.exponent) << 7U);
        std::memcpy(native.data() + at * sizeof(word), &word, sizeof(word));
    }
    const std::size_t rowBytes = channels * sizeof(std::uint16_t);
    for (std::size_t t = 0; t < tokens; ++t) {
        if (const std::size_t twin = related.relations.twins[t]; twin != t)
            std::memcpy(native.data() + t * rowBytes, native.data() + twin * rowBytes, rowBytes);
    }
    return {};
}

} // namespace kvscope
