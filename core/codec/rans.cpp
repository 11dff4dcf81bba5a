// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/rans.h"

#include "core/base/checked.h"
#include "core/codec/bit_stream.h"
#include "core/codec/rans_kernels.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

namespace kvscope {

static_assert(std::endian::native == std::endian::little, "words are read as they lie in memory");

namespace {

constexpr std::size_t kWordBytes = sizeof(std::uint16_t);
constexpr int kExponentBits = 4;

auto badWords(std::string what) {
    return fail(std::move(what), "rANS streams", "The data is damaged; get it again.");
}

auto badCall(std::string what) {
    return fail(std::move(what), "rANS coder");
}

RansPath bestPath() {
    if (ransPathAvailable(RansPath::Avx512))
        return RansPath::Avx512;
    return ransPathAvailable(RansPath::Avx2) ? RansPath::Avx2 : RansPath::Scalar;
}

#if defined(__x86_64__)
bool hasAvx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt");
}

bool hasAvx512() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

rans::DecodeLoop decodeLoop(RansPath path) {
#if defined(__x86_64__)
    if (path == RansPath::Avx512)
        return rans::decodeAvx512;
    if (path == RansPath::Avx2)
        return rans::decodeAvx2;
#endif
    (void)path;
    return rans::decodeScalar;
}

rans::EncodeLoop encodeLoop(RansPath path) {
#if defined(__x86_64__)
    if (path == RansPath::Avx512)
        return rans::encodeAvx512;
    if (path == RansPath::Avx2)
        return rans::encodeAvx2;
#endif
    (void)path;
    return rans::encodeScalar;
}

Result<RansPath> checkCall(std::int64_t tokens, int streams, RansPath path) {
    if (tokens < 0)
        return badCall("the number of tokens is negative");
    if (streams != 1 && streams != 2 && streams != 4)
        return badCall("there are " + std::to_string(streams) + " streams instead of 1, 2 or 4");
    if (!ransPathAvailable(path))
        return badCall("this processor lacks the instructions asked for");
    return path == RansPath::Best ? bestPath() : path;
}

int lanesOf(std::int64_t tokens) {
    return static_cast<int>(std::min<std::int64_t>(tokens, kRansLanes));
}

/// How many rows of each stream are coded.
std::array<std::int64_t, kMostRansStreams> codedRows(std::span<const RansRow> rows, std::int64_t tokens,
                                                     std::size_t streams) {
    std::array<std::int64_t, kMostRansStreams> coded{};
    // There are 1, 2 or 4 of them.
    for (std::size_t i = 0; i < rows.size(); ++i)
        coded[i & (streams - 1)] += tokens > 0 && !rows[i].table->isConstant() ? 1 : 0;
    return coded;
}

void putLeb128(std::uint64_t value, std::vector<std::byte>& out) {
    for (; value >= 0x80; value >>= 7)
        out.push_back(static_cast<std::byte>((value & 0x7FU) | 0x80U));
    out.push_back(static_cast<std::byte>(value));
}

std::optional<std::uint64_t> getLeb128(std::span<const std::byte>& bytes) {
    constexpr int kMostBits = 42;
    std::uint64_t value = 0;
    for (int shift = 0; shift < kMostBits && !bytes.empty(); shift += 7) {
        const auto byte = std::to_integer<std::uint64_t>(bytes.front());
        bytes = bytes.subspan(1);
        value |= (byte & 0x7FU) << shift;
        if (byte < 0x80)
            return byte == 0 && shift > 0 ? std::nullopt : std::optional(value);
    }
    return std::nullopt;
}

void putState(BitWriter& writer, std::uint32_t state) {
    const int exponent = static_cast<int>(std::bit_width(state)) - 1 - kRansLowStateBits;
    writer.put(static_cast<std::uint32_t>(exponent), kExponentBits);
    writer.put(state, exponent + kRansLowStateBits);
}

std::uint32_t getState(BitReader& reader) {
    const int exponent = static_cast<int>(reader.get(kExponentBits));
    return 1U << (exponent + kRansLowStateBits) | reader.get(exponent + kRansLowStateBits);
}

/// Calls loop(first, count) with counts that the loops know: 1, 2 or 4.
template <class Loop> void inLoopCounts(std::size_t count, const Loop& loop) {
    for (std::size_t done = 0; done < count;) {
        const std::size_t some = std::bit_floor(count - done);
        loop(done, some);
        done += some;
    }
}

/// Encodes the rows of one group (one of each stream), last symbol first.
bool encodeGroup(std::span<rans::EncodeLane> lanes, std::int64_t tokens, rans::EncodeLoop loop) {
    bool good = true;
    const int rest = static_cast<int>(tokens % kRansLanes);
    for (auto& lane : lanes)
        good = rans::encodePartialStep(lane, rest) && good;
    inLoopCounts(lanes.size(), [&](std::size_t first, std::size_t count) {
        good = loop(lanes.data() + first, static_cast<int>(count), tokens / kRansLanes) && good;
    });
    return good;
}

} // namespace

bool ransPathAvailable(RansPath path) {
#if defined(__x86_64__)
    if (path == RansPath::Avx2)
        return hasAvx2();
    if (path == RansPath::Avx512)
        return hasAvx512();
#endif
    return path == RansPath::Scalar || path == RansPath::Best;
}

std::int64_t ransPayloadCapacity(std::span<const RansRow> rows, std::int64_t tokens, int streams) {
    const auto coded = codedRows(rows, tokens, static_cast<std::size_t>(streams));
    const auto holding = std::count_if(coded.begin(), coded.end(), [](std::int64_t count) { return count > 0; });
    return holding * lanesOf(tokens) * kRansLowStateBits / 8;
}

Result<void> RansEncoder::encode(std::span<const RansRow> rows, std::int64_t tokens, int streams,
                                 std::span<const std::byte> payload, std::vector<std::byte>& out, RansPath path) {
    KVSCOPE_TRY(code(rows, tokens, streams, payload, path));
    append(out);
    return {};
}

void RansEncoder::append(std::vector<std::byte>& out) const {
    out.insert(out.end(), head_.begin(), head_.end());
    for (const auto words : coded_) {
        const auto bytes = std::as_bytes(words);
        out.insert(out.end(), bytes.begin(), bytes.end());
    }
}

Result<std::size_t> RansEncoder::code(std::span<const RansRow> rows, std::int64_t tokens, int streams,
                                      std::span<const std::byte> payload, RansPath path) {
    KVSCOPE_ASSIGN(const RansPath chosen, checkCall(tokens, streams, path));
    if (static_cast<std::int64_t>(payload.size()) > ransPayloadCapacity(rows, tokens, streams))
        return badCall("the payload is too long for the initial states");
    const auto streamCount = static_cast<std::size_t>(streams);
    const auto coded = codedRows(rows, tokens, streamCount);
    const int lanes = lanesOf(tokens);

    // Each symbol gives at most one word.
    const auto most = checkedMul(static_cast<std::int64_t>(rows.size()), tokens);
    if (!most)
        return badCall("there are too many symbols");
    const std::size_t needed = static_cast<std::size_t>(*most) + streamCount * rans::kWriteSlack;
    if (words_.size() < needed)
        words_.resize(needed);

    struct Stream {
        alignas(64) std::array<std::uint32_t, kRansLanes> states{};
        std::uint16_t* words = nullptr;
        std::uint16_t* end = nullptr;
    };
    std::array<Stream, kMostRansStreams> all{};
    BitReader payloadBits(payload);
    std::size_t used = 0;
    for (std::size_t i = 0; i < streamCount; ++i) {
        used += rans::kWriteSlack + static_cast<std::size_t>(coded[i] * tokens);
        all[i].words = all[i].end = words_.data() + used;
        all[i].states.fill(kRansStateLow);
        for (int lane = 0; coded[i] > 0 && lane < lanes; ++lane)
            all[i].states[static_cast<std::size_t>(lane)] += payloadBits.get(kRansLowStateBits);
    }

    for (std::size_t group = (rows.size() + streamCount - 1) / streamCount; group-- > 0;) {
        std::array<rans::EncodeLane, kMostRansStreams> active;
        std::array<Stream*, kMostRansStreams> owners{};
        std::size_t count = 0;
        for (std::size_t i = 0; i < streamCount && group * streamCount + i < rows.size() && tokens > 0; ++i) {
            const RansRow& row = rows[group * streamCount + i];
            if (row.table->isConstant()) {
                const auto differs = [&](std::uint8_t symbol) { return symbol != row.table->firstSymbol(); };
                if (std::any_of(row.symbols, row.symbols + tokens, differs))
                    return badCall("a symbol is not in its table");
                continue;
            }
            owners[count] = &all[i];
            active[count++] = {all[i].states.data(),           row.table->frequencies().data(),
                               row.table->firstSlots().data(), row.table->firstSymbolButZero(),
                               row.table->lastSymbol(),        all[i].words,
                               row.symbols + tokens,           &row.table->pushTable()};
        }
        if (!encodeGroup(std::span(active).first(count), tokens, encodeLoop(chosen)))
            return badCall("a symbol is not in its table");
        for (std::size_t i = 0; i < count; ++i)
            owners[i]->words = active[i].words;
    }

    head_.clear();
    for (std::size_t i = 0; i < streamCount; ++i)
        putLeb128(coded[i] == 0 ? 0 : static_cast<std::uint64_t>(all[i].end - all[i].words) + 1, head_);
    BitWriter stateBits(head_);
    for (std::size_t i = 0; i < streamCount; ++i) {
        for (int lane = 0; coded[i] > 0 && lane < lanes; ++lane)
            putState(stateBits, all[i].states[static_cast<std::size_t>(lane)]);
    }
    stateBits.finish();
    if (head_.size() % kWordBytes != 0)
        head_.push_back(std::byte{0});
    std::size_t size = head_.size();
    coded_ = {};
    for (std::size_t i = 0; i < streamCount; ++i) {
        coded_[i] = {all[i].words, all[i].end};
        size += coded_[i].size_bytes();
    }
    return size;
}

Result<RansDecoder> RansDecoder::open(std::span<const std::byte> bytes, std::int64_t tokens, int streams,
                                      RansPath path) {
    KVSCOPE_ASSIGN(const RansPath chosen, checkCall(tokens, streams, path));
    RansDecoder decoder;
    decoder.streamCount_ = static_cast<std::size_t>(streams);
    decoder.tokens_ = tokens;
    decoder.path_ = chosen;

    std::array<std::uint64_t, kStreams> wordBytes{};
    std::span<const std::byte> left = bytes;
    std::uint64_t allWords = 0;
    for (std::size_t i = 0; i < decoder.streamCount_; ++i) {
        const auto field = getLeb128(left);
        if (!field)
            return badWords("the number of words is missing");
        decoder.streams_[i].holds = *field > 0;
        wordBytes[i] = *field > 0 ? (*field - 1) * kWordBytes : 0;
        allWords += wordBytes[i];
    }
    BitReader stateBits(left);
    for (std::size_t i = 0; i < decoder.streamCount_; ++i) {
        Stream& stream = decoder.streams_[i];
        stream.states.fill(kRansStateLow);
        for (int lane = 0; stream.holds && lane < lanesOf(tokens); ++lane)
            stream.states[static_cast<std::size_t>(lane)] = getState(stateBits);
    }
    if (stateBits.overrun())
        return badWords("the bytes end inside the initial states");
    if (stateBits.rest() != 0)
        return badWords("the initial states are followed by something");
    left = left.subspan(stateBits.bytesRead());
    if ((bytes.size() - left.size()) % kWordBytes != 0) {
        if (left.empty() || left.front() != std::byte{0})
            return badWords("the initial states are followed by something");
        left = left.subspan(1);
    }
    if (left.size() != allWords)
        return badWords("there are " + std::to_string(left.size()) + " bytes of words instead of " +
                        std::to_string(allWords));
    for (std::size_t i = 0; i < decoder.streamCount_; ++i) {
        Stream& stream = decoder.streams_[i];
        stream.next = left.data();
        left = left.subspan(wordBytes[i]);
        stream.end = left.data();
    }
    return decoder;
}

Result<void> RansDecoder::decode(std::span<const RansOutputRow> rows) {
    while (tokens_ > 0 && !rows.empty()) {
        const auto group = rows.first(std::min(rows.size(), streamCount_ - nextStream_));
        if (!decodeGroup(group))
            return badWords("the words end before the symbols do");
        nextStream_ += group.size();
        if (nextStream_ == streamCount_)
            nextStream_ = 0;
        rows = rows.subspan(group.size());
    }
    return {};
}

bool RansDecoder::decodeGroup(std::span<const RansOutputRow> rows) {
    std::array<rans::DecodeLane, kStreams> active;
    std::array<Stream*, kStreams> owners{};
    std::size_t count = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const RansTable& table = *rows[i].table;
        Stream& stream = streams_[nextStream_ + i];
        if (table.isConstant()) {
            std::memset(rows[i].symbols, table.firstSymbol(), static_cast<std::size_t>(tokens_));
            continue;
        }
        if (!stream.holds)
            return false;
        owners[count] = &stream;
        active[count++] = {stream.states.data(), table.entries().data(), &table.registerTable(), stream.next,
                           rows[i].symbols};
    }

    const auto loop = decodeLoop(path_);
    for (std::int64_t left = tokens_ / kRansLanes; left > 0;) {
        std::int64_t steps = left;
        for (std::size_t i = 0; i < count; ++i)
            steps = std::min(steps, owners[i]->blindSteps(active[i].words));
        if (steps == 0)
            return false;
        inLoopCounts(count, [&](std::size_t first, std::size_t some) {
            loop(active.data() + first, static_cast<int>(some), steps);
        });
        left -= steps;
    }
    const int rest = static_cast<int>(tokens_ % kRansLanes);
    for (std::size_t i = 0; i < count; ++i) {
        if (rest > 0) {
            if (owners[i]->blindSteps(active[i].words) == 0)
                return false;
            rans::decodePartialStep(active[i], rest);
        }
        owners[i]->next = active[i].words;
    }
    return true;
}

std::int64_t RansDecoder::Stream::blindStepsAtEnd(const std::byte*& words) {
    if (tail.empty()) {
        const auto left = static_cast<std::size_t>(end - words);
        tail.resize(left + static_cast<std::size_t>(kBlindBytes));
        std::copy(words, end, tail.begin());
        words = tail.data();
        end = words + left;
    }
    return words > end ? 0 : kBlindSteps;
}

Result<std::vector<std::byte>> RansDecoder::finish(std::int64_t payloadBytes) const {
    std::vector<std::byte> payload;
    BitWriter bits(payload);
    for (const Stream& stream : std::span(streams_).first(streamCount_)) {
        if (!stream.holds)
            continue;
        if (stream.next != stream.end)
            return badWords("the words do not end where the symbols do");
        for (int lane = 0; lane < lanesOf(tokens_); ++lane) {
            const std::uint32_t state = stream.states[static_cast<std::size_t>(lane)];
            if (state >= 2 * kRansStateLow)
                return badWords("a final state is out of its range");
            bits.put(state, kRansLowStateBits);
        }
    }
    bits.finish();
    const auto size = static_cast<std::size_t>(payloadBytes);
    if (payloadBytes < 0 || size > payload.size())
        return badWords("the final states hold less than the payload");
    const auto rest = std::span(payload).subspan(size);
    if (std::any_of(rest.begin(), rest.end(), [](std::byte byte) { return byte != std::byte{0}; }))
        return badWords("the payload is followed by something");
    payload.resize(size);
    return payload;
}

Result<std::vector<std::byte>> ransDecode(std::span<const std::byte> bytes, std::span<const RansOutputRow> rows,
                                          std::int64_t tokens, int streams, std::int64_t payloadBytes, RansPath path) {
    KVSCOPE_ASSIGN(auto decoder, RansDecoder::open(bytes, tokens, streams, path));
    KVSCOPE_TRY(decoder.decode(rows));
    return decoder.finish(payloadBytes);
}

} // namespace kvscope
