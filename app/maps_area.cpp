// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/maps_area.h"

#include "views/document.h"
#include "views/heatmap_link.h"
#include "views/heatmap_pane.h"
#include "views/heatmap_scale_link.h"
#include "views/outlier_navigator.h"
#include "views/statistics_jobs.h"

#include <QApplication>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QUndoCommand>

#include <algorithm>

namespace kvscope::app {

namespace {

using views::HeatmapPane;
using views::HeatmapSettings;

constexpr std::array kPlaceNames{"map-left", "map-right", "map-bottom"};

std::array<HeatmapSettings, 3> singleDefaults() {
    return {HeatmapSettings::defaults(MapKind::LayerToken, PlaneKind::Key),
            HeatmapSettings::defaults(MapKind::LayerToken, PlaneKind::Value),
            HeatmapSettings::defaults(MapKind::TokenChannel)};
}

std::array<HeatmapSettings, 3> comparingDefaults() {
    return {HeatmapSettings::defaults(MapKind::LayerToken), HeatmapSettings::defaults(MapKind::LayerToken),
            HeatmapSettings::defaults(MapKind::LayerToken)};
}

using AllSettings = std::array<HeatmapSettings, 3>;

class SettingsCommand final : public QUndoCommand {
public:
    SettingsCommand(std::function<void(const AllSettings&)> apply, const AllSettings& before, const AllSettings& after)
        : QUndoCommand(QObject::tr("map settings"))
        , apply_(std::move(apply))
        , before_(before)
        , after_(after) {}

    void undo() override { apply_(before_); }
    void redo() override { apply_(after_); }

private:
    std::function<void(const AllSettings&)> apply_;
    AllSettings before_;
    AllSettings after_;
};

} // namespace

MapsArea::MapsArea(views::SelectionModel& selection, QUndoStack& undo, QWidget* parent)
    : QSplitter(Qt::Vertical, parent)
    , selection_(selection)
    , undo_(undo)
    , top_(new QSplitter(Qt::Horizontal))
    , settings_{singleDefaults(), comparingDefaults()}
    , link_(std::make_unique<views::HeatmapLink>())
    , scales_(std::make_unique<views::HeatmapScaleLink>()) {
    setObjectName(QStringLiteral("maps"));
    addWidget(top_);
    for (const Place place : {Left, Right, Bottom})
        makePane(place);
    setStretchFactor(0, 1);
    setStretchFactor(1, 1);
    top_->setStretchFactor(0, 1);
    top_->setStretchFactor(1, 1);
    setChildrenCollapsible(false);
    top_->setChildrenCollapsible(false);
    connect(qApp, &QApplication::focusChanged, this, [this](QWidget*, QWidget* now) {
        for (const Place place : {Left, Right, Bottom}) {
            if (now != nullptr && panes_[place]->isAncestorOf(now))
                current_ = place;
        }
    });
}

MapsArea::~MapsArea() = default;

void MapsArea::makePane(Place place) {
    auto* pane = new HeatmapPane(nullptr, &selection_, settings()[place]);
    pane->setObjectName(QLatin1String(kPlaceNames[place]));
    panes_[place] = pane;
    if (place == Bottom)
        addWidget(pane);
    else
        top_->addWidget(pane);
    connect(pane, &HeatmapPane::failed, this, &MapsArea::failed);
    link_->add(pane);
    scales_->add(pane);
    connect(pane, &HeatmapPane::settingsEdited, this,
            [this, place](const HeatmapSettings& before, const HeatmapSettings& after) {
                pushSettings(place, before, after);
            });
}

void MapsArea::pushSettings(Place place, const HeatmapSettings& before, const HeatmapSettings& after) {
    AllSettings old = settings();
    old[place] = before;
    AllSettings next = old;
    next[place] = after;
    if (comparing_ && alike_) {
        next.fill(after);
        // The difference of two dumps has no plan: it goes on showing stored values.
        if (after.plan != views::PlanView::None)
            next[Bottom] = after.withPlan(views::PlanView::None);
    }
    undo_.push(new SettingsCommand(
        [this, comparing = comparing_](const AllSettings& all) {
            settings_[comparing ? 1 : 0] = all;
            if (comparing == comparing_)
                applySettings();
        },
        old, next));
}

void MapsArea::setDocuments(views::Document* main, views::Document* compared, views::Document* difference) {
    comparing_ = compared != nullptr;
    differenceInFront_ = differenceInFront_ && comparing_;
    main_ = main;
    outliers_ = main != nullptr ? std::make_unique<views::OutlierNavigator>(main) : nullptr;
    if (outliers_) {
        connect(outliers_.get(), &views::OutlierNavigator::reached, this, &MapsArea::showOutlier);
        connect(outliers_.get(), &views::OutlierNavigator::nothingFound, this,
                [this] { emit said(tr("There is no value other than zero to stand out")); });
        connect(outliers_.get(), &views::OutlierNavigator::failed, this, &MapsArea::failed);
    }
    const std::array<views::Document*, 3> documents =
        comparing_ ? std::array{main, compared, difference} : std::array{main, main, main};
    for (const Place place : {Left, Right, Bottom}) {
        panes_[place]->setDocument(documents[place]);
        panes_[place]->setSettings(settings()[place]);
        // A plan is made for a dump; the difference of two is none.
        panes_[place]->setPlansOffered(!comparing_ || place != Bottom);
    }
    setCaptions(documents);
    scales_->setEnabled(comparing_ && alike_);
    updateVisible();
}

void MapsArea::setCaptions(const std::array<views::Document*, 3>& documents) {
    const std::array names{tr("A: %1"), tr("B: %1"), tr("A \u2212 B, difference: %1")};
    for (const Place place : {Left, Right, Bottom}) {
        if (!comparing_ || documents[place] == nullptr) {
            panes_[place]->setCaption({}, {});
            continue;
        }
        const CacheInfo& info = documents[place]->cache().info();
        const QString name = QString::fromStdString(info.name) + (info.synthetic ? tr(" (synthetic)") : QString());
        panes_[place]->setCaption(names[place].arg(name), QString::fromStdString(info.path.string()));
    }
}

void MapsArea::updateVisible() {
    // A cache with latents alone (MLA) has no V to put beside them.
    const bool single = single_ && main_ != nullptr;
    const auto has = [this](PlaneKind kind) {
        return main_ != nullptr && main_->cache().geometry().maxTokens(kind) > 0;
    };
    const bool right = comparing_ || (has(PlaneKind::Key) && has(PlaneKind::Value));
    const bool difference = comparing_ && !lowerOffered_ && differenceInFront_;
    for (const Place place : {Left, Right, Bottom}) {
        const bool wanted = single            ? place == current_
                            : place == Bottom ? lowerOffered_ || difference
                            : difference      ? false
                            : place == Right  ? right
                                              : true;
        panes_[place]->setVisible(wanted && (place != Bottom || panes_[Bottom]->document() != nullptr));
    }
    top_->setVisible(panes_[Left]->isVisibleTo(top_) || panes_[Right]->isVisibleTo(top_));
}

HeatmapPane* MapsArea::currentPane() const {
    return panes_[static_cast<std::size_t>(current_)];
}

views::ExportableView* MapsArea::currentExportable() const {
    return currentPane()->document() != nullptr ? currentPane() : nullptr;
}

QMap<QString, views::ExportableView*> MapsArea::exportableViews() const {
    QMap<QString, views::ExportableView*> views;
    if (panes_[Left]->document() != nullptr && panes_[Left]->isVisibleTo(this)) {
        for (const views::PlanView view : views::kAllPlanViews)
            views.insert(nameOfMap(view), panes_[Left]);
    }
    for (const Place place : {Left, Right, Bottom}) {
        if (panes_[place]->document() != nullptr && panes_[place]->isVisibleTo(this))
            views.insert(QLatin1String(kPlaceNames[place]), panes_[place]);
    }
    return views;
}

QString MapsArea::nameOfMap(views::PlanView view) {
    switch (view) {
    case views::PlanView::None:
        break;
    case views::PlanView::Decoded:
        return QStringLiteral("map-decoded");
    case views::PlanView::Error:
        return QStringLiteral("map-error");
    case views::PlanView::Bits:
        return QStringLiteral("map-bits");
    case views::PlanView::Wipe:
        return QStringLiteral("map-wipe");
    }
    return QLatin1String(kPlaceNames[Left]);
}

void MapsArea::showNamed(const QString& name) {
    for (const views::PlanView view : {views::PlanView::None, views::PlanView::Decoded, views::PlanView::Error,
                                       views::PlanView::Bits, views::PlanView::Wipe}) {
        const bool asked = view == views::PlanView::None ? std::ranges::find(kPlaceNames, name) != kPlaceNames.end()
                                                         : name == nameOfMap(view);
        if (asked && panes_[Left]->settings().plan != view)
            panes_[Left]->editSettings(panes_[Left]->settings().withPlan(view));
    }
}

void MapsArea::findToken() {
    currentPane()->openFind();
}

void MapsArea::goTo() {
    currentPane()->openGoTo();
}

void MapsArea::stepOutlier(int direction) {
    if (!outliers_)
        return;
    const views::Selection& selected = selection_.current();
    outliers_->setScope(selected.kind, currentPane()->settings().quantity, selected.sequence);
    if (!outliers_->isComputing())
        outliers_->step(direction);
    if (outliers_->isComputing())
        emit said(tr("Looking for the largest values ..."));
}

void MapsArea::showOutlier(const Outlier& outlier, int index, int count) {
    for (HeatmapPane* pane : panes_) {
        if (pane->isVisible())
            pane->showCell(outlier.plane, outlier.token, outlier.channel);
    }
    const PlaneGeometry* plane = main_->cache().geometry().find(outlier.plane);
    const std::string_view kind = nameOf(outlier.plane.kind);
    const Quantity quantity = outliers_->quantity();
    const std::string_view what = nameOf(quantity);
    const QString kindName = QString::fromUtf8(kind.data(), static_cast<qsizetype>(kind.size()));
    const QString ofWhat = quantity == Quantity::Value
                               ? kindName
                               : tr("%1, %2").arg(kindName, QString::fromUtf8(what.data(), qsizetype(what.size())));
    emit said(tr("Outlier %1 of %2 (%3): layer %4 %5, head %6, channel %7, token %8: %9")
                  .arg(index + 1)
                  .arg(count)
                  .arg(ofWhat)
                  .arg(outlier.plane.layer.value)
                  .arg(kindName)
                  .arg(plane->headOf(outlier.channel).value)
                  .arg(outlier.channel.value)
                  .arg(outlier.token.value)
                  .arg(views::outlierText(static_cast<double>(outlier.value), outlier.sigma)));
}

void MapsArea::setLinked(bool on) {
    link_->setEnabled(on);
}

void MapsArea::setAlike(bool on) {
    alike_ = on;
    scales_->setEnabled(comparing_ && alike_);
    if (on && comparing_ && std::any_of(settings().begin(), settings().end(), [this](const HeatmapSettings& one) {
            return one != currentPane()->settings();
        }))
        pushSettings(current_, currentPane()->settings(), currentPane()->settings());
}

void MapsArea::showDifference() {
    if (panes_[Bottom]->document() == nullptr)
        return;
    setDifferenceInFront(true);
    panes_[Bottom]->setFocus();
}

void MapsArea::setDifferenceInFront(bool on) {
    differenceInFront_ = on;
    if (on)
        current_ = Bottom;
    else if (!lowerOffered_ && current_ == Bottom)
        current_ = Left;
    updateVisible();
}

void MapsArea::editCurrent(const std::function<void(HeatmapSettings&)>& change) {
    HeatmapSettings settings = currentPane()->settings();
    change(settings);
    currentPane()->editSettings(settings);
}

void MapsArea::paintBits() {
    currentPane()->openBrush();
}

void MapsArea::setLowerMapOffered(bool on) {
    if (lowerOffered_ == on)
        return;
    lowerOffered_ = on;
    updateVisible();
}

void MapsArea::setSinglePane(bool on) {
    single_ = on;
    updateVisible();
}

QByteArray MapsArea::saveSettings() const {
    QJsonArray all;
    for (const auto& mode : settings_) {
        QJsonArray places;
        for (const HeatmapSettings& settings : mode)
            places.append(settings.toJson());
        all.append(places);
    }
    return QJsonDocument(all).toJson(QJsonDocument::Compact);
}

void MapsArea::restoreSettings(const QByteArray& saved) {
    const QJsonArray all = QJsonDocument::fromJson(saved).array();
    for (std::size_t mode = 0; mode < settings_.size(); ++mode) {
        const QJsonArray places = all.at(static_cast<qsizetype>(mode)).toArray();
        for (const Place place : {Left, Right, Bottom}) {
            if (const auto read = HeatmapSettings::fromJson(places.at(place).toObject()); read && place < places.size())
                settings_[mode][place] = *read;
        }
    }
    applySettings();
}

void MapsArea::resetSettings() {
    settings_ = {singleDefaults(), comparingDefaults()};
    applySettings();
}

void MapsArea::applySettings() {
    for (const Place place : {Left, Right, Bottom})
        panes_[place]->setSettings(settings()[place]);
}

QList<QPair<QString, QString>> MapsArea::gestures() {
    return {{tr("Drag"), tr("moves the map")},
            {tr("Wheel"), tr("zooms about the pointer; over an axis, that axis alone")},
            {tr("Ctrl+drag, right drag"), tr("zooms into a box")},
            {tr("Shift+drag"), tr("selects tokens and channels for every view")},
            {tr("Click, Enter"), tr("selects the cell")},
            {tr("Arrows"), tr("move the crosshair")},
            {tr("+ and -"), tr("zoom in and out")},
            {tr("Backspace, Alt+Left"), tr("goes back to the part shown before")},
            {tr("Home, double click"), tr("shows the whole map")},
            {tr("B, then drag"), tr("paints bits of the codec's plan on layers by tokens")},
            {tr("Tab to a border, Left, Right"), tr("moves the border between original, decoded and error")}};
}

} // namespace kvscope::app
