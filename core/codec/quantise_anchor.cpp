// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/quantise_anchor.h"

#include "core/codec/bins_step.h"
#include "core/codec/scale_format.h"

namespace kvscope {

namespace {

constexpr int kMostSteps = 127;

std::int64_t anchorsOf(const AnchorDelta& anchors, std::int64_t tokens) {
    return (tokens + anchors.group - 1) / anchors.group;
}

int middleOf(const AnchorDelta& anchors) {
    return binsMiddle(1 << anchors.anchorBits);
}

} // namespace

Quantised quantise(const AnchorDelta& anchors, const SourceRows& rows, const PlaneCalibration& calibration) {
    const int middle = middleOf(anchors);
    const std::int64_t anchorCount = anchorsOf(anchors, rows.tokens());
    SymbolGrid anchorGrid(anchorCount, rows.channels(), static_cast<std::uint32_t>(2 * middle + 1));
    SymbolGrid deltaGrid(rows.tokens() - anchorCount, rows.channels(), 2 * kMostSteps + 1);
    // Where the plane's differences are all zero, differences are what the anchors' own rounding leaves.
    float step = static_cast<float>(anchors.step) * calibration.anchorDeltaSigma;
    if (!(step > 0))
        step = largestMagnitude(rows.values) / static_cast<float>(middle);
    Quantised made;
    putNumber(made.scales, step);
    const ScaleFormat format = putMagnitudeFormat(rows, made.scales);
    std::vector<float> anchor(static_cast<std::size_t>(rows.channels()));
    std::uint16_t* anchorSymbol = anchorGrid.symbols.data();
    std::uint16_t* deltaSymbol = deltaGrid.symbols.data();
    int most = 0;
    for (std::int64_t token = 0; token < rows.tokens(); ++token) {
        const auto row = rows.row(token);
        if (token % anchors.group == 0) {
            const float largest = roundedUpTo(format, largestMagnitude(row));
            putScale(made.scales, format, largest);
            const float factor = binsFactor(middle, largest);
            for (std::size_t c = 0; c < row.size(); ++c) {
                *anchorSymbol = binsSymbol(row[c], factor, middle);
                anchor[c] = binsValue(*anchorSymbol++, largest, middle);
            }
            continue;
        }
        for (std::size_t c = 0; c < row.size(); ++c, ++deltaSymbol) {
            const float delta = row[c] - anchor[c];
            const float steps = step > 0 ? std::rint(delta / step) : 0.0F;
            *deltaSymbol = kMostSteps;
            if (std::fabs(steps) <= static_cast<float>(kMostSteps)) {
                *deltaSymbol = static_cast<std::uint16_t>(static_cast<int>(steps) + kMostSteps);
                most = std::max(most, std::abs(static_cast<int>(steps)));
            } else {
                made.kept.push_back({token * rows.channels() + static_cast<std::int64_t>(c), row[c]});
            }
        }
    }
    // No more letters than occur.
    for (std::uint16_t& symbol : deltaGrid.symbols)
        symbol = static_cast<std::uint16_t>(symbol - kMostSteps + most);
    deltaGrid.alphabet = static_cast<std::uint32_t>(2 * most + 1);
    Bytes scales;
    scales.push_back(static_cast<std::byte>(most));
    putBytes(scales, made.scales);
    made.scales = std::move(scales);
    made.grids.push_back(std::move(anchorGrid));
    made.grids.push_back(std::move(deltaGrid));
    return made;
}

Result<std::vector<SymbolGrid>> readGrids(const AnchorDelta& anchors, const ChunkShape& shape,
                                          QuantisedSource& source) {
    KVSCOPE_ASSIGN(const auto most, source.scales.number<std::uint8_t>());
    if (most > kMostSteps)
        return source.scales.broken("hold more steps than there can be");
    const std::int64_t anchorCount = anchorsOf(anchors, shape.tokens.size());
    return std::vector{
        SymbolGrid(anchorCount, shape.plane.channels(), static_cast<std::uint32_t>(2 * middleOf(anchors) + 1)),
        SymbolGrid(shape.tokens.size() - anchorCount, shape.plane.channels(),
                   static_cast<std::uint32_t>(2 * most + 1))};
}

Result<void> dequantise(const AnchorDelta& anchors, std::span<const SymbolGrid> grids, QuantisedSource& source,
                        const TargetRows& rows) {
    const int middle = middleOf(anchors);
    KVSCOPE_ASSIGN(const float step, readScale(source.scales, ScaleFormat::F32));
    KVSCOPE_ASSIGN(const auto format, readMagnitudeFormat(rows, source.scales));
    const int most = static_cast<int>(grids[1].alphabet / 2);
    const std::uint16_t* anchorSymbol = grids[0].symbols.data();
    const std::uint16_t* deltaSymbol = grids[1].symbols.data();
    std::span<const float> anchor;
    for (std::int64_t token = 0; token < rows.tokens(); ++token) {
        const auto row = rows.row(token);
        if (token % anchors.group == 0) {
            KVSCOPE_ASSIGN(const float largest, readScale(source.scales, format));
            for (float& value : row)
                value = binsValue(*anchorSymbol++, largest, middle);
            anchor = row;
            continue;
        }
        for (std::size_t c = 0; c < row.size(); ++c) {
            const float delta = static_cast<float>(*deltaSymbol++ - most) * step;
            row[c] = anchor[c] + delta;
        }
    }
    return {};
}

} // namespace kvscope
