// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/rans.h"
#include "core/codec/rans_bank.h"

#include <array>
#include <cstdlib>
#include <vector>

using namespace kvscope;

namespace {

/// Decodes the bytes as rows of the bank's tables with every path; all must agree.
void decodeEverywhere(std::span<const std::byte> bytes, std::size_t rows, std::int64_t tokens, int streams, int kind,
                      std::int64_t payload) {
    std::vector<std::uint8_t> first;
    bool firstGood = false;
    for (const RansPath path : kRansPaths) {
        if (!ransPathAvailable(path))
            continue;
        std::vector<std::uint8_t> symbols(rows * static_cast<std::size_t>(tokens));
        std::vector<RansOutputRow> outputs;
        for (std::size_t row = 0; row < rows; ++row) {
            const auto which = static_cast<std::uint8_t>((static_cast<std::size_t>(kind) + row / 5) % kRansClasses);
            outputs.push_back({&RansBank::instance().table(RansClass::fromIndex(which)),
                               symbols.data() + row * static_cast<std::size_t>(tokens)});
        }
        const auto decoded = ransDecode(bytes, outputs, tokens, streams, payload, path);
        if (!decoded && decoded.error().what.empty())
            std::abort();
        if (path == RansPath::Scalar) {
            first = symbols;
            firstGood = decoded.has_value();
        } else if (decoded.has_value() != firstGood || (firstGood && symbols != first)) {
            std::abort();
        }
    }
}

/// A table that is read must be written back as the same bytes.
void readTable(std::span<const std::byte> bytes) {
    const auto read = readRansTable(bytes);
    if (!read)
        return;
    std::vector<std::byte> again;
    writeRansTable(read->table, again);
    if (again.size() != read->bytes || !std::equal(again.begin(), again.end(), bytes.begin()))
        std::abort();
}

} // namespace

/// Rows, tokens, streams, class of the first table, payload; then the bytes of the streams.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t kHead = 5;
    if (size < kHead)
        return 0;
    const auto bytes = std::as_bytes(std::span(data, size)).subspan(kHead);
    decodeEverywhere(bytes, data[0] % 40, data[1], 1 << (data[2] % 3), data[3], data[4]);
    readTable(bytes);
    return 0;
}
