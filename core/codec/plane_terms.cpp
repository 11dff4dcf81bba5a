// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/plane_terms.h"

#include "core/codec/channel_kernels.h"
#include "core/codec/class_kernels.h"
#include "core/codec/encode_kernels.h"
#include "core/codec/kvz_step.h"
#include "core/codec/narrow_modes.h"
#include "core/codec/symbol_bank.h"
#include "core/codec/symbol_plan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <functional>
#include <numeric>
#include <vector>

namespace kvscope {

namespace {

/// Tokens are sampled in runs as long as a chunk of the default size, so that they are predicted as chunks are.
constexpr std::size_t kRunTokens = 256;
constexpr std::size_t kMostRuns = 4;

/// Steps from the channels' means, cut to what narrow planes hold.
SymbolPlane quantised(std::span<const float> rows, std::size_t channels, float step) {
    const std::size_t tokens = rows.size() / channels;
    SymbolPlane plane{static_cast<std::int64_t>(tokens), static_cast<std::int64_t>(channels), {}, {}, true, {}};
    plane.means.resize(channels);
    std::vector<double> sums(channels);
    for (std::size_t i = 0; i < rows.size(); ++i)
        sums[i % channels] += static_cast<double>(rows[i]);
    plane.narrow.resize(rows.size());
    const float inverse = 1 / step;
    std::vector<float> offsets(channels);
    for (std::size_t c = 0; c < channels; ++c)
        offsets[c] = static_cast<float>(std::round(sums[c] / static_cast<double>(tokens) / static_cast<double>(step)));
    for (std::size_t t = 0; t < tokens; ++t) {
        std::int16_t* numbers = plane.narrow.data() + t * channels;
        stepsRow(DType::F32, std::as_bytes(rows.subspan(t * channels, channels)).data(), offsets.data(), inverse,
                 channels, numbers);
        for (std::size_t c = 0; c < channels; ++c)
            numbers[c] = std::clamp<std::int16_t>(numbers[c], -kMostNarrow, kMostNarrow);
    }
    return plane;
}

/// Appends to `numbers` [row][channel] what the predictions of the coder leave of the rows that it codes.
void appendLeft(const SymbolPlane& plane, std::vector<std::uint8_t>& symbols) {
    const auto channels = static_cast<std::size_t>(plane.channels);
    const SymbolLayout layout = planSymbols(plane, Predictor::Best).layout;
    const NarrowModes modes(layout.channels);
    // The first row has nothing before it, which later rows have.
    for (std::size_t t = 1; t < layout.rows.size(); ++t) {
        if (layout.rows[t].copy)
            continue;
        const std::int16_t* now = plane.narrow.data() + t * channels;
        const std::size_t before = symbols.size();
        symbols.resize(before + channels);
        symbolsOfRow(now, modes.factors(), modes.rows(layout.rows[t], t, now, channels), channels,
                     symbols.data() + before);
    }
}

/// Rows by energy, the loudest first, less those that their references say nearly all about: they take few bits, and
/// gain none. [row][channel].
std::vector<std::uint8_t> loudRows(const std::vector<std::uint8_t>& symbols, std::size_t channels) {
    constexpr std::int64_t kQuiet = 6;
    const std::size_t rows = symbols.size() / channels;
    std::vector<std::int64_t> energies(rows);
    for (std::size_t i = 0; i < symbols.size(); ++i) {
        const std::int64_t number = std::int64_t{symbols[i]} - kBankZero;
        energies[i / channels] += number * number;
    }
    const std::int64_t sum = std::reduce(energies.begin(), energies.end());
    std::vector<std::size_t> order(rows);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, std::ranges::greater(), [&](std::size_t row) { return energies[row]; });
    std::vector<std::uint8_t> loud;
    for (const std::size_t row : order) {
        if (energies[row] * kQuiet * std::ssize(energies) < sum)
            break;
        const auto first = symbols.begin() + static_cast<std::ptrdiff_t>(row * channels);
        loud.insert(loud.end(), first, first + static_cast<std::ptrdiff_t>(channels));
    }
    return loud;
}

/// Bits (times 2^8) of up to 65,535 symbols in the cheapest of the tables near their spread.
double cheapestBits(const std::uint8_t* symbols, std::size_t count) {
    constexpr int kScalesTried = 5;
    const SymbolSizes sizes = sizesOf(symbols, count);
    // A normal distribution's standard deviation is five quarters of its mean size.
    const double sigma = 1.25 * (static_cast<double>(sizes.sum) / static_cast<double>(count)) + 1e-3;
    const int middle = kBankUnitScale + static_cast<int>(std::lround(4 * std::log2(sigma)));
    const int scale = std::clamp(middle - kScalesTried / 2, 0, kBankScales - kScalesTried);
    std::array<std::uint32_t, 16> costs{};
    addCosts(symbols, count, sizes.largest, SymbolBank::get().costColumns(scale * kBankShapes),
             SymbolBank::kCostColumns, costs.data());
    return *std::min_element(costs.begin(), costs.begin() + std::ptrdiff_t{kScalesTried} * kBankShapes);
}

/// Keeps the terms of channels that save more than they take, row for row as loud as they are: what saves bits in loud
/// rows may save none in the others. `symbols` [channel][row], the loudest rows first; each stands for `scale` tokens.
ChannelTerms worthTheirBits(const ChannelTerms& terms, const std::vector<std::uint8_t>& symbols, std::size_t rows,
                            double scale) {
    constexpr std::size_t kParts = 4;
    std::vector<std::uint8_t> left(rows);
    ChannelTerms kept;
    for (std::size_t c = 0; c < terms.channels(); ++c) {
        const auto own = terms.of(c);
        double saved = 0;
        for (std::size_t part = 0; part < kParts && !own.empty(); ++part) {
            const std::size_t first = rows * part / kParts;
            const std::size_t count = rows * (part + 1) / kParts - first;
            if (count == 0)
                continue;
            const std::uint8_t* now = symbols.data() + c * rows + first;
            takeTerms(own, symbols.data() + first, rows, count, now, left.data());
            saved += cheapestBits(now, count) - cheapestBits(left.data(), count);
        }
        kept.add(saved / 256 * scale > kTermDoubt * bitsOfTerms(c, own.size()) ? own : std::span<const ChannelTerm>());
    }
    return kept.empty() ? ChannelTerms() : kept;
}

} // namespace

ChannelTerms termsOfPlane(std::span<const float> rows, std::int64_t channels, float step, std::int64_t planeTokens) {
    const auto width = static_cast<std::size_t>(channels);
    const std::size_t tokens = width > 0 ? rows.size() / width : 0;
    if (width < 2 || tokens < 2 || !(step >= kSmallestStep && step <= kLargestStepped))
        return {};
    const std::size_t runs = std::clamp<std::size_t>(tokens / kRunTokens, 1, kMostRuns);
    const std::size_t length = std::min(tokens / runs, kRunTokens);
    std::vector<std::uint8_t> symbols;
    for (std::size_t run = 0; run < runs; ++run) {
        const std::size_t first = runs > 1 ? (tokens - length) * run / (runs - 1) : 0;
        appendLeft(quantised(rows.subspan(first * width, length * width), width, step), symbols);
    }
    symbols = loudRows(symbols, width);
    const std::size_t count = symbols.size() / width;
    std::vector<std::uint8_t> byChannel(symbols.size());
    transposeBytes(symbols.data(), width, count, width, byChannel.data(), count);
    std::vector<std::int8_t> numbers(byChannel.size());
    std::ranges::transform(byChannel, numbers.begin(),
                           [](std::uint8_t symbol) { return static_cast<std::int8_t>(symbol - kBankZero); });
    const double scale = static_cast<double>(planeTokens) / static_cast<double>(runs * length);
    const auto found =
        findChannelTerms(numbers, width, count, static_cast<std::int64_t>(scale * static_cast<double>(count)));
    return worthTheirBits(found, byChannel, count, scale);
}

} // namespace kvscope
