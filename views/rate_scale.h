// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <algorithm>
#include <cmath>

namespace kvscope::views {

/// The places of a slider of bandwidths: from the least to the most, evenly in the logarithm. Bits per second.
struct RateScale {
    double least = 1e8;
    double most = 4e11;
    int steps = 1200;

    [[nodiscard]] int positionOf(double rate) const {
        const double share = std::log(std::clamp(rate, least, most) / least) / std::log(most / least);
        return static_cast<int>(std::lround(share * steps));
    }
    [[nodiscard]] double rateAt(int position) const {
        return least * std::pow(most / least, static_cast<double>(position) / steps);
    }
};

} // namespace kvscope::views
