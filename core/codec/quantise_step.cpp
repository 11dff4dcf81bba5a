// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/quantise_step.h"

#include "core/codec/scale_format.h"

namespace kvscope {

namespace {

constexpr int kMostSteps = 32767;

} // namespace

Quantised quantise(const Step& step, const SourceRows& rows, const PlaneCalibration& calibration) {
    float size = static_cast<float>(step.step) * calibration.centredRms;
    if (!(size > 0))
        size = largestMagnitude(rows.values) / static_cast<float>(kMostSteps);
    std::vector<std::int32_t> steps(rows.values.size());
    Quantised made;
    int most = 0;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        const float count = size > 0 ? std::rint(rows.values[i] / size) : 0.0F;
        if (std::fabs(count) <= static_cast<float>(kMostSteps))
            steps[i] = static_cast<std::int32_t>(count);
        else
            made.kept.push_back({static_cast<std::int64_t>(i), rows.values[i]});
        most = std::max(most, std::abs(steps[i]));
    }
    SymbolGrid grid(rows.tokens(), rows.channels(), static_cast<std::uint32_t>(2 * most + 1));
    for (std::size_t i = 0; i < steps.size(); ++i)
        grid.symbols[i] = static_cast<std::uint16_t>(steps[i] + most);
    putVarint(made.scales, static_cast<std::uint64_t>(most));
    putNumber(made.scales, size);
    made.grids.push_back(std::move(grid));
    return made;
}

Result<std::vector<SymbolGrid>> readGrids(const Step&, const ChunkShape& shape, QuantisedSource& source) {
    KVSCOPE_ASSIGN(const auto most, source.scales.varintUpTo(kMostSteps));
    return std::vector{
        SymbolGrid(shape.tokens.size(), shape.plane.channels(), static_cast<std::uint32_t>(2 * most + 1))};
}

Result<void> dequantise(const Step&, std::span<const SymbolGrid> grids, QuantisedSource& source,
                        const TargetRows& rows) {
    KVSCOPE_ASSIGN(const float size, readScale(source.scales, ScaleFormat::F32));
    const SymbolGrid& grid = grids.front();
    const int most = static_cast<int>(grid.alphabet / 2);
    for (std::size_t i = 0; i < grid.symbols.size(); ++i)
        rows.values[i] = static_cast<float>(grid.symbols[i] - most) * size;
    return {};
}

} // namespace kvscope
