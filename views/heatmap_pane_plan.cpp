// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/colour_bar.h"
#include "views/heatmap_controls.h"
#include "views/heatmap_pane.h"
#include "views/heatmap_plan_layers.h"
#include "views/number_format.h"
#include "views/plan_brush.h"
#include "views/run_async.h"

#include <algorithm>
#include <utility>

namespace kvscope::views {

void HeatmapPane::showPlan() {
    HeatmapSettings shown = settings_;
    shown.plan = plansOffered_ ? shown.plan : PlanView::None;
    plan_->show(shown, wanted_, plot_->heatmap().colouring(), plot_->heatmap().overview());
    brush_->setTarget(plansOffered_ ? document_ : nullptr, wanted_);
    plot_->replot(QCustomPlot::rpQueuedReplot);
}

void HeatmapPane::openBrush() {
    if (document_ == nullptr || !plansOffered_)
        return;
    HeatmapSettings settings = settings_;
    settings.map = MapKind::LayerToken;
    if (settings.plan == PlanView::None)
        settings = settings.withPlan(PlanView::Bits);
    editSettings(settings);
    brush_->open();
}

HeatmapPlottable& HeatmapPane::frontMap() const {
    const PlanLayer* layer = plan_->front();
    return layer != nullptr ? layer->heatmap() : plot_->heatmap();
}

HeatmapPlottable& HeatmapPane::measuredMap() const {
    const PlanLayer* layer = plan_->front();
    return layer != nullptr && layer == plan_->measured() ? layer->heatmap() : plot_->heatmap();
}

void HeatmapPane::showColourBars() {
    const auto map = shownMap();
    if (!map)
        return;
    colourBar_->setContents(
        {measuredMap().colouring().scale, valueLabel(), settings_.lockedRange(map->kind).has_value()});
    const PlanLayer* error = plan_->front() == nullptr ? plan_->measured() : nullptr;
    errorBar_->setVisible(error != nullptr);
    if (error != nullptr) {
        HeatmapSettings shown = settings_;
        shown.plan = PlanView::Error;
        shown.reduction = error->heatmap().colouring().reduction;
        errorBar_->setContents(
            {error->heatmap().colouring().scale, shown.valueLabel(), shown.lockedRange(map->kind).has_value()});
    }
}

void HeatmapPane::applyRange(HeatmapPlottable& map, const ValueRange& range) {
    HeatmapColouring colouring = map.colouring();
    colouring.scale = ColourScale(colouring.scale.map(), colouring.scale.scaling(), range);
    map.setColouring(std::move(colouring));
    if (&map == &plot_->heatmap())
        showPlan();
    showColourBars();
    plot_->replot(QCustomPlot::rpQueuedReplot);
    statusTimer_.start();
}

void HeatmapPane::setErrorRange(const std::optional<ValueRange>& range) {
    HeatmapSettings settings = settings_;
    settings.lockedErrorRanges[static_cast<std::size_t>(shownKind())] = range;
    editSettings(settings);
}

HeatmapOverview HeatmapPane::measuredOverview() const {
    HeatmapOverview measured = *plot_->heatmap().overview();
    if (referenceRms_.empty())
        return measured;
    // What was computed beside the overview was relative to its own layers.
    measured.spread = {};
    std::copy_n(referenceRms_.begin(), std::min(referenceRms_.size(), measured.layerRms.size()),
                measured.layerRms.begin());
    return measured;
}

std::vector<float> HeatmapPane::layerRms() const {
    const auto& overview = plot_->heatmap().overview();
    return overview ? overview->layerRms : std::vector<float>();
}

void HeatmapPane::shareScale(const std::vector<float>& layerRms, const std::optional<ValueRange>& range) {
    if (layerRms == referenceRms_ && range == sharedRange_)
        return;
    referenceRms_ = layerRms;
    sharedRange_ = range;
    updateColouring();
}

QString HeatmapPane::valueLabel() const {
    const bool relative = settings_.relative && !referenceRms_.empty();
    return relative ? tr("%1 of A").arg(settings_.valueLabel()) : settings_.valueLabel();
}

void HeatmapPane::setRange(const ValueRange& range) {
    HeatmapSettings settings = settings_;
    settings.lockedRange(shownKind()) = range;
    editSettings(settings);
}

void HeatmapPane::lockRange(bool locked) {
    HeatmapSettings settings = settings_;
    auto& range = settings.lockedRange(shownKind());
    range = locked ? std::optional(measuredMap().colouring().scale.range()) : std::nullopt;
    editSettings(settings);
}

void HeatmapPane::setPlansOffered(bool offered) {
    plansOffered_ = offered;
    controls_->setPlansOffered(offered);
    showPlan();
}

void HeatmapPane::showReading(const CellReading& reading) {
    const QString place = describePlace(reading, tokens_);
    const QString values = describeValues(reading, document_->cache());
    readout_->setReading(place, values);
    const auto document = plan_->shownDocument(PlanMaps::Side::Decoded);
    const auto bits = plan_->shownDocument(PlanMaps::Side::Bits);
    const PlaneId plane{reading.layer, reading.query.spec.kind, reading.query.spec.sequence};
    if (!reading.token || !reading.channel || !reading.stored || (document == nullptr && bits == nullptr))
        return;
    const auto valueIn = [plane, token = *reading.token, channel = *reading.channel](const KvCache& cache) {
        float value = 0;
        const bool read = cache.geometry().find(plane) != nullptr &&
                          cache.readRows(plane, {token, token + 1}, {channel, channel + 1}, {&value, 1}).has_value();
        return read ? std::optional(value) : std::nullopt;
    };
    // The pool decodes the chunk; the reading above stands until then.
    runAsync(
        document_->pool(), this,
        [valueIn, decoded = document ? document->cache() : KvCache(), cost = bits ? bits->cache() : KvCache()] {
            return std::pair(decoded.isNull() ? std::nullopt : valueIn(decoded),
                             cost.isNull() ? std::nullopt : valueIn(cost));
        },
        [this, place, values, stored = *reading.stored](const auto& found) {
            if (readout_->place() != place)
                return;
            QString text = values;
            if (found.first)
                text += tr("  \u00b7  decoded %1, error %2")
                            .arg(formatNumber(static_cast<double>(*found.first), 6),
                                 formatNumber(static_cast<double>(*found.first - stored), 3));
            if (found.second)
                text += tr("  \u00b7  %1 bits/value").arg(formatNumber(static_cast<double>(*found.second), 3));
            readout_->setReading(place, text);
        });
}

} // namespace kvscope::views
