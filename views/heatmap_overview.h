// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/cache_map.h"
#include "views/heatmap_settings.h"
#include "views/heatmap_tile.h"

#include <memory>
#include <vector>

namespace kvscope::views {

/// Where the automatic range of an overview begins and ends, and the settings on which that depends.
struct HeatmapSpread {
    Reduction reduction = Reduction::Rms;
    bool relative = false;
    double clipPercentile = 0;
    double lower = 0;
    double limit = 0;
};

/// A whole map at a glance: what is drawn until finer tiles come, and what automatic ranges and outlier marks are
/// computed from. Read on a worker.
struct HeatmapOverview {
    MapSpec spec;
    MapShape shape;
    /// The whole map in at most 512 x 256 cells.
    std::shared_ptr<HeatmapTile> whole;
    /// Full-resolution cells from a few columns spread evenly over the map, all rows.
    std::vector<std::shared_ptr<HeatmapTile>> sample;
    /// Rms of each layer's plane (maps whose rows are layers), or one entry for the only layer.
    std::vector<float> layerRms;
    /// For each full-resolution row: the max-abs beyond which a cell stands out of its row.
    std::vector<float> markLimits;
    /// Computed beside the cells, for the settings at that time.
    HeatmapSpread spread;
    /// No part comes from a sample of the tokens.
    bool exact = true;
};

/// Reads an overview and computes its spread under the settings; with `sampled` false only the whole map and the
/// layers' rms (for a quick first picture). Values are relative to `layerRms` where that is not empty.
Result<std::shared_ptr<const HeatmapOverview>> readOverview(CacheMap& map, const MapSpec& spec, bool sampled,
                                                            const HeatmapSettings& settings, const JobControl& job = {},
                                                            const std::vector<float>& layerRms = {});

/// One factor for each full-resolution row that makes values relative to their layer's rms; empty when `relative` is
/// off.
std::vector<float> relativeFactors(const HeatmapOverview& overview, bool relative);

/// The automatic range: [0, p] for magnitudes, [-p, p] where values are signed, where p covers the percentile of the
/// overview's cells and of the sampled ones. Magnitudes that all lie near p start at the opposite percentile instead of
/// 0, so that they can be told apart. Settings other than those of the overview's spread take a look at all its cells.
ValueRange automaticRange(const HeatmapOverview& overview, const HeatmapSettings& settings);

} // namespace kvscope::views
