// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/document.h"
#include "views/exportable.h"
#include "views/heatmap_plot.h"
#include "views/heatmap_readout.h"
#include "views/heatmap_settings.h"
#include "views/selection.h"

#include <QPicture>
#include <QString>
#include <QTimer>
#include <QWidget>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

namespace kvscope::views {

class ColourBar;
class ElidedLabel;
class FindBar;
class GoToBar;
class HeatmapControls;
class HeatmapPlanLayers;
class PlanBrush;

/// One heatmap of a dump: controls, picture, colour bar, token texts, and what lies under the crosshair. Reads nothing
/// on the window's thread; the old picture stays until a new one is there. Works without a document (says so) and
/// with caches that lack what the settings ask for (says that).
class HeatmapPane : public QWidget, public ExportableView {
    Q_OBJECT

public:
    HeatmapPane(Document* document, SelectionModel* selection, const HeatmapSettings& settings,
                QWidget* parent = nullptr);
    ~HeatmapPane() override;

    /// Shows another dump, or none; it must outlive its being shown here.
    void setDocument(Document* document);
    [[nodiscard]] Document* document() const { return document_; }
    [[nodiscard]] const HeatmapSettings& settings() const { return settings_; }
    /// Takes settings over without telling anyone (layouts, undo).
    void setSettings(const HeatmapSettings& settings);
    /// What the user does through the controls: emits settingsEdited.
    void editSettings(const HeatmapSettings& settings);

    /// A line over the pane that says which dump it shows; empty for none.
    void setCaption(const QString& text, const QString& toolTip);
    [[nodiscard]] QString caption() const;

    [[nodiscard]] HeatmapPlot& plot() const { return *plot_; }
    [[nodiscard]] ColourBar& colourBar() const { return *colourBar_; }
    /// The error's scale beside the values', while both are on screen; hidden otherwise.
    [[nodiscard]] ColourBar& errorBar() const { return *errorBar_; }
    [[nodiscard]] HeatmapPlanLayers& planLayers() const { return *plan_; }
    [[nodiscard]] HeatmapReadout& readout() const { return *readout_; }
    /// Whether what the codec's current plan makes of the dump can be shown in its place.
    void setPlansOffered(bool offered);
    /// Takes the brush that paints bits, on a map of layers by tokens that shows what the plan spends.
    void openBrush();
    [[nodiscard]] PlanBrush& brush() const { return *brush_; }
    /// The map on screen; nothing while the first one is loading.
    [[nodiscard]] std::optional<MapSpec> shownMap() const;

    /// The range that an automatic scale would choose for this map alone; nothing while there is no map.
    [[nodiscard]] const std::optional<ValueRange>& ownRange() const { return ownRange_; }
    /// Rms of the layers of the map's own dump.
    [[nodiscard]] std::vector<float> layerRms() const;
    /// Measures against the layers' rms of another dump (empty: its own) and uses a range (null: its own) where the
    /// range is automatic.
    void shareScale(const std::vector<float>& layerRms, const std::optional<ValueRange>& range);
    [[nodiscard]] const std::optional<ValueRange>& sharedRange() const { return sharedRange_; }

    /// Selects a value and brings its cell into view. A pane held on another kind ignores it.
    void showCell(PlaneId plane, TokenIndex token, ChannelIndex channel);

    void openFind();
    /// Marks where a text stands without going there, as another pane's search asks; an empty text ends the search.
    void markTokens(const QString& text);
    /// Marks the place at this slot as the one that another pane's search has reached.
    void markCurrent(std::int64_t slot);
    void openGoTo();
    /// Steps to the next (1) or previous (-1) place where the searched text stands.
    void findStep(int step);

    /// Calls back once when the picture is complete: every visible cell there, none from a sample.
    void whenReady(std::function<void()> callback);

    [[nodiscard]] QString exportName() const override;
    void prepare(const QSizeF& size) override;
    void paintTo(QPainter& painter, const QRectF& target) override;
    [[nodiscard]] QString toCsv() const override;
    [[nodiscard]] bool isReady() const override;

    [[nodiscard]] QSize sizeHint() const override { return {720, 420}; }

signals:
    void settingsEdited(const kvscope::views::HeatmapSettings& before, const kvscope::views::HeatmapSettings& after);
    /// The visible part changed by the user or by a link.
    void viewChanged();
    /// Another map is on screen.
    void mapShown();
    /// ownRange or layerRms is another one.
    void scaleChanged();
    /// The user looks for a text; an empty one ends the search.
    void searched(const QString& text);
    /// The user's search stands at the place that begins at this slot.
    void matchReached(std::int64_t slot);
    void ready();
    void failed(const kvscope::Error& error);

protected:
    void keyPressEvent(QKeyEvent* event) override;
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    using OverviewResult = Result<std::shared_ptr<const HeatmapOverview>>;

    /// The plot alone as it is drawn into a picture of the pane of this size.
    QPicture pictureOf(const QSizeF& size);
    [[nodiscard]] QSize plotSize(const QSizeF& size) const;
    void connectPlot();
    void fillViewMenu();
    [[nodiscard]] PlaneKind shownKind() const;
    /// Why the settings cannot be shown for the dump; empty when they can.
    [[nodiscard]] QString obstacle(const MapSpec& spec) const;
    void reload();
    void requestOverview(bool sampled);
    void adopt(const OverviewResult& overview, bool sampled);
    void adoptMap();
    /// What is wanted cannot be read.
    void showFailure(const Error& error);
    void updateColouring();
    [[nodiscard]] QString valueLabel() const;
    /// The overview with the layers' rms that values are relative to.
    [[nodiscard]] HeatmapOverview measuredOverview() const;
    void showPlan();
    void showColourBars();
    /// What covers the picture and what the first colour bar measures.
    [[nodiscard]] HeatmapPlottable& frontMap() const;
    [[nodiscard]] HeatmapPlottable& measuredMap() const;
    void applyRange(HeatmapPlottable& map, const ValueRange& range);
    void setErrorRange(const std::optional<ValueRange>& range);
    void showReading(const CellReading& reading);
    void requestTiles(const std::vector<TileKey>& visible);
    void followSelection();
    void followHover();
    void followCrosshair();
    void askForCell();
    void updateFrame();
    /// Rings the selected value where the map shows it.
    void updateMark();
    void revealPending();
    void selectEverything();
    void updateStatus();
    void updateClipped(const MapSpec& map);
    void onMapChanged();
    void checkReady();
    void search(const QString& text);
    void endSearch();
    void lookFor(const QString& text, bool go);
    void adoptMatches(std::vector<TokenMatch> matches, bool go);
    void goToMatch(int index);
    void goToPlace(LayerIndex layer, ChannelIndex channel, TokenIndex token);
    void lockRange(bool locked);
    void setRange(const ValueRange& range);

    Document* document_ = nullptr;
    SelectionModel* selection_;
    HeatmapSettings settings_;
    std::unique_ptr<TileCache> tiles_;
    std::unique_ptr<CellReader> reader_;

    ElidedLabel* caption_;
    HeatmapControls* controls_;
    HeatmapPlot* plot_;
    HeatmapPlanLayers* plan_;
    PlanBrush* brush_;
    ColourBar* colourBar_;
    ColourBar* errorBar_;
    FindBar* find_;
    GoToBar* goTo_;
    HeatmapReadout* readout_;

    /// The map asked for; on screen is the one of the plottable's overview.
    MapSpec wanted_;
    std::optional<ValueRange> ownRange_;
    std::optional<ValueRange> sharedRange_;
    /// What values are relative to instead of the dump's own layers.
    std::vector<float> referenceRms_;
    int generation_ = 0;
    bool loading_ = false;
    /// What a picture being prepared needs beside what is visible.
    std::vector<TileKey> exportTiles_;
    bool sampled_ = false;
    std::stop_source stop_;
    TokenAxis tokens_;
    bool plansOffered_ = true;
    QString searchText_;
    int currentMatch_ = -1;
    /// Slot where the place begins that a search stands at.
    std::optional<std::int64_t> reachedSlot_;
    int searches_ = 0;
    /// To be brought into view once its map is on screen.
    std::optional<Hover> pendingReveal_;
    QTimer refreshTimer_;
    QTimer statusTimer_;
    std::vector<std::function<void()>> readyCallbacks_;
    bool wasReady_ = false;
};

} // namespace kvscope::views
