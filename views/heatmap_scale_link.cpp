// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap_scale_link.h"

#include "views/heatmap_pane.h"

#include <algorithm>

namespace kvscope::views {

namespace {

/// Whether the colours of two panes measure the same thing.
bool sameMeasure(const HeatmapPane& a, const HeatmapPane& b) {
    return a.settings().valueLabel() == b.settings().valueLabel() &&
           a.settings().clipPercentile == b.settings().clipPercentile &&
           a.settings().colourMap() == b.settings().colourMap() && a.shownMap()->map == b.shownMap()->map &&
           a.shownMap()->kind == b.shownMap()->kind;
}

ValueRange covering(const ValueRange& a, const ValueRange& b) {
    return {std::min(a.lower, b.lower), std::max(a.upper, b.upper)};
}

} // namespace

HeatmapScaleLink::HeatmapScaleLink(QObject* parent)
    : QObject(parent) {}

void HeatmapScaleLink::add(HeatmapPane* pane) {
    panes_.push_back(pane);
    connect(pane, &HeatmapPane::scaleChanged, this, &HeatmapScaleLink::share);
    connect(pane, &QObject::destroyed, this, [this, pane] { std::erase(panes_, pane); });
}

void HeatmapScaleLink::setEnabled(bool enabled) {
    enabled_ = enabled;
    share();
}

void HeatmapScaleLink::share() {
    if (sharing_)
        return;
    sharing_ = true;
    std::vector<HeatmapPane*> shown;
    for (HeatmapPane* pane : panes_) {
        if (enabled_ && pane->ownRange() && pane->shownMap())
            shown.push_back(pane);
        else
            pane->shareScale({}, std::nullopt);
    }
    std::vector<std::vector<HeatmapPane*>> groups;
    for (HeatmapPane* pane : shown) {
        const auto group = std::find_if(groups.begin(), groups.end(),
                                        [pane](const auto& others) { return sameMeasure(*others.front(), *pane); });
        if (group == groups.end())
            groups.push_back({pane});
        else
            group->push_back(pane);
    }
    for (const auto& group : groups) {
        // A pane's own range follows from what it is relative to: that first.
        const std::vector<float> layerRms = group.size() > 1 ? group.front()->layerRms() : std::vector<float>();
        for (HeatmapPane* pane : group)
            pane->shareScale(layerRms, pane->sharedRange());
        ValueRange range = *group.front()->ownRange();
        for (const HeatmapPane* pane : group)
            range = covering(range, *pane->ownRange());
        for (HeatmapPane* pane : group)
            pane->shareScale(layerRms, group.size() > 1 ? std::optional(range) : std::nullopt);
    }
    sharing_ = false;
}

} // namespace kvscope::views
