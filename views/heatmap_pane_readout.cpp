// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap_pane.h"
#include "views/heatmap_plan_layers.h"
#include "views/number_format.h"

// What a pane says of its map: the cells under the crosshair and of the selection, and the lines below.
namespace kvscope::views {

void HeatmapPane::followSelection() {
    reload();
    updateFrame();
    updateMark();
}

void HeatmapPane::updateFrame() {
    const auto& overview = plot_->heatmap().overview();
    if (overview == nullptr || document_ == nullptr) {
        plot_->setSelectionFrame(std::nullopt);
        return;
    }
    plot_->setSelectionFrame(
        selectedCells(selection_->current(), overview->spec, overview->shape, document_->cache().geometry()));
}

void HeatmapPane::followHover() {
    const auto map = shownMap();
    if (!map || document_ == nullptr)
        return;
    const auto& hover = selection_->hover();
    const HoverPlace place = hover ? placeOf(*hover, *map, document_->cache().geometry()) : HoverPlace{};
    plot_->setGuide(place.cell ? std::nullopt : place.column);
    if (place.cell == plot_->crosshair())
        return;
    plot_->setCrosshair(place.cell);
    if (!plot_->crosshair()) {
        reader_->cancel();
        readout_->setReading({}, {});
    }
    askForCell();
}

void HeatmapPane::updateMark() {
    const auto map = shownMap();
    const auto place = selection_->current().place();
    std::optional<MapCell> cell;
    if (map && place && place->kind == map->kind && document_ != nullptr)
        cell = placeOf(*place, *map, document_->cache().geometry()).cell;
    plot_->setMark(cell);
}

void HeatmapPane::askForCell() {
    const auto map = shownMap();
    const auto& cell = plot_->crosshair();
    if (!map || !cell || reader_ == nullptr)
        return;
    CellQuery query{*map, cell->column, cell->row, plot_->heatmap().visibleCells(devicePixelRatioF()).step, {}};
    const auto& mark = plot_->overlay().mark();
    const auto place = selection_->current().place();
    if (mark && place && mark->topLeft() == QPointF(static_cast<double>(cell->column), static_cast<double>(cell->row)))
        query.channel = place->channel;
    reader_->ask(query);
}

void HeatmapPane::followCrosshair() {
    const auto map = shownMap();
    const auto& cell = plot_->crosshair();
    if (!map || !cell) {
        selection_->setHover(std::nullopt);
        return;
    }
    askForCell();
    selection_->setHover(hoverAt(*map, *cell, document_->cache().geometry()));
}

void HeatmapPane::updateStatus() {
    const auto map = shownMap();
    if (!map || document_ == nullptr) {
        readout_->setClipped({});
        readout_->setProgress({});
        return;
    }
    updateClipped(*map);
    CacheMap& cacheMap = *document_->map();
    if (const auto error = cacheMap.buildError(map->quantity))
        readout_->setProgress(QString::fromStdString(error->message()));
    else if (!cacheMap.isComplete(map->quantity))
        readout_->setProgress(tr("refining %1%").arg(static_cast<int>(100 * cacheMap.progress(map->quantity))));
    else
        readout_->setProgress(plan_->status());
    plot_->setMessage(plan_->obstacle());
    checkReady();
}

void HeatmapPane::updateClipped(const MapSpec& map) {
    const HeatmapPlottable& heatmap = frontMap();
    const VisibleCells visible = heatmap.visibleCells(devicePixelRatioF());
    const auto count = heatmap.countClipped(visible);
    const KvGeometry& geometry = document_->cache().geometry();
    const bool byLayer = map.map == MapKind::LayerToken || map.map == MapKind::LayerChannel;
    const PlaneGeometry* plane = byLayer && !geometry.planes(map.kind, map.sequence).empty()
                                     ? geometry.find(geometry.planes(map.kind, map.sequence).front())
                                     : geometry.find(PlaneId{map.layer, map.kind, map.sequence});
    const bool single = map.map == MapKind::TokenChannel && visible.step.columns == 1 && visible.step.rows == 1;
    const QString each = plane == nullptr || single ? QString() : cellExtent(map, visible.step, *plane);
    const ValueRange& range = heatmap.colouring().scale.range();
    if (single && settings_.reduction == Reduction::Std) {
        readout_->setClipped(tr("Each cell is one value: its std is 0. Zoom out, or choose another reduction."));
        return;
    }
    readout_->setClipped(
        single ? tr("%1 of %2 values clipped").arg(formatCount(count.clipped), formatCount(count.cells))
               : tr("%1 of %2 cells clipped, each %3").arg(formatCount(count.clipped), formatCount(count.cells), each),
        tr("Of those on screen. Clipped: %1 below %2 or above %3; these have a colour of their own.%4")
            .arg(valueLabel(), formatNumber(range.lower), formatNumber(range.upper),
                 single ? QString() : tr(" Zoom in to count smaller cells.")));
}

} // namespace kvscope::views
