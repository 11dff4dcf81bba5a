// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/plane_statistics.h"

#include <QStringList>

#include <vector>

namespace kvscope::views {

/// What people do not expect of the values of a dump, a sentence for each sort: NaN and infinities, planes of zeros,
/// outlier channels, denormals. Empty where there is none of them.
QStringList surprisesIn(const std::vector<const PlaneStatistics*>& planes);

} // namespace kvscope::views
