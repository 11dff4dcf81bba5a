// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/cache_map.h"

class QWidget;

namespace kvscope::app {

/// Where the overviews of dumps are kept between runs, and how much of the disk they may take: what the user chose, or
/// the default.
CacheMapOptions overviewOptions();

/// Asks how much of the disk overviews may take; what is above the answer goes at once.
void chooseOverviewLimit(QWidget* parent);

} // namespace kvscope::app
