// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/quantise_float8.h"

#include "core/base/float_formats.h"
#include "core/codec/float8_step.h"

namespace kvscope {

namespace {

/// Exponent of the format's largest binade.
int topExponent(const Float8& float8) {
    return float8.format == Float8::Format::E4M3 ? 8 : 15;
}

/// kLargestWorked / 448 and the smallest scale.
constexpr int kMostExponent = 100;
constexpr int kLeastExponent = -126;

} // namespace

Quantised quantise(const Float8& float8, const SourceRows& rows, const PlaneCalibration&) {
    Quantised made;
    SymbolGrid grid(rows.tokens(), rows.channels(), 256);
    std::uint16_t* symbol = grid.symbols.data();
    for (std::int64_t token = 0; token < rows.tokens(); ++token) {
        const auto row = rows.row(token);
        const int exponent = float8Exponent(largestMagnitude(row), topExponent(float8));
        putNumber(made.scales, static_cast<std::int8_t>(exponent));
        const float inverse = powerOfTwo(-exponent);
        for (const float value : row) {
            const float scaled = value * inverse;
            *symbol++ = float8.format == Float8::Format::E4M3 ? e4m3FromFloat(scaled) : e5m2FromFloat(scaled);
        }
    }
    made.grids.push_back(std::move(grid));
    return made;
}

Result<std::vector<SymbolGrid>> readGrids(const Float8&, const ChunkShape& shape, QuantisedSource&) {
    return std::vector{SymbolGrid(shape.tokens.size(), shape.plane.channels(), 256)};
}

Result<void> dequantise(const Float8& float8, std::span<const SymbolGrid> grids, QuantisedSource& source,
                        const TargetRows& rows) {
    const std::uint16_t* symbol = grids.front().symbols.data();
    for (std::int64_t token = 0; token < rows.tokens(); ++token) {
        KVSCOPE_ASSIGN(const auto exponent, source.scales.number<std::int8_t>());
        if (exponent < kLeastExponent || exponent > kMostExponent)
            return source.scales.broken("hold an exponent out of range");
        const float scale = powerOfTwo(exponent);
        for (float& value : rows.row(token)) {
            const auto bits = static_cast<std::uint8_t>(*symbol++);
            value = (float8.format == Float8::Format::E4M3 ? floatFromE4M3(bits) : floatFromE5M2(bits)) * scale;
        }
    }
    return {};
}

} // namespace kvscope
