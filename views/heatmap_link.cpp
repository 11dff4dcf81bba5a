// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap_link.h"

#include "views/heatmap_pane.h"

#include <algorithm>

namespace kvscope::views {

HeatmapLink::HeatmapLink(QObject* parent)
    : QObject(parent) {}

void HeatmapLink::add(HeatmapPane* pane) {
    panes_.push_back(pane);
    connect(pane, &HeatmapPane::viewChanged, this, [this, pane] { spread(*pane); });
    // A pane that changes to another map keeps to the place of the others.
    connect(pane, &HeatmapPane::mapShown, this, [this, pane] {
        const auto other = std::find_if(panes_.begin(), panes_.end(), [pane](const HeatmapPane* p) {
            return p != pane && p->shownMap().has_value();
        });
        if (other != panes_.end())
            spread(**other);
    });
    const auto tell = [this, pane](const auto& what) {
        if (!enabled_)
            return;
        for (HeatmapPane* other : panes_) {
            if (other != pane)
                what(*other);
        }
    };
    connect(pane, &HeatmapPane::searched, this,
            [tell](const QString& text) { tell([&](HeatmapPane& other) { other.markTokens(text); }); });
    connect(pane, &HeatmapPane::matchReached, this,
            [tell](std::int64_t slot) { tell([slot](HeatmapPane& other) { other.markCurrent(slot); }); });
    connect(pane, &QObject::destroyed, this, [this, pane] { std::erase(panes_, pane); });
}

void HeatmapLink::setEnabled(bool enabled) {
    enabled_ = enabled;
    if (enabled_ && !panes_.empty())
        spread(*panes_.front());
}

void HeatmapLink::spread(const HeatmapPane& from) {
    const auto map = from.shownMap();
    if (!enabled_ || spreading_ || !map)
        return;
    spreading_ = true;
    const PlotView view = from.plot().view();
    const MapShape shape = from.plot().heatmap().shape();
    for (HeatmapPane* pane : panes_) {
        const auto other = pane->shownMap();
        if (pane == &from || !other)
            continue;
        const MapShape otherShape = pane->plot().heatmap().shape();
        PlotView moved = pane->plot().view();
        const bool sameColumns = (map->map == MapKind::LayerChannel) == (other->map == MapKind::LayerChannel);
        if (sameColumns && shape.columns == otherShape.columns)
            moved.columns = view.columns;
        if (map->map == other->map && shape.rows == otherShape.rows)
            moved.rows = view.rows;
        pane->plot().setView(moved, true);
    }
    spreading_ = false;
}

} // namespace kvscope::views
