// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/encode_report.h"

#include <algorithm>
#include <numeric>

namespace kvscope {

namespace {

constexpr double kBitsPerByte = 8;
constexpr double kReferenceBits = 16;
constexpr double kGiga = 1e9;

double quotient(double a, double b) {
    return b > 0 ? a / b : 0.0;
}

double sumOf(std::span<const float> values) {
    return std::accumulate(values.begin(), values.end(), 0.0);
}

} // namespace

void EncodeTotals::add(const PlaneReport& plane) {
    const auto before = values;
    values += plane.values();
    dumpBytes += plane.dumpBytes;
    for (const ChunkReport& chunk : plane.chunks) {
        parts += chunk.parts;
        publishedBytes += chunk.publishedBytes;
        encodeSeconds += chunk.encodeSeconds;
        decodeSeconds += chunk.decodeSeconds;
        if (chunk.entropyBits) {
            entropyBits += *chunk.entropyBits;
            entropyValues += chunk.tokens.size() * plane.channels();
        }
    }
    hasError = plane.hasError && (before == 0 || hasError);
    error.merge(plane.error);
}

double EncodeTotals::bitsPerValue() const {
    return quotient(kBitsPerByte * static_cast<double>(bytes()), static_cast<double>(values));
}

double EncodeTotals::publishedBitsPerValue() const {
    return quotient(kBitsPerByte * static_cast<double>(publishedBytes), static_cast<double>(values));
}

double EncodeTotals::ratio() const {
    return quotient(kReferenceBits, bitsPerValue());
}

double EncodeTotals::publishedRatio() const {
    return quotient(kReferenceBits, publishedBitsPerValue());
}

double EncodeTotals::ratioToDump() const {
    return quotient(static_cast<double>(dumpBytes), static_cast<double>(bytes()));
}

std::optional<double> EncodeTotals::entropyPerValue() const {
    if (entropyValues == 0)
        return std::nullopt;
    return entropyBits / static_cast<double>(entropyValues);
}

std::optional<double> EncodeTotals::encodeGBps() const {
    if (encodeSeconds <= 0)
        return std::nullopt;
    return static_cast<double>(dumpBytes) / encodeSeconds / kGiga;
}

std::optional<double> EncodeTotals::decodeGBps() const {
    if (decodeSeconds <= 0)
        return std::nullopt;
    return static_cast<double>(dumpBytes) / decodeSeconds / kGiga;
}

double headlineError(PlaneKind kind, const TensorErrorSums& sums) {
    return quotient(sums.sumSquared, kind == PlaneKind::Value ? sums.originalEnergy : sums.centredEnergy);
}

const PlaneReport* EncodeReport::find(PlaneId plane) const {
    const auto found = std::ranges::lower_bound(planes, plane, std::less<>(), &PlaneReport::plane);
    return found != planes.end() && found->plane == plane ? &*found : nullptr;
}

void EncodeReport::put(PlaneReport plane) {
    const auto place = std::ranges::lower_bound(planes, plane.plane, std::less<>(), &PlaneReport::plane);
    if (place != planes.end() && place->plane == plane.plane)
        *place = std::move(plane);
    else
        planes.insert(place, std::move(plane));
}

EncodeTotals EncodeReport::totals(PlaneKind kind) const {
    EncodeTotals sum;
    for (const PlaneReport& plane : planes) {
        if (plane.plane.kind == kind)
            sum.add(plane);
    }
    return sum;
}

EncodeTotals EncodeReport::totals() const {
    EncodeTotals sum;
    for (const PlaneReport& plane : planes)
        sum.add(plane);
    return sum;
}

EncodeTotals EncodeReport::totals(LayerIndex layer, PlaneKind kind) const {
    EncodeTotals sum;
    for (const PlaneReport& plane : planes) {
        if (plane.plane.layer == layer && plane.plane.kind == kind)
            sum.add(plane);
    }
    return sum;
}

std::optional<double> EncodeReport::encodeTimeToPrefill() const {
    if (!prefillTokensPerSecond || *prefillTokensPerSecond <= 0 || seconds <= 0)
        return std::nullopt;
    std::vector<std::int64_t> tokens;
    for (const PlaneReport& plane : planes) {
        const auto sequence = static_cast<std::size_t>(plane.plane.sequence.value);
        tokens.resize(std::max(tokens.size(), sequence + 1));
        tokens[sequence] = std::max(tokens[sequence], plane.tokens);
    }
    const auto total = std::accumulate(tokens.begin(), tokens.end(), std::int64_t{0});
    if (total == 0)
        return std::nullopt;
    return seconds / (static_cast<double>(total) / *prefillTokensPerSecond);
}

void merge(EncodeReport& into, const EncodeReport& other) {
    for (const PlaneReport& plane : other.planes)
        into.put(plane);
    into.seconds += other.seconds;
    const auto place = [](const AttentionError& error) { return std::pair(error.sequence, error.layer); };
    for (const AttentionError& error : other.attention) {
        const auto old = std::ranges::find(into.attention, place(error), place);
        if (old != into.attention.end())
            *old = error;
        else
            into.attention.push_back(error);
    }
    std::ranges::sort(into.attention, std::less<>(), place);
    if (!into.prefillTokensPerSecond)
        into.prefillTokensPerSecond = other.prefillTokensPerSecond;
}

std::vector<TokenPoint> byToken(const EncodeReport& report, PlaneKind kind, std::int64_t stride) {
    struct Sums {
        double bits = 0;
        double values = 0;
        double error = 0;
        double energy = 0;
    };
    stride = std::max<std::int64_t>(1, stride);
    std::vector<Sums> sums;
    std::int64_t longest = 0;
    for (const PlaneReport& plane : report.planes) {
        if (plane.plane.kind != kind)
            continue;
        longest = std::max(longest, plane.tokens);
        sums.resize(std::max(sums.size(), static_cast<std::size_t>((plane.tokens + stride - 1) / stride)));
        for (const ChunkReport& chunk : plane.chunks) {
            const double perToken = quotient(sumOf(chunk.channelBits), static_cast<double>(chunk.tokens.size()));
            for (std::int64_t t = chunk.tokens.begin.value; t < chunk.tokens.end.value; ++t) {
                Sums& point = sums[static_cast<std::size_t>(t / stride)];
                point.bits += perToken;
                point.values += static_cast<double>(plane.channels());
            }
        }
        for (std::size_t t = 0; t < plane.tokenErrorEnergy.size(); ++t) {
            Sums& point = sums[t / static_cast<std::size_t>(stride)];
            point.error += plane.tokenErrorEnergy[t];
            point.energy += plane.tokenEnergy[t];
        }
    }
    std::vector<TokenPoint> points;
    for (std::size_t i = 0; i < sums.size(); ++i) {
        const auto begin = static_cast<std::int64_t>(i) * stride;
        points.push_back({tokenRange(begin, std::min(longest, begin + stride)), quotient(sums[i].bits, sums[i].values),
                          quotient(sums[i].error, sums[i].energy)});
    }
    return points;
}

} // namespace kvscope
