// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/chunk_codec.h"
#include "core/codec/exceptions.h"
#include "core/codec/plane_terms.h"
#include "core/codec/transform.h"

#include <algorithm>
#include <cmath>

namespace kvscope {

namespace {

/// Count, mean and sum of squares about the mean, value by value (Welford).
struct Spread {
    double count = 0;
    double mean = 0;
    double squares = 0;

    void add(double value) {
        count += 1;
        const double offset = value - mean;
        mean += offset / count;
        squares += offset * (value - mean);
    }
    [[nodiscard]] double sigma() const { return count > 0 ? std::sqrt(squares / count) : 0; }
};

double anchorDeltaSigma(std::size_t group, std::size_t channels, std::span<const float> rows) {
    Spread deltas;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const std::size_t token = i / channels;
        const std::size_t anchor = i - token % group * channels;
        const double delta = static_cast<double>(rows[i]) - static_cast<double>(rows[anchor]);
        if (anchor != i && std::isfinite(delta))
            deltas.add(delta);
    }
    return deltas.sigma();
}

/// The step that channel terms are sought at, so that they hold for all steps near it.
double termStep(const Pipeline& pipeline) {
    const double step = std::get<Step>(pipeline.quantiser).step;
    constexpr double kFine = 0.23;
    constexpr double kMiddle = 0.53;
    return step < kFine ? 0.15 : step < kMiddle ? 0.35 : 0.8;
}

} // namespace

PlaneCalibration calibrate(const Pipeline& pipeline, const ChunkShape& shape, std::span<const float> rows) {
    PlaneCalibration found;
    const auto channels = static_cast<std::size_t>(shape.plane.channels());
    if (channels == 0 || rows.empty())
        return found;
    std::vector<float> work(rows.begin(), rows.end());
    if (pipeline.transform != Transform::None && checkTransform(pipeline.transform, shape)) {
        for (float& value : work)
            value = std::fabs(value) <= kLargestWorked ? value : 0.0F;
        applyTransform(pipeline.transform, shape, work);
    }
    std::vector<Spread> spreads(channels);
    for (std::size_t i = 0; i < work.size(); ++i) {
        if (std::fabs(work[i]) <= kLargestWorked)
            spreads[i % channels].add(work[i]);
    }
    double squares = 0;
    double count = 0;
    for (const Spread& spread : spreads) {
        squares += spread.squares;
        count += spread.count;
    }
    found.centredRms = count > 0 ? static_cast<float>(std::sqrt(squares / count)) : 0.0F;
    found.anchorDeltaSigma =
        static_cast<float>(anchorDeltaSigma(static_cast<std::size_t>(calibrationGroup(pipeline)), channels, work));
    if (pipeline.clipSigmas) {
        for (const Spread& spread : spreads) {
            found.channelMean.push_back(static_cast<float>(spread.mean));
            found.channelSigma.push_back(static_cast<float>(spread.sigma()));
        }
    }
    if (usesChannelTerms(pipeline)) {
        for (float& value : work)
            value = std::fabs(value) <= kLargestWorked ? value : 0.0F;
        found.channelTerms =
            termsOfPlane(work, shape.plane.channels(), static_cast<float>(termStep(pipeline)) * found.centredRms,
                         shape.plane.tokens);
    }
    return found;
}

bool usesChannelTerms(const Pipeline& pipeline) {
    return pipeline.coder == EntropyCoder::Kvz && pipeline.predictor == Predictor::Best &&
           std::holds_alternative<Step>(pipeline.quantiser);
}

std::int64_t calibrationGroup(const Pipeline& pipeline) {
    constexpr std::int64_t kCacheGenGroup = 10;
    const auto* anchors = std::get_if<AnchorDelta>(&pipeline.quantiser);
    return anchors != nullptr ? anchors->group : kCacheGenGroup;
}

std::optional<PlaneCalibration> calibrationFor(const Pipeline& to, const Pipeline& from,
                                               const PlaneCalibration& calibration) {
    if (to.transform != from.transform || calibrationGroup(to) != calibrationGroup(from) ||
        (to.clipSigmas && !from.clipSigmas) ||
        (usesChannelTerms(to) && (!usesChannelTerms(from) || termStep(to) != termStep(from))))
        return std::nullopt;
    PlaneCalibration known = calibration;
    if (!to.clipSigmas) {
        known.channelMean.clear();
        known.channelSigma.clear();
    }
    if (!usesChannelTerms(to))
        known.channelTerms = {};
    return known;
}

} // namespace kvscope
