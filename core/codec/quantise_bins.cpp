// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/quantise_bins.h"

#include "core/codec/bins_step.h"
#include "core/codec/scale_format.h"

namespace kvscope {

namespace {

/// The released coder takes up to 64 bins; more are its baseline, which computes in the cache's own type.
bool computesInHalf(const MaxAbsBins& bins, const ChunkShape& shape, bool asStored) {
    constexpr int kMostCodedBins = 64;
    return bins.bins > kMostCodedBins && asStored && shape.plane.dtype == DType::F16;
}

} // namespace

Quantised quantise(const MaxAbsBins& bins, const SourceRows& rows, const PlaneCalibration&) {
    const int middle = binsMiddle(bins.bins);
    SymbolGrid grid(rows.tokens(), rows.channels(), static_cast<std::uint32_t>(2 * middle + 1));
    Quantised made;
    const ScaleFormat format = putMagnitudeFormat(rows, made.scales);
    const bool inHalf = computesInHalf(bins, rows.shape, rows.asStored);
    std::uint16_t* symbol = grid.symbols.data();
    for (std::int64_t token = 0; token < rows.tokens(); ++token) {
        const auto row = rows.row(token);
        const float largest = roundedUpTo(format, largestMagnitude(row));
        putScale(made.scales, format, largest);
        const float halfFactor = inHalf ? halfBinsFactor(middle, largest) : 0.0F;
        const float factor = binsFactor(middle, largest);
        for (const float value : row)
            *symbol++ = halfFactor > 0 ? halfBinsSymbol(value, halfFactor, middle) : binsSymbol(value, factor, middle);
    }
    made.grids.push_back(std::move(grid));
    return made;
}

Result<std::vector<SymbolGrid>> readGrids(const MaxAbsBins& bins, const ChunkShape& shape, QuantisedSource&) {
    return std::vector{SymbolGrid(shape.tokens.size(), shape.plane.channels(),
                                  static_cast<std::uint32_t>(2 * binsMiddle(bins.bins) + 1))};
}

Result<void> dequantise(const MaxAbsBins& bins, std::span<const SymbolGrid> grids, QuantisedSource& source,
                        const TargetRows& rows) {
    const int middle = binsMiddle(bins.bins);
    KVSCOPE_ASSIGN(const auto format, readMagnitudeFormat(rows, source.scales));
    const bool inHalf = computesInHalf(bins, rows.shape, rows.asStored);
    const std::uint16_t* symbol = grids.front().symbols.data();
    for (std::int64_t token = 0; token < rows.tokens(); ++token) {
        KVSCOPE_ASSIGN(const float largest, readScale(source.scales, format));
        for (float& value : rows.row(token))
            value = inHalf ? halfBinsValue(*symbol++, largest, middle) : binsValue(*symbol++, largest, middle);
    }
    return {};
}

} // namespace kvscope
