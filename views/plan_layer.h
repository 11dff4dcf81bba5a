// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/heatmap_plot.h"
#include "views/plan_maps.h"

#include <QObject>
#include <QPointer>
#include <QTimer>

#include <memory>
#include <stop_token>
#include <vector>

namespace kvscope::views {

/// One side of the current plan drawn over a heatmap's stored values: its tiles, overview and colours. What is on
/// screen stays until the next state of the plan can be drawn whole. Reads nothing on the window's thread.
class PlanLayer : public QObject {
    Q_OBJECT

public:
    PlanLayer(HeatmapPlot& plot, PlanMaps::Side side, QObject* parent);
    ~PlanLayer() override;

    [[nodiscard]] PlanMaps::Side side() const { return side_; }
    [[nodiscard]] HeatmapPlottable& heatmap() const { return *heatmap_; }

    /// Shows a map of these documents, measured against the rms of the dump's own layers.
    void show(PlanMaps& maps, const MapSpec& spec, const HeatmapSettings& settings, std::vector<float> layerRms);
    void hide();
    [[nodiscard]] bool isShown() const { return maps_ != nullptr; }
    /// Colours as the dump's own values (their scale is then `scale`), or by itself where that is null.
    void setScale(const HeatmapColouring* scale);
    /// The tiles on screen, for an export; null while there are none.
    [[nodiscard]] TileCache* tiles() const { return current_.tiles.get(); }
    /// What is on screen; null while nothing is.
    [[nodiscard]] std::shared_ptr<Document> document() const { return current_.document; }
    /// Whether the picture is complete and shows the plan as it is now.
    [[nodiscard]] bool isReady() const;
    /// Loads tiles beside what is visible, for a picture about to be made; an empty list ends that.
    void setExportTiles(std::vector<TileKey> keys);

signals:
    /// Another state of the plan or other colours are on screen.
    void changed();
    void failed(const kvscope::Error& error);

private:
    /// The documents' state that is shown, or will be.
    struct State {
        std::shared_ptr<Document> document;
        std::unique_ptr<TileCache> tiles;
        std::shared_ptr<const HeatmapOverview> overview;
    };

    void request();
    void adopt(std::shared_ptr<const HeatmapOverview> overview);
    void showNextIfWhole();
    void showNext();
    void refresh();
    void updateColouring();
    void connectTiles(TileCache& tiles);
    [[nodiscard]] std::vector<TileKey> visibleIn(TileCache& tiles) const;

    HeatmapPlot& plot_;
    PlanMaps::Side side_;
    HeatmapPlottable* heatmap_;
    QPointer<PlanMaps> maps_;
    MapSpec spec_;
    HeatmapSettings settings_;
    std::vector<float> layerRms_;
    /// The dump's own colours, where they are shared.
    std::optional<HeatmapColouring> shared_;
    State current_;
    State next_;
    std::vector<TileKey> exportTiles_;
    /// A newer state came while next_ was being read.
    bool stale_ = false;
    bool loading_ = false;
    int generation_ = 0;
    std::stop_source stop_;
    QTimer refreshTimer_;
};

} // namespace kvscope::views
