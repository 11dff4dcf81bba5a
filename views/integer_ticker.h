// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <qcustomplot.h>

#include <cstdint>

namespace kvscope::views {

/// Ticks at whole numbers, labelled with thousands separators: "12,288".
class IntegerTicker : public QCPAxisTicker {
public:
    /// `offset` is added to what the labels say (the first channel of a head).
    explicit IntegerTicker(std::int64_t offset = 0);

protected:
    double getTickStep(const QCPRange& range) override;
    int getSubTickCount(double tickStep) override;
    QString getTickLabel(double tick, const QLocale& locale, QChar formatChar, int precision) override;

private:
    std::int64_t offset_;
};

} // namespace kvscope::views
