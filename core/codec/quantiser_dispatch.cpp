// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/quantiser_dispatch.h"

#include "core/codec/quantise_anchor.h"
#include "core/codec/quantise_bins.h"
#include "core/codec/quantise_block.h"
#include "core/codec/quantise_float8.h"
#include "core/codec/quantise_kivi.h"
#include "core/codec/quantise_step.h"
#include "core/codec/quantise_uniform.h"

namespace kvscope {

namespace {

tl::unexpected<Error> noSymbols() {
    return fail("is lossless, which makes no symbols", "quantiser", "Choose another quantiser");
}

} // namespace

Result<Quantised> quantiseRows(const Quantiser& quantiser, const SourceRows& rows,
                               const PlaneCalibration& calibration) {
    return std::visit(
        [&](const auto& q) -> Result<Quantised> {
            if constexpr (!std::is_same_v<std::decay_t<decltype(q)>, Lossless>)
                return quantise(q, rows, calibration);
            else
                return noSymbols();
        },
        quantiser);
}

Result<std::vector<SymbolGrid>> readGrids(const Quantiser& quantiser, const ChunkShape& shape,
                                          QuantisedSource& source) {
    return std::visit(
        [&](const auto& q) -> Result<std::vector<SymbolGrid>> {
            if constexpr (!std::is_same_v<std::decay_t<decltype(q)>, Lossless>)
                return readGrids(q, shape, source);
            else
                return noSymbols();
        },
        quantiser);
}

Result<void> dequantiseRows(const Quantiser& quantiser, std::span<const SymbolGrid> grids, QuantisedSource& source,
                            const TargetRows& rows) {
    return std::visit(
        [&](const auto& q) -> Result<void> {
            if constexpr (!std::is_same_v<std::decay_t<decltype(q)>, Lossless>)
                return dequantise(q, grids, source, rows);
            else
                return noSymbols();
        },
        quantiser);
}

} // namespace kvscope
