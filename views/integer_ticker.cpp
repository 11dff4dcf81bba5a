// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/integer_ticker.h"

#include "views/number_format.h"

#include <algorithm>
#include <cmath>

namespace kvscope::views {

IntegerTicker::IntegerTicker(std::int64_t offset)
    : offset_(offset) {
    setTickCount(8);
}

double IntegerTicker::getTickStep(const QCPRange& range) {
    // Of the steps 1, 2, 2.5, 5 and their multiples by ten, the one that is no whole number becomes 2.
    return std::max(1.0, std::floor(QCPAxisTicker::getTickStep(range)));
}

int IntegerTicker::getSubTickCount(double tickStep) {
    for (const int parts : {5, 4, 2}) {
        if (std::fmod(tickStep, parts) == 0)
            return parts - 1;
    }
    return 0;
}

QString IntegerTicker::getTickLabel(double tick, const QLocale& /*locale*/, QChar /*formatChar*/, int /*precision*/) {
    return formatCount(static_cast<std::int64_t>(std::llround(tick)) + offset_);
}

} // namespace kvscope::views
