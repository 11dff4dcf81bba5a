// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>

#include <cstdint>

namespace kvscope::views {

/// A whole number with thousands separators: 1,048,576.
QString formatCount(std::int64_t value);

/// A number to `digits` significant digits as people read it: thousands separators, no needless zeros, powers of ten
/// for the very large and the very small; an en dash for NaN. `keepZeros` shows all significant digits, so that
/// columns of numbers line up.
QString formatNumber(double value, int digits = 4, bool keepZeros = false);

/// A number with all its digits, for files and the clipboard; empty for NaN.
QString formatExact(double value);

} // namespace kvscope::views
