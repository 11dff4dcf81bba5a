// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plan_layer.h"

#include "views/run_async.h"

#include <algorithm>
#include <utility>

namespace kvscope::views {

namespace {
// While the pyramid grows the picture follows it at this pace.
constexpr int kRefreshMs = 250;
} // namespace

PlanLayer::PlanLayer(HeatmapPlot& plot, PlanMaps::Side side, QObject* parent)
    : QObject(parent)
    , plot_(plot)
    , side_(side)
    , heatmap_(new HeatmapPlottable(plot.xAxis, plot.yAxis)) {
    heatmap_->setVisible(false);
    refreshTimer_.setSingleShot(true);
    refreshTimer_.setInterval(kRefreshMs);
    connect(&refreshTimer_, &QTimer::timeout, this, &PlanLayer::refresh);
    connect(heatmap_, &HeatmapPlottable::tilesWanted, this, [this](std::vector<TileKey> keys) {
        if (current_.tiles == nullptr)
            return;
        keys.insert(keys.end(), exportTiles_.begin(), exportTiles_.end());
        current_.tiles->want(std::move(keys));
    });
}

PlanLayer::~PlanLayer() {
    stop_.request_stop();
}

void PlanLayer::show(PlanMaps& maps, const MapSpec& spec, const HeatmapSettings& settings,
                     std::vector<float> layerRms) {
    const bool sameMap = maps_ == &maps && spec == spec_;
    const bool sameRms = layerRms == layerRms_;
    settings_ = settings;
    layerRms_ = std::move(layerRms);
    if (sameMap && sameRms) {
        updateColouring();
        return;
    }
    if (maps_ != &maps) {
        hide();
        maps_ = &maps;
        connect(maps_, &PlanMaps::changed, this, &PlanLayer::request);
    }
    spec_ = spec;
    if (!sameMap) {
        heatmap_->setVisible(false);
        heatmap_->setOverview(nullptr);
        heatmap_->setCache(nullptr);
        current_ = {};
    }
    next_ = {};
    ++generation_;
    loading_ = false;
    request();
}

void PlanLayer::hide() {
    if (maps_ != nullptr)
        disconnect(maps_, nullptr, this, nullptr);
    maps_ = nullptr;
    stop_.request_stop();
    ++generation_;
    loading_ = false;
    stale_ = false;
    exportTiles_.clear();
    heatmap_->setVisible(false);
    heatmap_->setOverview(nullptr);
    heatmap_->setCache(nullptr);
    current_ = {};
    next_ = {};
}

void PlanLayer::connectTiles(TileCache& tiles) {
    connect(&tiles, &TileCache::tileLoaded, this, [this, &tiles] {
        if (next_.tiles.get() == &tiles)
            showNextIfWhole();
        else
            plot_.replot(QCustomPlot::rpQueuedReplot);
        emit changed();
    });
    connect(&tiles, &TileCache::failed, this, &PlanLayer::failed);
}

void PlanLayer::request() {
    if (maps_ == nullptr)
        return;
    auto document = maps_->document(side_);
    if (document == nullptr) {
        emit changed();
        return;
    }
    const State& latest = next_.document ? next_ : current_;
    if (latest.document == document && (loading_ || latest.overview)) {
        if (!loading_ && latest.overview->layerRms != layerRms_ && !layerRms_.empty())
            refresh();
        emit changed();
        return;
    }
    // One state after the other: a plan that changes faster than it can be drawn is drawn as fast as it can be.
    stale_ = next_.document != nullptr;
    if (stale_)
        return;
    next_.document = std::move(document);
    next_.tiles = std::make_unique<TileCache>(next_.document.get());
    connectTiles(*next_.tiles);
    connect(next_.document.get(), &Document::mapChanged, this, [this] {
        if (!refreshTimer_.isActive())
            refreshTimer_.start();
    });
    next_.document->map()->prepare(spec_.quantity);
    refresh();
}

void PlanLayer::refresh() {
    State& state = next_.document ? next_ : current_;
    if (state.document == nullptr || loading_)
        return;
    if (state.overview && !state.overview->exact)
        state.tiles->refresh();
    stop_.request_stop();
    stop_ = {};
    loading_ = true;
    runAsync(
        state.document->pool(), this,
        [map = state.document->map(), spec = spec_, settings = settings_, rms = layerRms_, stop = stop_.get_token()] {
            return readOverview(*map, spec, true, settings, JobControl{stop, nullptr}, rms);
        },
        [this, generation = ++generation_, document = state.document](auto overview) {
            if (generation != generation_)
                return;
            loading_ = false;
            if (overview)
                adopt(std::move(*overview));
            else if (overview.error().kind != Error::Kind::Cancelled)
                emit failed(overview.error());
        });
}

void PlanLayer::adopt(std::shared_ptr<const HeatmapOverview> overview) {
    State& state = next_.document ? next_ : current_;
    const bool exact = overview->exact;
    state.overview = std::move(overview);
    if (next_.document == nullptr) {
        heatmap_->setOverview(current_.overview);
        updateColouring();
    } else if (current_.overview == nullptr) {
        showNext();
    } else {
        next_.tiles->want(visibleIn(*next_.tiles));
        showNextIfWhole();
    }
    // A pyramid that was complete before anyone listened says nothing more.
    const State& now = next_.document ? next_ : current_;
    if (!exact && now.document->map()->isComplete(spec_.quantity) && !refreshTimer_.isActive())
        refreshTimer_.start();
    emit changed();
}

std::vector<TileKey> PlanLayer::visibleIn(TileCache& tiles) const {
    auto keys = heatmap_->visibleTiles(heatmap_->visibleCells(plot_.devicePixelRatioF()));
    for (TileKey& key : keys)
        key.map = tiles.mapId(spec_);
    return keys;
}

void PlanLayer::showNextIfWhole() {
    if (next_.tiles == nullptr || next_.overview == nullptr)
        return;
    const auto keys = visibleIn(*next_.tiles);
    const bool whole = std::ranges::all_of(
        keys, [this](const TileKey& key) { return next_.tiles->find(key) != nullptr || next_.tiles->isSettled(key); });
    if (whole)
        showNext();
}

void PlanLayer::showNext() {
    current_ = std::exchange(next_, {});
    heatmap_->setCache(current_.tiles.get());
    heatmap_->setOverview(current_.overview);
    heatmap_->setVisible(true);
    updateColouring();
    if (std::exchange(stale_, false))
        request();
}

void PlanLayer::setScale(const HeatmapColouring* scale) {
    shared_ = scale != nullptr ? std::optional(*scale) : std::nullopt;
    updateColouring();
}

void PlanLayer::updateColouring() {
    if (current_.overview == nullptr)
        return;
    HeatmapColouring colouring;
    if (shared_) {
        colouring = *shared_;
        colouring.markLimits.clear();
    } else {
        const auto& locked = settings_.lockedRange(spec_.kind);
        colouring.reduction = settings_.reduction;
        colouring.rowFactors = relativeFactors(*current_.overview, settings_.relative);
        colouring.scale = ColourScale(settings_.colourMap(), settings_.scaling,
                                      locked ? *locked : automaticRange(*current_.overview, settings_));
    }
    if (settings_.markOutliers && settings_.reduction != Reduction::MaxAbs && side_ != PlanMaps::Side::Bits)
        colouring.markLimits = current_.overview->markLimits;
    heatmap_->setColouring(std::move(colouring));
    plot_.replot(QCustomPlot::rpQueuedReplot);
    emit changed();
}

void PlanLayer::setExportTiles(std::vector<TileKey> keys) {
    exportTiles_ = std::move(keys);
    if (current_.tiles != nullptr)
        current_.tiles->setByteLimit(
            std::max(kTileBytes, 3 * exportTiles_.size() * kTileCells * kTileCells * 2 * sizeof(QRgb)));
}

bool PlanLayer::isReady() const {
    if (maps_ == nullptr)
        return true;
    if (!maps_->isCurrent() || loading_ || next_.document != nullptr || refreshTimer_.isActive())
        return false;
    if (current_.overview == nullptr)
        return maps_->document(side_) == nullptr;
    if (!current_.overview->exact || current_.document != maps_->document(side_))
        return false;
    const auto settled = [this](const TileKey& key) { return current_.tiles->isSettled(key); };
    return std::ranges::all_of(visibleIn(*current_.tiles), settled) && std::ranges::all_of(exportTiles_, settled);
}

} // namespace kvscope::views
