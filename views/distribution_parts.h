// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/plane_statistics.h"
#include "views/chart_data.h"

#include <QString>
#include <QtGlobal>

#include <array>

namespace kvscope::views {

/// A distribution of the view: of values or of deltas.
struct DistributionPart {
    const char* name;
    SeriesStatistics SeriesSet::*series;
    ChartSeries::Tone tone;
    /// In the legend of a chart that may be narrow.
    const char* shortName;
};

/// What a distribution is made of, of each choice of values.
inline constexpr std::array kDistributionParts{
    DistributionPart{QT_TRANSLATE_NOOP("kvscope::views::DistributionView", "values"), &SeriesSet::value,
                     ChartSeries::Tone::Kind, ""},
    DistributionPart{QT_TRANSLATE_NOOP("kvscope::views::DistributionView", "delta to previous token"),
                     &SeriesSet::deltaPrevious, ChartSeries::Tone::DeltaPrevious,
                     QT_TRANSLATE_NOOP("kvscope::views::DistributionView", "delta, previous")},
    DistributionPart{QT_TRANSLATE_NOOP("kvscope::views::DistributionView", "delta to anchor"), &SeriesSet::deltaAnchor,
                     ChartSeries::Tone::DeltaAnchor,
                     QT_TRANSLATE_NOOP("kvscope::views::DistributionView", "delta, anchor")},
};

/// The name of the distribution that fits a series better; empty where there are no fits.
QString betterFit(const SeriesStatistics& series);

} // namespace kvscope::views
