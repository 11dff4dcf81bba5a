// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/moments.h"

#include <cstdint>
#include <optional>

namespace kvscope {

/// Normal distribution fitted by maximum likelihood: mu = mean, sigma = population standard deviation.
struct GaussianFit {
    double mu = 0;
    double sigma = 1;
    /// Mean of ln(density) over the values fitted, in nats.
    double logLikelihood = 0;

    bool operator==(const GaussianFit&) const = default;
    [[nodiscard]] double density(double x) const;
};

/// Laplace distribution fitted by maximum likelihood: median, and scale = mean |x - median|.
struct LaplaceFit {
    double median = 0;
    double scale = 1;
    /// Mean of ln(density) over the values fitted, in nats.
    double logLikelihood = 0;

    bool operator==(const LaplaceFit&) const = default;
    [[nodiscard]] double density(double x) const;
};

/// Nothing when there are no values or all are equal.
std::optional<GaussianFit> fitGaussian(const Moments& moments);
/// Nothing when there are no values or the scale is 0.
std::optional<LaplaceFit> fitLaplace(double median, double meanAbsDeviation, std::int64_t count);

} // namespace kvscope
