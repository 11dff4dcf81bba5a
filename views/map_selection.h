// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/geometry.h"
#include "core/stats/cache_map.h"
#include "views/heatmap_settings.h"
#include "views/selection.h"

#include <QRectF>

#include <cstdint>
#include <optional>

namespace kvscope::views {

/// A cell of a map in full resolution.
struct MapCell {
    std::int64_t column = 0;
    std::int64_t row = 0;

    bool operator==(const MapCell&) const = default;
};

/// The map that settings and selection together ask for. The kind is the settings' or the selection's, or the first the
/// cache has where that one is missing; layer and head are kept inside the cache.
MapSpec specFor(const HeatmapSettings& settings, const Selection& selection, const KvGeometry& geometry);

/// Channel of the plane that row 0 of a token x channel map shows.
std::int64_t firstChannel(const MapSpec& spec, const KvGeometry& geometry);

/// What of a map is selected, in full-resolution columns and rows; nothing when the selection lies elsewhere or says
/// nothing about this map's axes.
std::optional<QRectF> selectedCells(const Selection& selection, const MapSpec& spec, const MapShape& shape,
                                    const KvGeometry& geometry);

/// The selection after the user picked cells of a map: both of its axes are narrowed, the rest stays.
Selection pickedSelection(const Selection& current, const MapSpec& spec, const QRectF& cells,
                          const KvGeometry& geometry);

/// What the pointer is over when it is over a cell.
Hover hoverAt(const MapSpec& spec, const MapCell& cell, const KvGeometry& geometry);

/// The cell and the column of a map that another view's hover points at, as far as the map shows them. Kinds do not
/// matter: the same place of K and V lights up in both.
struct HoverPlace {
    std::optional<MapCell> cell;
    std::optional<std::int64_t> column;
};
HoverPlace placeOf(const Hover& hover, const MapSpec& spec, const KvGeometry& geometry);

} // namespace kvscope::views
