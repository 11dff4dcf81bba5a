// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/number_format.h"

#include <QLocale>

#include <cmath>

namespace kvscope::views {

QString formatCount(std::int64_t value) {
    return QLocale(QLocale::English, QLocale::UnitedStates).toString(static_cast<qlonglong>(value));
}

QString formatNumber(double value, int digits, bool keepZeros) {
    if (std::isnan(value))
        return QStringLiteral("\u2013");
    if (std::isinf(value))
        return value > 0 ? QStringLiteral("\u221e") : QStringLiteral("-\u221e");
    if (value == 0)
        return QStringLiteral("0");
    const QLocale locale(QLocale::English, QLocale::UnitedStates);
    const double magnitude = std::abs(value);
    if (magnitude >= 1e9 || magnitude < 1e-4)
        return QString::number(value, 'g', digits);
    // Rounding may add a digit in front (999.96 to 1,000), which the exponent after rounding knows.
    const QString rounded = QString::number(magnitude, 'e', digits - 1);
    const int exponent = rounded.mid(rounded.indexOf(u'e') + 1).toInt();
    const int decimals = std::max(0, digits - 1 - exponent);
    QString text = locale.toString(value, 'f', decimals);
    if (decimals > 0 && !keepZeros) {
        while (text.endsWith(u'0'))
            text.chop(1);
        if (text.endsWith(u'.'))
            text.chop(1);
    }
    return text;
}

QString formatExact(double value) {
    return std::isnan(value) ? QString() : QString::number(value, 'g', QLocale::FloatingPointShortest);
}

} // namespace kvscope::views
