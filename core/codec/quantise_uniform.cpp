// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/quantise_uniform.h"

#include "core/codec/affine_groups.h"

namespace kvscope {

namespace {

GroupLayout layoutOf(const Uniform& uniform, const ChunkShape& shape) {
    return {shape.tokens.size(), shape.plane.channels(), shape.plane.headDim, uniform.axis, uniform.group};
}

} // namespace

Quantised quantise(const Uniform& uniform, const SourceRows& rows, const PlaneCalibration&) {
    Quantised made;
    const ScaleFormat format =
        uniform.bits > 8 ? ScaleFormat::F32 : halfFormatFor(rows.shape.plane.dtype, largestMagnitude(rows.values));
    putFormat(made.scales, format);
    SymbolGrid grid(rows.tokens(), rows.channels(), lettersOf(uniform.bits, uniform.symmetric));
    quantiseGroups(layoutOf(uniform, rows.shape), uniform.bits, uniform.symmetric, format, rows.values, grid.symbols,
                   made.scales);
    made.grids.push_back(std::move(grid));
    return made;
}

Result<std::vector<SymbolGrid>> readGrids(const Uniform& uniform, const ChunkShape& shape, QuantisedSource&) {
    return std::vector{
        SymbolGrid(shape.tokens.size(), shape.plane.channels(), lettersOf(uniform.bits, uniform.symmetric))};
}

Result<void> dequantise(const Uniform& uniform, std::span<const SymbolGrid> grids, QuantisedSource& source,
                        const TargetRows& rows) {
    KVSCOPE_ASSIGN(const auto format, readFormat(source.scales));
    return dequantiseGroups(layoutOf(uniform, rows.shape), uniform.bits, uniform.symmetric, format,
                            grids.front().symbols, source.scales, rows.values);
}

} // namespace kvscope
