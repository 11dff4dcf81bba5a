// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/duration_text.h"

#include <array>
#include <cmath>
#include <cstdio>

namespace kvscope {

std::string durationText(double seconds) {
    std::array<char, 48> text{};
    if (seconds < 0.9995) {
        std::snprintf(text.data(), text.size(), "%.3g ms", 1e3 * seconds);
        return text.data();
    }
    if (seconds >= 100)
        std::snprintf(text.data(), text.size(), "%.0f", seconds);
    else
        std::snprintf(text.data(), text.size(), "%.3g", seconds);
    const std::string number = text.data();
    return number + (number == "1" ? " second" : " seconds");
}

} // namespace kvscope
