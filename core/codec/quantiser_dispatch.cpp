// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/quantiser_dispatch.h"

namespace kvscope {

namespace {

template <class Q>
concept Quantises = requires(const Q& q, const SourceRows& rows, const PlaneCalibration& calibration) {
    { quantise(q, rows, calibration) } -> std::same_as<Quantised>;
};

tl::unexpected<Error> noSymbols() {
    return fail("has no symbols with this coder", "quantiser", "Choose another quantiser, or the coder kvz");
}

} // namespace

Result<Quantised> quantiseRows(const Quantiser& quantiser, const SourceRows& rows,
                               const PlaneCalibration& calibration) {
    return std::visit(
        [&](const auto& q) -> Result<Quantised> {
            if constexpr (Quantises<std::decay_t<decltype(q)>>)
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
            if constexpr (Quantises<std::decay_t<decltype(q)>>)
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
            if constexpr (Quantises<std::decay_t<decltype(q)>>)
                return dequantise(q, grids, source, rows);
            else
                return noSymbols();
        },
        quantiser);
}

} // namespace kvscope
