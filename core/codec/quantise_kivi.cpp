// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/quantise_kivi.h"

#include "core/codec/affine_groups.h"

namespace kvscope {

namespace {

GroupLayout layoutOf(const Kivi& kivi, const ChunkShape& shape, std::int64_t tokens) {
    const ScaleAxis axis = shape.kind == PlaneKind::Value ? ScaleAxis::Token : ScaleAxis::Channel;
    return {tokens, shape.plane.channels(), shape.plane.headDim, axis, kivi.group};
}

} // namespace

Quantised quantise(const Kivi& kivi, const SourceRows& rows, const PlaneCalibration&) {
    const std::int64_t residualFrom = std::max<std::int64_t>(0, rows.shape.plane.tokens - kivi.residual);
    const std::int64_t tokens =
        std::clamp<std::int64_t>(residualFrom - rows.shape.tokens.begin.value, 0, rows.tokens());
    const ScaleFormat format = halfFormatFor(rows.shape.plane.dtype, largestMagnitude(rows.values));
    Quantised made;
    putVarint(made.scales, static_cast<std::uint64_t>(tokens));
    putFormat(made.scales, format);
    SymbolGrid grid(tokens, rows.channels(), lettersOf(kivi.bits, false));
    const auto split = static_cast<std::size_t>(tokens * rows.channels());
    quantiseGroups(layoutOf(kivi, rows.shape, tokens), kivi.bits, false, format, rows.values.first(split), grid.symbols,
                   made.scales);
    for (const float value : rows.values.subspan(split))
        putScale(made.outliers, format, roundedTo(format, value));
    made.grids.push_back(std::move(grid));
    return made;
}

Result<std::vector<SymbolGrid>> readGrids(const Kivi& kivi, const ChunkShape& shape, QuantisedSource& source) {
    KVSCOPE_ASSIGN(const auto tokens, source.scales.varintUpTo(static_cast<std::uint64_t>(shape.tokens.size())));
    return std::vector{
        SymbolGrid(static_cast<std::int64_t>(tokens), shape.plane.channels(), lettersOf(kivi.bits, false))};
}

Result<void> dequantise(const Kivi& kivi, std::span<const SymbolGrid> grids, QuantisedSource& source,
                        const TargetRows& rows) {
    KVSCOPE_ASSIGN(const auto format, readFormat(source.scales));
    const SymbolGrid& grid = grids.front();
    const auto split = grid.symbols.size();
    KVSCOPE_TRY(dequantiseGroups(layoutOf(kivi, rows.shape, grid.tokens), kivi.bits, false, format, grid.symbols,
                                 source.scales, rows.values.first(split)));
    for (float& value : rows.values.subspan(split)) {
        KVSCOPE_ASSIGN(value, readScale(source.outliers, format));
    }
    return {};
}

} // namespace kvscope
