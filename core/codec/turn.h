// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/host_device.h"

#include <cmath>

namespace kvscope {

/// Cosine and sine of an angle, with the same bits on every machine: sums and products of doubles alone.
struct Turn {
    double cosine = 1;
    double sine = 0;
};

/// Of angles up to 10^9 radians; off by less than 10^-9.
KVSCOPE_HD inline Turn turnOf(double angle) {
    constexpr double kQuarters = 0.63661977236758134308;
    // A quarter turn in two parts; the first has 33 bits, so that its multiples are exact.
    constexpr double kHigh = 0x1.921fb544p+0;
    constexpr double kLow = 0x1.0b4611a626331p-34;
    const double quarters = std::rint(angle * kQuarters);
    const double high = angle - quarters * kHigh;
    const double rest = high - quarters * kLow;
    const double square = rest * rest;
    double sine = 0;
    double cosine = 0;
    // Taylor series from the smallest term: x - x^3/3! + ... and 1 - x^2/2! + ...
    for (int n = 20; n >= 2; n -= 2) {
        sine = (1.0 - sine) * square / ((n + 1.0) * n);
        cosine = (1.0 - cosine) * square / (n * (n - 1.0));
    }
    sine = rest * (1.0 - sine);
    cosine = 1.0 - cosine;
    const double phase = quarters - 4.0 * std::floor(quarters * 0.25);
    if (phase < 0.5)
        return {cosine, sine};
    if (phase < 1.5)
        return {-sine, cosine};
    if (phase < 2.5)
        return {-cosine, -sine};
    return {sine, -cosine};
}

} // namespace kvscope
