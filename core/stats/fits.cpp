// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/fits.h"

#include <cmath>
#include <numbers>

namespace kvscope {

double GaussianFit::density(double x) const {
    const double z = (x - mu) / sigma;
    return std::exp(-0.5 * z * z) / (sigma * std::sqrt(2.0 * std::numbers::pi));
}

double LaplaceFit::density(double x) const {
    return std::exp(-std::fabs(x - median) / scale) / (2.0 * scale);
}

std::optional<GaussianFit> fitGaussian(const Moments& moments) {
    const double sigma = moments.stddev();
    if (!(sigma > 0) || moments.min == moments.max)
        return std::nullopt;
    // At the maximum the mean of z^2 is 1, so that only the normalisation and one half are left.
    return GaussianFit{moments.mean, sigma, -0.5 * std::log(2.0 * std::numbers::pi * sigma * sigma) - 0.5};
}

std::optional<LaplaceFit> fitLaplace(double median, double meanAbsDeviation, std::int64_t count) {
    if (count == 0 || !(meanAbsDeviation > 0))
        return std::nullopt;
    return LaplaceFit{median, meanAbsDeviation, -std::log(2.0 * meanAbsDeviation) - 1.0};
}

} // namespace kvscope
