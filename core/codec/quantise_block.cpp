// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/quantise_block.h"

#include "core/codec/affine_step.h"
#include "core/codec/bins_step.h"
#include "core/codec/bit_pack.h"
#include "core/codec/scale_format.h"

#include <bit>
#include <numeric>

namespace kvscope {

namespace {

/// Exact values of a block of `size` values.
std::size_t topOf(const BlockNorm& block, std::size_t size) {
    if (block.topFraction <= 0)
        return 0;
    return std::max<std::size_t>(1, static_cast<std::size_t>(block.topFraction * static_cast<double>(size)));
}

ScaleFormat exactFormat(const ChunkShape& shape, bool asStored) {
    return asStored ? formatHolding(shape.plane.dtype) : ScaleFormat::F32;
}

/// Calls work(offset, size) for the blocks of one token.
template <class Work> void forBlocks(const BlockNorm& block, std::int64_t channels, const Work& work) {
    for (std::int64_t at = 0; at < channels; at += block.block)
        work(static_cast<std::size_t>(at),
             static_cast<std::size_t>(std::min<std::int64_t>(block.block, channels - at)));
}

int placeBits(std::size_t size) {
    return static_cast<int>(std::bit_width(size - 1));
}

} // namespace

Quantised quantise(const BlockNorm& block, const SourceRows& rows, const PlaneCalibration&) {
    const int middle = symmetricMiddle(block.bits);
    const ScaleFormat format = halfFormatFor(rows.shape.plane.dtype, largestMagnitude(rows.values));
    const ScaleFormat exact = exactFormat(rows.shape, rows.asStored);
    SymbolGrid grid(rows.tokens(), rows.channels(), static_cast<std::uint32_t>(2 * middle + 1));
    Quantised made;
    putFormat(made.scales, format);
    std::vector<std::uint16_t> order;
    std::vector<float> rest;
    for (std::int64_t token = 0; token < rows.tokens(); ++token) {
        const auto row = rows.row(token);
        std::uint16_t* symbols = grid.symbols.data() + token * rows.channels();
        forBlocks(block, rows.channels(), [&](std::size_t first, std::size_t size) {
            const auto values = row.subspan(first, size);
            // The largest magnitudes, the first of equal ones first, then in order of place.
            const std::size_t top = topOf(block, size);
            order.resize(size);
            std::iota(order.begin(), order.end(), std::uint16_t{0});
            std::ranges::partial_sort(order, order.begin() + static_cast<std::ptrdiff_t>(top),
                                      [&](std::uint16_t a, std::uint16_t b) {
                                          const float left = std::fabs(values[a]);
                                          const float right = std::fabs(values[b]);
                                          return left > right || (!(left < right) && a < b);
                                      });
            order.resize(top);
            std::ranges::sort(order);
            rest.assign(values.begin(), values.end());
            packBits(order, placeBits(size), made.outliers);
            for (const std::uint16_t place : order) {
                putScale(made.outliers, exact, values[place]);
                rest[place] = 0;
            }
            const float scale = roundedUpTo(format, largestMagnitude(rest));
            putScale(made.scales, format, scale);
            const float factor = binsFactor(middle, scale);
            for (std::size_t i = 0; i < size; ++i)
                symbols[first + i] = binsSymbol(rest[i], factor, middle);
        });
    }
    made.grids.push_back(std::move(grid));
    return made;
}

Result<std::vector<SymbolGrid>> readGrids(const BlockNorm& block, const ChunkShape& shape, QuantisedSource&) {
    return std::vector{SymbolGrid(shape.tokens.size(), shape.plane.channels(),
                                  static_cast<std::uint32_t>(2 * symmetricMiddle(block.bits) + 1))};
}

Result<void> dequantise(const BlockNorm& block, std::span<const SymbolGrid> grids, QuantisedSource& source,
                        const TargetRows& rows) {
    const int middle = symmetricMiddle(block.bits);
    KVSCOPE_ASSIGN(const auto format, readFormat(source.scales));
    const ScaleFormat exact = exactFormat(rows.shape, rows.asStored);
    const auto decodeBlock = [&](std::span<float> values, const std::uint16_t* symbols) -> Result<void> {
        KVSCOPE_ASSIGN(const float scale, readScale(source.scales, format));
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = binsValue(symbols[i], scale, middle);
        std::vector<std::uint16_t> places(topOf(block, values.size()));
        const int bits = placeBits(values.size());
        KVSCOPE_ASSIGN(const auto packed, source.outliers.take(packedSize(places.size(), bits)));
        unpackBits(packed, bits, places);
        for (const std::uint16_t place : places) {
            if (place >= values.size())
                return source.outliers.broken("name a value outside their block");
            KVSCOPE_ASSIGN(values[place], readScale(source.outliers, exact));
        }
        return {};
    };
    const std::uint16_t* symbols = grids.front().symbols.data();
    for (std::int64_t token = 0; token < rows.tokens(); ++token, symbols += rows.channels()) {
        Result<void> done;
        forBlocks(block, rows.channels(), [&](std::size_t first, std::size_t size) {
            if (done)
                done = decodeBlock(rows.row(token).subspan(first, size), symbols + first);
        });
        KVSCOPE_TRY(done);
    }
    return {};
}

} // namespace kvscope
