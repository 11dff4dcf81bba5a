// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/float_formats.h"
#include "core/kv/strided_cache.h"
#include "core/stats/cache_map.h"

#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <vector>

namespace kvscope::test {

/// A cache whose values the test also holds, as doubles.
struct KnownCache {
    KvCache cache;
    std::map<PlaneId, std::vector<double>> values;
};

/// What to make: layer by layer, the same heads and dimension for K and V.
struct KnownLayer {
    std::int64_t heads = 0;
    std::int64_t headDim = 0;
    std::int64_t keyTokens = 0;
    std::int64_t valueTokens = 0;
};

inline std::uint16_t narrow(DType type, float value) {
    return type == DType::BF16 ? bfloatFromFloat(value) : halfFromFloat(value);
}

inline float widen(DType type, std::uint16_t bits) {
    return type == DType::BF16 ? floatFromBfloat(bits) : floatFromHalf(bits);
}

/// Stores what `valueOf(plane, token, channel)` returns, rounded to the type, token after token or head after head.
template <class ValueOf>
KnownCache makeKnownCache(const std::vector<KnownLayer>& layers, DType type, ValueOf valueOf,
                          std::int64_t sequences = 1, std::uint64_t fingerprint = 0,
                          std::vector<std::optional<Rope>> ropes = {}, bool headsFirst = false) {
    KnownCache known;
    KvGeometry geometry;
    geometry.sequences = sequences;
    for (const KnownLayer& layer : layers) {
        LayerGeometry planes;
        if (layer.keyTokens >= 0)
            planes.plane(PlaneKind::Key) = PlaneGeometry{layer.heads, layer.headDim, layer.keyTokens, type, {}, 0, {}};
        if (layer.valueTokens >= 0)
            planes.plane(PlaneKind::Value) =
                PlaneGeometry{layer.heads, layer.headDim, layer.valueTokens, type, {}, 0, {}};
        geometry.layers.push_back(planes);
    }
    std::vector<StridedPlane> planes;
    for (const PlaneId id : geometry.allPlanes()) {
        const PlaneGeometry& plane = *geometry.find(id);
        std::vector<std::byte> bytes(static_cast<std::size_t>(plane.values() * sizeOf(type)));
        auto& expected = known.values[id];
        expected.reserve(static_cast<std::size_t>(plane.values()));
        const std::int64_t tokenStride = headsFirst ? plane.headDim : plane.channels();
        const std::int64_t headStride = headsFirst ? plane.tokens * plane.headDim : plane.headDim;
        for (std::int64_t token = 0; token < plane.tokens; ++token) {
            for (std::int64_t channel = 0; channel < plane.channels(); ++channel) {
                const auto at = static_cast<std::size_t>(
                    (token * tokenStride + channel / plane.headDim * headStride + channel % plane.headDim) *
                    sizeOf(type));
                float value = valueOf(id, token, channel);
                if (type == DType::F32) {
                    std::memcpy(bytes.data() + at, &value, 4);
                } else {
                    const std::uint16_t bits = narrow(type, value);
                    std::memcpy(bytes.data() + at, &bits, 2);
                    value = widen(type, bits);
                }
                expected.push_back(static_cast<double>(value));
            }
        }
        StridedPart part;
        part.bytes = memorySource(std::move(bytes), "known values");
        part.stored = type;
        part.tokenStride = tokenStride;
        part.headStride = headStride;
        part.tokenCount = plane.tokens;
        part.headCount = plane.heads;
        planes.push_back({id, {part}});
    }
    CacheInfo info;
    info.name = "known";
    info.fingerprint = fingerprint;
    info.rope = std::move(ropes);
    auto made = makeStridedCache(std::move(geometry), std::move(info), std::move(planes));
    if (made)
        known.cache = *made;
    return known;
}

/// The whole plane under a quantity, in double, by definition.
inline std::vector<double> naiveQuantity(const KnownCache& known, PlaneId id, Quantity quantity) {
    const PlaneGeometry& plane = *known.cache.geometry().find(id);
    const std::vector<double>& stored = known.values.at(id);
    std::vector<double> out(stored.size());
    const auto channels = static_cast<std::size_t>(plane.channels());
    const auto tokens = static_cast<std::size_t>(plane.tokens);
    for (std::size_t c = 0; c < channels; ++c) {
        double sum = 0;
        double count = 0;
        for (std::size_t t = 0; t < tokens; ++t) {
            if (std::isfinite(stored[t * channels + c])) {
                sum += stored[t * channels + c];
                count += 1;
            }
        }
        const double mean = count > 0 ? sum / count : 0;
        for (std::size_t t = 0; t < tokens; ++t) {
            const double value = stored[t * channels + c];
            double& result = out[t * channels + c];
            switch (quantity) {
            case Quantity::Value:
                result = value;
                break;
            case Quantity::Magnitude:
                result = std::abs(value);
                break;
            case Quantity::DeltaPrevious:
                result = t == 0 ? value - value : value - stored[(t - 1) * channels + c];
                break;
            case Quantity::DeltaAnchor:
                result = value - stored[(t - t % 10) * channels + c];
                break;
            case Quantity::ChannelDeviation:
                result = value - mean;
                break;
            case Quantity::KeyBeforeRope: {
                // Half-split pairs, theta 10000, all dimensions turned: written out here, not taken from the product.
                const auto dim = static_cast<std::size_t>(plane.headDim);
                const std::size_t i = c % dim;
                const std::size_t pair = i % (dim / 2);
                const double angle = static_cast<double>(t) *
                                     std::pow(10000.0, -2.0 * static_cast<double>(pair) / static_cast<double>(dim));
                const double first = stored[t * channels + c - i + pair];
                const double second = stored[t * channels + c - i + pair + dim / 2];
                result = i < dim / 2 ? first * std::cos(angle) + second * std::sin(angle)
                                     : second * std::cos(angle) - first * std::sin(angle);
                break;
            }
            }
        }
    }
    return out;
}

/// A cell as plain numbers.
struct NaiveCell {
    double min = 0;
    double max = 0;
    double mean = 0;
    double rms = 0;
    double stddev = 0;
    std::int64_t count = 0;
    bool nonFinite = false;
};

/// The whole picture of a map at a step, cell by cell in two passes over the values under it.
class NaiveMap {
public:
    NaiveMap(const KnownCache& known, const MapSpec& spec)
        : known_(known)
        , spec_(spec) {}

    /// The cell that covers full-resolution columns [column, column + step.columns) and rows likewise.
    NaiveCell cell(std::int64_t column, std::int64_t row, CellStep step) {
        std::vector<double> under;
        NaiveCell cell;
        const bool layered = spec_.map == MapKind::LayerToken || spec_.map == MapKind::LayerChannel;
        const std::int64_t firstRow = row * step.rows;
        const std::int64_t layers = known_.cache.geometry().layerCount();
        const std::int64_t firstLayer = layered ? firstRow : spec_.layer.value;
        const std::int64_t lastLayer = layered ? std::min(firstRow + step.rows, layers) : firstLayer + 1;
        for (std::int64_t layer = firstLayer; layer < lastLayer; ++layer) {
            const PlaneId id{LayerIndex(layer), spec_.kind, spec_.sequence};
            const PlaneGeometry* plane = known_.cache.geometry().find(id);
            if (plane == nullptr ||
                (spec_.quantity == Quantity::KeyBeforeRope && known_.cache.rope(LayerIndex(layer)) == nullptr))
                continue;
            std::int64_t t0 = column * step.columns;
            std::int64_t t1 = t0 + step.columns;
            std::int64_t c0 = 0;
            std::int64_t c1 = plane->channels();
            if (spec_.map == MapKind::HeadToken) {
                c0 = firstRow * plane->headDim;
                c1 = std::min(c1, c0 + step.rows * plane->headDim);
            } else if (spec_.map == MapKind::TokenChannel) {
                const std::int64_t base = spec_.head ? spec_.head->value * plane->headDim : 0;
                c1 = std::min(base + firstRow + step.rows, spec_.head ? base + plane->headDim : c1);
                c0 = base + firstRow;
            } else if (spec_.map == MapKind::LayerChannel) {
                c0 = t0;
                c1 = std::min(c1, t1);
                t0 = 0;
                t1 = plane->tokens;
            }
            const std::vector<double>& values = planeValues(id);
            for (std::int64_t t = t0; t < std::min(t1, plane->tokens); ++t) {
                for (std::int64_t c = c0; c < c1; ++c) {
                    const double value = values[static_cast<std::size_t>(t * plane->channels() + c)];
                    if (std::isfinite(value))
                        under.push_back(value);
                    else
                        cell.nonFinite = true;
                }
            }
        }
        cell.count = static_cast<std::int64_t>(under.size());
        if (under.empty())
            return cell;
        cell.min = cell.max = under[0];
        for (const double value : under) {
            cell.min = std::min(cell.min, value);
            cell.max = std::max(cell.max, value);
            cell.mean += value;
        }
        cell.mean /= static_cast<double>(under.size());
        double squares = 0;
        double spread = 0;
        for (const double value : under) {
            squares += value * value;
            spread += (value - cell.mean) * (value - cell.mean);
        }
        cell.rms = std::sqrt(squares / static_cast<double>(under.size()));
        cell.stddev = std::sqrt(spread / static_cast<double>(under.size()));
        return cell;
    }

private:
    const std::vector<double>& planeValues(PlaneId id) {
        auto& values = planes_[id];
        if (values.empty())
            values = naiveQuantity(known_, id, spec_.quantity);
        return values;
    }

    const KnownCache& known_;
    MapSpec spec_;
    std::map<PlaneId, std::vector<double>> planes_;
};

/// Values like a cache's: an offset and spread of its own for every channel, with some larger ones.
class PlausibleValues {
public:
    explicit PlausibleValues(unsigned seed)
        : random_(seed) {}

    float operator()(PlaneId id, std::int64_t token, std::int64_t channel) {
        const auto c = static_cast<double>(channel + 3 * id.layer.value);
        const double offset = 3.0 * std::sin(c * 1.7) * (channel % 11 == 3 ? 8.0 : 1.0);
        const double spread = 0.2 + std::abs(std::cos(c * 0.9)) * (id.kind == PlaneKind::Value ? 0.5 : 1.0);
        const double drift = 0.3 * std::sin(static_cast<double>(token) * 0.01 + c);
        return static_cast<float>(offset + spread * (normal_(random_) + drift));
    }

private:
    std::mt19937 random_;
    std::normal_distribution<double> normal_;
};

} // namespace kvscope::test
