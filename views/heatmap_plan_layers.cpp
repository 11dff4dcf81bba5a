// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap_plan_layers.h"

#include "views/chart_parts.h"
#include "views/theme.h"

#include <algorithm>

namespace kvscope::views {

namespace {

constexpr std::array kFirstPlaces{1.0 / 3, 2.0 / 3};

/// The error's settings where the picture is reduced as `settings` say: as large, with a sign.
HeatmapSettings errorSettings(HeatmapSettings settings) {
    settings.plan = PlanView::Error;
    if (settings.reduction == Reduction::Rms || settings.reduction == Reduction::Std)
        settings.reduction = Reduction::SignedRms;
    return settings;
}

/// Planes that a map shows, for the encoder to do first.
std::vector<PlaneId> planesOf(const MapSpec& spec) {
    if (spec.map == MapKind::LayerToken || spec.map == MapKind::LayerChannel)
        return {};
    return {PlaneId{spec.layer, spec.kind, spec.sequence}};
}

} // namespace

HeatmapPlanLayers::HeatmapPlanLayers(HeatmapPlot& plot, QObject* parent)
    : QObject(parent)
    , plot_(plot) {
    for (const PlanMaps::Side side : {PlanMaps::Side::Decoded, PlanMaps::Side::Error, PlanMaps::Side::Bits}) {
        auto& layer = layers_[static_cast<std::size_t>(side)];
        layer = std::make_unique<PlanLayer>(plot, side, nullptr);
        connect(layer.get(), &PlanLayer::changed, this, &HeatmapPlanLayers::changed);
        connect(layer.get(), &PlanLayer::failed, this, &HeatmapPlanLayers::failed);
    }
    const std::array names{tr("Border of original and decoded"), tr("Border of decoded and error")};
    for (std::size_t i = 0; i < handles_.size(); ++i) {
        handles_[i] = new WipeHandle(&plot, names[i]);
        handles_[i]->setPlace(kFirstPlaces[i]);
        connect(handles_[i], &WipeHandle::moved, this, [this] {
            arrange();
            plot_.replot(QCustomPlot::rpQueuedReplot);
        });
    }
    handles_[0]->setObjectName(QStringLiteral("wipeDecoded"));
    handles_[1]->setObjectName(QStringLiteral("wipeError"));
    for (QCPItemText*& label : labels_) {
        label = new QCPItemText(&plot);
        label->setLayer(QStringLiteral("overlay"));
        label->position->setType(QCPItemPosition::ptAxisRectRatio);
        label->setPositionAlignment(Qt::AlignHCenter | Qt::AlignTop);
        label->setPadding(QMargins(5, 1, 5, 1));
        label->setVisible(false);
    }
    connect(&plot, &QCustomPlot::afterLayout, this, &HeatmapPlanLayers::fitLabels);
    connect(&plot, &QCustomPlot::afterReplot, this, [this] {
        for (WipeHandle* handle : handles_)
            handle->follow();
    });
}

HeatmapPlanLayers::~HeatmapPlanLayers() = default;

void HeatmapPlanLayers::setDocument(Document* document) {
    if (document == document_)
        return;
    hide();
    document_ = document;
}

void HeatmapPlanLayers::hide() {
    view_ = PlanView::None;
    for (const auto& layer : layers_)
        layer->hide();
    if (document_ != nullptr) {
        if (auto* maps = document_->findChild<PlanMaps*>(QString(), Qt::FindDirectChildrenOnly))
            maps->release(this);
    }
    arrange();
}

std::vector<PlanLayer*> HeatmapPlanLayers::wanted() const {
    switch (view_) {
    case PlanView::Decoded:
        return {&layer(PlanMaps::Side::Decoded)};
    case PlanView::Error:
        return {&layer(PlanMaps::Side::Error)};
    case PlanView::Bits:
        return {&layer(PlanMaps::Side::Bits)};
    case PlanView::Wipe:
        return {&layer(PlanMaps::Side::Decoded), &layer(PlanMaps::Side::Error)};
    case PlanView::None:
        break;
    }
    return {};
}

void HeatmapPlanLayers::show(const HeatmapSettings& settings, const MapSpec& spec, const HeatmapColouring& own,
                             const std::shared_ptr<const HeatmapOverview>& overview) {
    if (document_ == nullptr || settings.plan == PlanView::None || !isCacheKind(spec.kind)) {
        if (view_ != PlanView::None)
            hide();
        return;
    }
    view_ = settings.plan;
    PlanMaps& maps = PlanMaps::of(*document_);
    maps.want(this, planesOf(spec));
    const auto layers = wanted();
    for (const auto& layer : layers_) {
        if (std::ranges::find(layers, layer.get()) == layers.end())
            layer->hide();
    }
    if (overview != nullptr && overview->spec == spec) {
        for (PlanLayer* layer : layers) {
            const bool bits = layer->side() == PlanMaps::Side::Bits;
            HeatmapSettings side =
                layer->side() == PlanMaps::Side::Error && view_ == PlanView::Wipe ? errorSettings(settings) : settings;
            side.relative = side.relative && !bits;
            layer->setScale(layer->side() == PlanMaps::Side::Decoded ? &own : nullptr);
            layer->show(maps, spec, side, bits ? std::vector<float>() : overview->layerRms);
        }
    }
    arrange();
}

void HeatmapPlanLayers::arrange() {
    const bool wipe = view_ == PlanView::Wipe;
    const double first = handles_[0]->place();
    const double second = handles_[1]->place();
    handles_[0]->setLimits(0, second);
    handles_[1]->setLimits(first, 1);
    layer(PlanMaps::Side::Decoded).heatmap().setSection(wipe ? first : 0, wipe ? second : 1);
    layer(PlanMaps::Side::Error).heatmap().setSection(wipe ? second : 0, 1);
    plot_.heatmap().setSection(0, view_ == PlanView::None ? 1 : wipe ? first : 0);
    const Theme theme = Theme::from(plot_.palette());
    const std::array names{nameOf(PlanView::None), nameOf(PlanView::Decoded), nameOf(PlanView::Error)};
    const std::array edges{0.0, first, second, 1.0};
    const QFont font = chartFont(plot_);
    for (std::size_t i = 0; i < labels_.size(); ++i) {
        labels_[i]->setFont(font);
        labels_[i]->setText(names[i]);
        labels_[i]->setColor(theme.text);
        labels_[i]->setBrush(theme.background);
        labels_[i]->setPen(QPen(theme.dim, 1));
        labels_[i]->position->setCoords((edges[i] + edges[i + 1]) / 2, 0.02);
    }
    fitLabels();
    for (WipeHandle* handle : handles_)
        handle->setShown(wipe);
}

void HeatmapPlanLayers::fitLabels() {
    const std::array edges{0.0, handles_[0]->place(), handles_[1]->place(), 1.0};
    for (std::size_t i = 0; i < labels_.size(); ++i) {
        const double room = (edges[i + 1] - edges[i]) * plot_.axisRect()->width();
        const int width = QFontMetrics(labels_[i]->font()).horizontalAdvance(labels_[i]->text());
        labels_[i]->setVisible(view_ == PlanView::Wipe && room > width + 14);
    }
}

PlanLayer* HeatmapPlanLayers::front() const {
    const auto layers = wanted();
    return layers.size() == 1 ? layers.front() : nullptr;
}

PlanLayer* HeatmapPlanLayers::measured() const {
    if (view_ == PlanView::Error || view_ == PlanView::Wipe)
        return &layer(PlanMaps::Side::Error);
    return view_ == PlanView::Bits ? &layer(PlanMaps::Side::Bits) : nullptr;
}

std::shared_ptr<Document> HeatmapPlanLayers::shownDocument(PlanMaps::Side side) const {
    const bool bits = view_ == PlanView::Bits;
    if (view_ == PlanView::None || document_ == nullptr || bits != (side == PlanMaps::Side::Bits))
        return nullptr;
    auto* maps = document_->findChild<PlanMaps*>(QString(), Qt::FindDirectChildrenOnly);
    return maps != nullptr ? maps->document(side) : nullptr;
}

bool HeatmapPlanLayers::isReady() const {
    const auto layers = wanted();
    return std::ranges::all_of(layers, [](const PlanLayer* layer) { return layer->isShown() && layer->isReady(); });
}

QString HeatmapPlanLayers::obstacle() const {
    if (view_ == PlanView::None || document_ == nullptr)
        return {};
    const CodecSession& session = CodecSession::of(*document_);
    if (const Error* error = session.error())
        return QString::fromStdString(error->message());
    const bool any = std::ranges::any_of(wanted(), [](const PlanLayer* layer) { return layer->heatmap().visible(); });
    if (any)
        return {};
    return session.isCancelled() ? tr("The encoding was stopped.") : tr("Encoding …");
}

QString HeatmapPlanLayers::status() const {
    if (view_ == PlanView::None || document_ == nullptr)
        return {};
    const auto* maps = document_->findChild<PlanMaps*>(QString(), Qt::FindDirectChildrenOnly);
    if (maps == nullptr || maps->session() == nullptr)
        return {};
    if (maps->session()->isCancelled())
        return maps->session()->isComplete() ? QString() : tr("encoding stopped");
    return maps->isCurrent() ? QString()
                             : tr("encoding %1%").arg(static_cast<int>(100 * maps->session()->progress(maps)));
}

void HeatmapPlanLayers::prepare(const std::function<void()>& draw) {
    // Drawing tells which tiles it needs.
    std::vector<QMetaObject::Connection> drawn;
    for (PlanLayer* layer : wanted())
        drawn.push_back(connect(&layer->heatmap(), &HeatmapPlottable::pictureDrawn, layer,
                                [layer](const std::vector<TileKey>& keys) { layer->setExportTiles(keys); }));
    draw();
    for (const auto& connection : drawn)
        disconnect(connection);
}

void HeatmapPlanLayers::endExport() {
    for (PlanLayer* layer : wanted())
        layer->setExportTiles({});
}

} // namespace kvscope::views
