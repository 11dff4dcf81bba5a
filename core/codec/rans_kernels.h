// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/rans_register_table.h"
#include "core/codec/rans_step.h"

#include <cstddef>
#include <cstdint>

/// The inner loops of the rANS coder, one of each for every instruction set. For rans.cpp alone.
namespace kvscope::rans {

/// An encoding loop writes at most this many words before the ones it produces.
inline constexpr std::size_t kWriteSlack = 32;

/// One stream in a decoding loop.
struct DecodeLane {
    std::uint32_t* states = nullptr;
    const std::uint32_t* entries = nullptr;
    const RansRegisterTable* registerTable = nullptr;
    const std::byte* words = nullptr;
    std::uint8_t* symbols = nullptr;
};

/// Decodes `steps` full steps of `count` (1, 2 or 4) streams and advances their words and symbols. The words of each
/// must have 64 bytes for every step and 64 more behind them.
using DecodeLoop = void (*)(DecodeLane* streams, int count, std::int64_t steps);

/// One stream in an encoding loop.
struct EncodeLane {
    std::uint32_t* states = nullptr;
    const std::uint16_t* frequencies = nullptr;
    const std::uint16_t* firstSlots = nullptr;
    /// The smallest symbol of the table that is not 0, and the largest.
    std::uint8_t secondSymbol = 0;
    std::uint8_t lastSymbol = 0;
    /// Where the words begin; words are put before it.
    std::uint16_t* words = nullptr;
    /// Past the last symbol; symbols are taken from before it.
    const std::uint8_t* symbols = nullptr;
    const RansPushTable* pushTable = nullptr;
};

/// Encodes `steps` full steps of `count` (1, 2 or 4) streams, last step first, and moves words and symbols back. Says
/// whether every symbol had a frequency; what came out is garbage where not. No frequency is 4096.
using EncodeLoop = bool (*)(EncodeLane* streams, int count, std::int64_t steps);

void decodeScalar(DecodeLane* streams, int count, std::int64_t steps);
bool encodeScalar(EncodeLane* streams, int count, std::int64_t steps);
#if defined(__x86_64__)
void decodeAvx2(DecodeLane* streams, int count, std::int64_t steps);
bool encodeAvx2(EncodeLane* streams, int count, std::int64_t steps);
void decodeAvx512(DecodeLane* streams, int count, std::int64_t steps);
bool encodeAvx512(EncodeLane* streams, int count, std::int64_t steps);
#endif
/// One step in which only the first `lanes` lanes take part.
void decodePartialStep(DecodeLane& stream, int lanes);
bool encodePartialStep(EncodeLane& stream, int lanes);

} // namespace kvscope::rans
