// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/codec/rans_table.h"
#include "core/codec/raw_vector.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// 32-lane interleaved rANS over rows of symbols (after dietgpu's warp layout).
///
/// A row is `tokens` symbols that share a table. In step g of a row lane l codes symbol 32 g + l; lanes past the end of
/// the row rest. Row i of the list belongs to stream i mod S; a stream has 32 states that run on from row to row, and
/// one sequence of 16-bit words, of which the lanes that need one in a step take one each, in lane order. Rows of
/// constant tables are not coded; a stream without coded rows holds nothing.
///
/// Bytes: for each stream the number of its words plus one as LEB128, 0 for a stream that holds nothing; then, bits
/// first to last, the decoder's initial states of the streams that hold something, min(32, tokens) lanes each: 4 bits
/// e and e + 15 bits m for a state 2^(e + 15) + m, filled up to a byte and to an even offset; then the words of all
/// streams, little-endian. What each lane ends with is 2^15 plus 15 bits of payload.
namespace kvscope {

inline constexpr int kMostRansStreams = 4;

/// Which instructions code the symbols; all give the same bytes.
enum class RansPath { Scalar, Avx2, Avx512, Best };
inline constexpr std::array kRansPaths{RansPath::Scalar, RansPath::Avx2, RansPath::Avx512};

/// Whether this machine has what the path needs.
bool ransPathAvailable(RansPath path);

/// A row to encode: `tokens` symbols, each of which the table has.
struct RansRow {
    const RansTable* table = nullptr;
    const std::uint8_t* symbols = nullptr;
};

/// A row to decode into.
struct RansOutputRow {
    const RansTable* table = nullptr;
    std::uint8_t* symbols = nullptr;
};

/// How many bytes the initial states of the encoder carry for nothing: what rANS would waste at its end otherwise.
std::int64_t ransPayloadCapacity(std::span<const RansRow> rows, std::int64_t tokens, int streams);

/// Encodes rows; keeps its buffers from call to call. For one thread.
class RansEncoder {
public:
    /// Appends the bytes of the rows to `out`. `streams` is 1, 2 or 4; `payload` at most ransPayloadCapacity(). Fails
    /// when a symbol is not in its row's table.
    Result<void> encode(std::span<const RansRow> rows, std::int64_t tokens, int streams,
                        std::span<const std::byte> payload, std::vector<std::byte>& out,
                        RansPath path = RansPath::Best);

    /// The same in two steps, for callers that write the length first: codes and returns the number of bytes, which
    /// append() then appends.
    Result<std::size_t> code(std::span<const RansRow> rows, std::int64_t tokens, int streams,
                             std::span<const std::byte> payload, RansPath path = RansPath::Best);
    void append(std::vector<std::byte>& out) const;

private:
    RawVector<std::uint16_t> words_;
    /// What comes before the words, and the words of each stream within words_.
    std::vector<std::byte> head_;
    std::array<std::span<const std::uint16_t>, kMostRansStreams> coded_;
};

/// Decodes the rows of one encode() call, in order and as many at a time as the caller likes, so that what comes next
/// finds the symbols in the cache. Trusts nothing; whatever the bytes are, only the rows given are written.
class RansDecoder {
public:
    /// Reads the head of the bytes, which must outlive the decoder.
    static Result<RansDecoder> open(std::span<const std::byte> bytes, std::int64_t tokens, int streams,
                                    RansPath path = RansPath::Best);

    /// Decodes the next rows. Fails when the words end too early; the symbols are then garbage.
    Result<void> decode(std::span<const RansOutputRow> rows);

    /// Checks that every word was used and returns the payload; fails unless what follows its `payloadBytes` is zero.
    Result<std::vector<std::byte>> finish(std::int64_t payloadBytes) const;

private:
    static constexpr std::size_t kStreams = kMostRansStreams;

    static constexpr std::int64_t kStepBytes = kRansLanes * std::int64_t{sizeof(std::uint16_t)};
    /// What a decoding loop may read behind the words of its steps.
    static constexpr std::int64_t kReadSlack = 64;
    /// Steps that are decoded without looking whether the words suffice, when these are near their end and have been
    /// moved to a buffer with room for so many more.
    static constexpr std::int64_t kBlindSteps = 8;
    static constexpr std::int64_t kBlindBytes = kBlindSteps * kStepBytes + kReadSlack;

    struct Stream {
        alignas(64) std::array<std::uint32_t, kRansLanes> states{};
        /// Words not yet read, in the caller's bytes or, near their end, in `tail`.
        const std::byte* next = nullptr;
        const std::byte* end = nullptr;
        std::vector<std::byte> tail;
        bool holds = false;

        /// How many steps may be decoded from `words` on without looking at them: at least one, but 0 when they are
        /// past the end. Near the end, moves the words to where reading on is harmless.
        std::int64_t blindSteps(const std::byte*& words) {
            const std::int64_t left = end - words;
            return left < kBlindBytes || !tail.empty() ? blindStepsAtEnd(words) : (left - kReadSlack) / kStepBytes;
        }
        std::int64_t blindStepsAtEnd(const std::byte*& words);
    };

    RansDecoder() = default;

    /// Decodes a row of each of some neighbouring streams; false when the words end too early.
    bool decodeGroup(std::span<const RansOutputRow> rows);

    std::array<Stream, kStreams> streams_;
    std::size_t streamCount_ = 1;
    std::int64_t tokens_ = 0;
    std::size_t nextStream_ = 0;
    RansPath path_ = RansPath::Scalar;
};

/// Decodes all rows at once; returns the payload.
Result<std::vector<std::byte>> ransDecode(std::span<const std::byte> bytes, std::span<const RansOutputRow> rows,
                                          std::int64_t tokens, int streams, std::int64_t payloadBytes,
                                          RansPath path = RansPath::Best);

} // namespace kvscope
