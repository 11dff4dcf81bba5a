// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap_pane.h"

#include "views/colour_bar.h"
#include "views/elided_label.h"
#include "views/heatmap_bars.h"
#include "views/heatmap_controls.h"
#include "views/heatmap_plan_layers.h"
#include "views/number_format.h"
#include "views/plan_brush.h"
#include "views/run_async.h"

#include <QEvent>
#include <QHBoxLayout>
#include <QHelpEvent>
#include <QMenu>
#include <QToolTip>
#include <QVBoxLayout>

#include <algorithm>
#include <utility>

namespace kvscope::views {

namespace {

// While the pyramid grows the picture follows it at this pace.
constexpr int kRefreshMs = 250;
// Clipped cells are counted when the view has come to rest.
constexpr int kStatusMs = 80;
// Below this height the lines under the map would take more of it than the map.
constexpr int kCompactHeight = 300;

QString toText(std::string_view view) {
    return QString::fromUtf8(view.data(), static_cast<qsizetype>(view.size()));
}

QString rowTitle(MapKind map) {
    switch (map) {
    case MapKind::LayerToken:
    case MapKind::LayerChannel:
        return QStringLiteral("layer");
    case MapKind::HeadToken:
        return QStringLiteral("head");
    case MapKind::TokenChannel:
        return QStringLiteral("channel");
    }
    return {};
}

QString tokenTitle(const TokenAxis& tokens) {
    const auto offset = tokens.offset();
    if (!offset)
        return QStringLiteral("token (slot; text positions differ)");
    return *offset == 0 ? QStringLiteral("token")
                        : QStringLiteral("token (slot; text position = slot + %1)").arg(formatCount(*offset));
}

/// The same in few letters.
QString shortTokenTitle(const TokenAxis& tokens) {
    const auto offset = tokens.offset();
    if (offset && *offset == 0)
        return QStringLiteral("token");
    return offset ? QStringLiteral("slot (position \u2212 %1)").arg(formatCount(*offset)) : QStringLiteral("slot");
}

} // namespace

HeatmapPane::HeatmapPane(Document* document, SelectionModel* selection, const HeatmapSettings& settings,
                         QWidget* parent)
    : QWidget(parent)
    , selection_(selection)
    , settings_(settings)
    , caption_(new ElidedLabel(this))
    , controls_(new HeatmapControls(this))
    , plot_(new HeatmapPlot(this))
    , plan_(new HeatmapPlanLayers(*plot_, this))
    , brush_(new PlanBrush(plot_, this))
    , colourBar_(new ColourBar(this))
    , errorBar_(new ColourBar(this))
    , find_(new FindBar(this))
    , goTo_(new GoToBar(this))
    , readout_(new HeatmapReadout(this)) {
    auto* picture = new QHBoxLayout;
    picture->setSpacing(0);
    picture->addWidget(plot_, 1);
    picture->addWidget(colourBar_);
    picture->addWidget(errorBar_);
    colourBar_->setObjectName(QStringLiteral("colourBar"));
    errorBar_->setObjectName(QStringLiteral("errorBar"));
    errorBar_->hide();
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    QFont bold = caption_->font();
    bold.setBold(true);
    caption_->setFont(bold);
    caption_->setMargin(4);
    caption_->hide();
    layout->addWidget(caption_);
    layout->addWidget(controls_);
    layout->addLayout(picture, 1);
    layout->addWidget(brush_);
    layout->addWidget(find_);
    layout->addWidget(goTo_);
    layout->addWidget(readout_);
    setAccessibleName(tr("Heatmap pane"));
    setFocusProxy(plot_);

    refreshTimer_.setSingleShot(true);
    refreshTimer_.setInterval(kRefreshMs);
    connect(&refreshTimer_, &QTimer::timeout, this, [this] {
        if (tiles_ == nullptr)
            return;
        tiles_->refresh();
        requestOverview(false);
        plot_->replot(QCustomPlot::rpQueuedReplot);
    });
    statusTimer_.setSingleShot(true);
    statusTimer_.setInterval(kStatusMs);
    connect(&statusTimer_, &QTimer::timeout, this, [this] {
        updateStatus();
        // What the cell under the crosshair covers may have changed with the zoom.
        askForCell();
    });

    connect(controls_, &HeatmapControls::edited, this, &HeatmapPane::editSettings);
    connect(controls_, &HeatmapControls::rangeLockRequested, this, &HeatmapPane::lockRange);
    connect(colourBar_, &ColourBar::rangeChanging, this,
            [this](const ValueRange& range) { applyRange(measuredMap(), range); });
    connect(errorBar_, &ColourBar::rangeChanging, this, [this](const ValueRange& range) {
        if (const auto* layer = plan_->measured())
            applyRange(layer->heatmap(), range);
    });
    connect(errorBar_, &ColourBar::rangeEdited, this, &HeatmapPane::setErrorRange);
    connect(errorBar_, &ColourBar::automaticRequested, this, [this] { setErrorRange(std::nullopt); });
    connect(plan_, &HeatmapPlanLayers::changed, this, [this] {
        showColourBars();
        statusTimer_.start();
    });
    connect(plan_, &HeatmapPlanLayers::failed, this, &HeatmapPane::failed);
    connect(brush_, &PlanBrush::closed, plot_, qOverload<>(&QWidget::setFocus));
    connect(colourBar_, &ColourBar::rangeEdited, this, &HeatmapPane::setRange);
    connect(colourBar_, &ColourBar::automaticRequested, this, [this] { lockRange(false); });
    connect(find_, &FindBar::textEdited, this, &HeatmapPane::search);
    connect(find_, &FindBar::nextRequested, this, [this] { findStep(1); });
    connect(find_, &FindBar::previousRequested, this, [this] { findStep(-1); });
    connect(find_, &FindBar::closed, this, [this] {
        endSearch();
        plot_->setFocus();
    });
    connect(goTo_, &GoToBar::closed, plot_, qOverload<>(&QWidget::setFocus));
    connect(goTo_, &GoToBar::goRequested, this, [this](std::int64_t layer, std::int64_t channel, std::int64_t token) {
        goToPlace(LayerIndex(layer), ChannelIndex(channel), TokenIndex(token));
    });
    connectPlot();
    connect(selection_, &SelectionModel::changed, this, &HeatmapPane::followSelection);
    connect(selection_, &SelectionModel::hoverChanged, this, &HeatmapPane::followHover);
    fillViewMenu();
    setDocument(document);
}

HeatmapPane::~HeatmapPane() {
    stop_.request_stop();
}

void HeatmapPane::setCaption(const QString& text, const QString& toolTip) {
    caption_->setText(text);
    caption_->setToolTip(toolTip);
    caption_->setVisible(!text.isEmpty());
}

QString HeatmapPane::caption() const {
    return caption_->text();
}

void HeatmapPane::connectPlot() {
    plot_->installEventFilter(this);
    connect(&plot_->heatmap(), &HeatmapPlottable::tilesWanted, this, &HeatmapPane::requestTiles);
    connect(plot_, &HeatmapPlot::viewChanged, this, [this] {
        statusTimer_.start();
        emit viewChanged();
    });
    connect(plot_, &HeatmapPlot::crosshairMoved, this, &HeatmapPane::followCrosshair);
    connect(plot_, &HeatmapPlot::pointerLeft, selection_, &SelectionModel::clearHover);
    connect(plot_, &HeatmapPlot::cellsPicked, this, [this](const QRectF& cells) {
        if (const auto map = shownMap())
            selection_->select(pickedSelection(selection_->current(), *map, cells, document_->cache().geometry()));
    });
}

void HeatmapPane::fillViewMenu() {
    QMenu* menu = controls_->viewMenu();
    // The keys are handled by the plot and the pane; the menu names them.
    const auto add = [menu, this](const QString& name, const QString& keys, auto action) {
        connect(menu->addAction(name + u'\t' + keys), &QAction::triggered, this, action);
    };
    add(tr("Whole map"), tr("Home"), [this] { plot_->goHome(); });
    add(tr("Back"), tr("Backspace"), [this] { plot_->goBack(); });
    add(tr("Forward"), tr("Alt+Right"), [this] { plot_->goForward(); });
    add(tr("Zoom in"), QStringLiteral("+"), [this] { plot_->zoom(0.5); });
    add(tr("Zoom out"), QStringLiteral("-"), [this] { plot_->zoom(2); });
    menu->addSeparator();
    add(tr("Find token text"), tr("Ctrl+F"), [this] { openFind(); });
    add(tr("Go to layer, channel, token"), QStringLiteral("G"), [this] { openGoTo(); });
    menu->addSeparator();
    add(tr("Paint bits of the codec's plan"), QStringLiteral("B"), [this] { openBrush(); });
    menu->addSeparator();
    add(tr("Show all heads and tokens"), tr("Esc"), [this] { selectEverything(); });
}

void HeatmapPane::setDocument(Document* document) {
    if (document_ != nullptr)
        disconnect(document_, nullptr, this, nullptr);
    stop_.request_stop();
    ++generation_;
    plot_->heatmap().setCache(nullptr);
    plot_->heatmap().setOverview(nullptr);
    plot_->strip().setTokens({}, false);
    exportTiles_.clear();
    ownRange_.reset();
    sharedRange_.reset();
    referenceRms_.clear();
    loading_ = false;
    sampled_ = false;
    tokens_ = {};
    readout_->setReading({}, {});
    tiles_.reset();
    reader_.reset();
    brush_->setTarget(nullptr, std::nullopt);
    plan_->setDocument(document);
    document_ = document;
    if (document_ == nullptr) {
        plot_->setMap({}, false, false);
        plot_->setMessage(tr("No dump is open."));
        return;
    }
    connect(document_, &Document::mapChanged, this, &HeatmapPane::onMapChanged);
    connect(document_, &QObject::destroyed, this, [this] { setDocument(nullptr); });
    tiles_ = std::make_unique<TileCache>(document_);
    connect(tiles_.get(), &TileCache::tileLoaded, this, [this] {
        plot_->replot(QCustomPlot::rpQueuedReplot);
        statusTimer_.start();
    });
    connect(tiles_.get(), &TileCache::failed, this, &HeatmapPane::failed);
    plot_->heatmap().setCache(tiles_.get());
    reader_ = std::make_unique<CellReader>(document_);
    connect(reader_.get(), &CellReader::answered, this, &HeatmapPane::showReading);
    connect(reader_.get(), &CellReader::failed, this,
            [this](const Error& error) { readout_->setReading(QString::fromStdString(error.message()), {}); });
    controls_->setCache(document_->cache(), shownKind());
    reload();
}

PlaneKind HeatmapPane::shownKind() const {
    if (document_ == nullptr)
        return settings_.kind.value_or(selection_->current().kind);
    return specFor(settings_, selection_->current(), document_->cache().geometry()).kind;
}

std::optional<MapSpec> HeatmapPane::shownMap() const {
    const auto& overview = plot_->heatmap().overview();
    return overview ? std::optional(overview->spec) : std::nullopt;
}

void HeatmapPane::setSettings(const HeatmapSettings& settings) {
    if (settings == settings_)
        return;
    settings_ = settings;
    reload();
    updateColouring();
    showPlan();
}

void HeatmapPane::editSettings(const HeatmapSettings& settings) {
    const HeatmapSettings before = settings_;
    if (settings == before)
        return;
    setSettings(settings);
    emit settingsEdited(before, settings_);
}

QString HeatmapPane::obstacle(const MapSpec& spec) const {
    const KvCache& cache = document_->cache();
    const auto planes = cache.geometry().planes(spec.kind, spec.sequence);
    if (planes.empty())
        return tr("This dump has no planes to show.");
    if (!isAvailable(cache, spec.quantity, planes.front()))
        return tr("%1 is not known for %2.")
            .arg(toText(kvscope::nameOf(spec.quantity)), toText(kvscope::nameOf(spec.kind)));
    const MapShape shape = document_->map()->shape(spec);
    if (shape.columns <= 0 || shape.rows <= 0)
        return tr("Layer %1 has no %2 plane.").arg(spec.layer.value).arg(toText(kvscope::nameOf(spec.kind)));
    return {};
}

void HeatmapPane::reload() {
    if (document_ == nullptr)
        return;
    const MapSpec spec = specFor(settings_, selection_->current(), document_->cache().geometry());
    controls_->setSettings(settings_, spec.kind);
    const auto& overview = plot_->heatmap().overview();
    if (spec == wanted_ && (loading_ || (overview && overview->spec == spec)))
        return;
    wanted_ = spec;
    const QString problem = obstacle(spec);
    if (!problem.isEmpty()) {
        stop_.request_stop();
        ++generation_;
        loading_ = false;
        plot_->heatmap().setOverview(nullptr);
        plot_->setMap({}, false, false);
        plot_->setMessage(problem);
        readout_->setReading({}, {});
        plan_->hide();
        checkReady();
        return;
    }
    if (!overview)
        plot_->setMessage(tr("Loading …"));
    document_->map()->prepare(spec.quantity);
    requestOverview(false);
}

void HeatmapPane::requestOverview(bool sampled) {
    if (!sampled) {
        stop_.request_stop();
        stop_ = std::stop_source();
    }
    loading_ = true;
    wasReady_ = false;
    runAsync(
        document_->pool(), this,
        [map = document_->map(), spec = wanted_, sampled, settings = settings_, stop = stop_.get_token()] {
            return readOverview(*map, spec, sampled, settings, JobControl{stop, nullptr});
        },
        [this, sampled, generation = ++generation_](const OverviewResult& overview) {
            if (generation == generation_)
                adopt(overview, sampled);
        });
}

void HeatmapPane::adopt(const OverviewResult& overview, bool sampled) {
    loading_ = false;
    if (!overview) {
        if (overview.error().kind != Error::Kind::Cancelled)
            showFailure(overview.error());
        return;
    }
    const auto& before = plot_->heatmap().overview();
    const bool otherMap = before == nullptr || before->spec != (*overview)->spec;
    // A refreshed overview without samples would let the range jump back; it only replaces one of another map.
    if (otherMap || sampled || before->sample.empty()) {
        const bool sameAxes = before != nullptr && before->spec.map == (*overview)->spec.map;
        plot_->heatmap().setOverview(*overview);
        sampled_ = sampled;
        if (otherMap) {
            plot_->setMap((*overview)->shape, sameAxes, wanted_.map == MapKind::TokenChannel);
            adoptMap();
        }
        updateColouring();
    }
    if (!sampled)
        requestOverview(true);
    if (otherMap) {
        revealPending();
        emit mapShown();
    }
    plot_->replot(QCustomPlot::rpQueuedReplot);
    statusTimer_.start();
}

void HeatmapPane::showFailure(const Error& error) {
    // The picture of another map would be taken for the one that cannot be had.
    if (const auto& before = plot_->heatmap().overview(); before != nullptr && before->spec != wanted_) {
        plot_->heatmap().setOverview(nullptr);
        plot_->setMap({}, false, false);
        readout_->setReading({}, {});
        plan_->hide();
    }
    if (!plot_->heatmap().overview())
        plot_->setMessage(QString::fromStdString(error.message()));
    emit failed(error);
    checkReady();
}

void HeatmapPane::adoptMap() {
    const MapSpec& spec = plot_->heatmap().overview()->spec;
    const bool byLayer = spec.map == MapKind::LayerToken || spec.map == MapKind::LayerChannel;
    const bool hasTokens = spec.map != MapKind::LayerChannel;
    tokens_ =
        TokenAxis(document_->cache(), spec.kind, spec.sequence, byLayer ? std::nullopt : std::optional(spec.layer));
    plot_->strip().setTokens(tokens_, hasTokens);
    QString rows = rowTitle(spec.map);
    if (!byLayer)
        rows += tr(" (layer %1)").arg(spec.layer.value);
    const QString channels = QStringLiteral("channel");
    plot_->setAxisTitles(hasTokens ? tokenTitle(tokens_) : channels, hasTokens ? shortTokenTitle(tokens_) : channels,
                         rows);
    plot_->setAxisOffsets(0, firstChannel(spec, document_->cache().geometry()));
    plot_->setMessage({});
    lookFor(searchText_, false);
    updateFrame();
    updateMark();
    followHover();
    askForCell();
}

void HeatmapPane::updateColouring() {
    const auto& overview = plot_->heatmap().overview();
    if (overview == nullptr || overview->spec != wanted_)
        return;
    ownRange_ = automaticRange(measuredOverview(), settings_);
    // Others may have to follow, and answer with what all share.
    emit scaleChanged();
    const HeatmapOverview measured = measuredOverview();
    const auto& locked = settings_.lockedRanges[static_cast<std::size_t>(overview->spec.kind)];
    HeatmapColouring colouring;
    colouring.reduction = settings_.reduction;
    colouring.rowFactors = relativeFactors(measured, settings_.relative);
    if (settings_.markOutliers && settings_.reduction != Reduction::MaxAbs)
        colouring.markLimits = overview->markLimits;
    colouring.scale =
        ColourScale(settings_.colourMap(), settings_.scaling, locked ? *locked : sharedRange_.value_or(*ownRange_));
    plot_->heatmap().setColouring(std::move(colouring));
    plot_->replot(QCustomPlot::rpQueuedReplot);
    showPlan();
    showColourBars();
    statusTimer_.start();
}

void HeatmapPane::requestTiles(const std::vector<TileKey>& visible) {
    std::vector<TileKey> keys = visible;
    if (!visible.empty()) {
        // The neighbours along the tokens, for the next moment of a pan.
        const auto [first, last] = std::minmax_element(
            visible.begin(), visible.end(), [](const TileKey& a, const TileKey& b) { return a.column < b.column; });
        const std::int64_t before = first->column - 1;
        const std::int64_t after = last->column + 1;
        const std::int64_t end = (plot_->heatmap().shape().columns + last->step.columns * kTileCells - 1) /
                                 (last->step.columns * kTileCells);
        for (const TileKey& key : visible) {
            if (key.column - 1 == before && before >= 0)
                keys.push_back({key.map, key.step, before, key.row});
            if (key.column + 1 == after && after < end)
                keys.push_back({key.map, key.step, after, key.row});
        }
    }
    keys.insert(keys.end(), exportTiles_.begin(), exportTiles_.end());
    tiles_->want(std::move(keys));
}

void HeatmapPane::onMapChanged() {
    const auto& overview = plot_->heatmap().overview();
    updateStatus();
    if ((overview == nullptr || !overview->exact || !isReady()) && !refreshTimer_.isActive())
        refreshTimer_.start();
}

bool HeatmapPane::isReady() const {
    if (document_ == nullptr)
        return true;
    const auto& overview = plot_->heatmap().overview();
    if (overview == nullptr)
        return !loading_;
    if (loading_ || !sampled_ || overview->spec != wanted_ || !overview->exact || refreshTimer_.isActive())
        return false;
    if (!plan_->isReady())
        return false;
    const auto keys = plot_->heatmap().visibleTiles(plot_->heatmap().visibleCells(devicePixelRatioF()));
    const auto settled = [this](const TileKey& key) { return tiles_->isSettled(key); };
    return std::all_of(keys.begin(), keys.end(), settled) &&
           std::all_of(exportTiles_.begin(), exportTiles_.end(), settled);
}

void HeatmapPane::whenReady(std::function<void()> callback) {
    readyCallbacks_.push_back(std::move(callback));
    statusTimer_.start();
}

void HeatmapPane::checkReady() {
    if (!isReady()) {
        wasReady_ = false;
        return;
    }
    if (!std::exchange(wasReady_, true))
        emit ready();
    for (const auto& callback : std::exchange(readyCallbacks_, {}))
        callback();
}

bool HeatmapPane::eventFilter(QObject* watched, QEvent* event) {
    if (watched == plot_ && event->type() == QEvent::ToolTip) {
        const auto* help = static_cast<QHelpEvent*>(event);
        if (plot_->crosshair() && !readout_->place().isEmpty())
            QToolTip::showText(help->globalPos(), readout_->place() + u'\n' + readout_->values(), plot_);
        return true;
    }
    if (watched == plot_ && event->type() == QEvent::Resize) {
        statusTimer_.start();
        readout_->setCompact(height() < kCompactHeight);
    }
    return QWidget::eventFilter(watched, event);
}

} // namespace kvscope::views
