// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/geometry.h"
#include "core/stats/cache_map.h"
#include "views/heatmap_settings.h"

#include <QString>

class QComboBox;

namespace kvscope::views {

/// Keeps a box's tooltip saying what it is for and what its present choice means (the tooltip of that entry).
void explainChoice(QComboBox* box, const QString& help);
/// The same at once, after a choice made with signals blocked.
void explainChoice(QComboBox* box);

/// What terms mean, for tooltips.
namespace explain {
QString delta();
QString anchor();
QString varianceRatio();
QString entropy();
QString kurtosis();
QString rms();
QString outlier();
QString outlierRatio();
QString rope();
QString plane();
QString fits();
/// "Symbol table", of an entropy coder.
QString symbolTable();
QString of(MapKind map);
QString of(Quantity quantity);
QString of(Reduction reduction);
QString of(PlaneKind kind);
QString of(PlanView view);
} // namespace explain

} // namespace kvscope::views
