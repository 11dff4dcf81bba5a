// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap_controls.h"

#include "core/stats/quantity.h"
#include "views/explanations.h"
#include "views/flow_layout.h"
#include "views/number_format.h"

#include <QActionGroup>
#include <QComboBox>
#include <QEvent>
#include <QMenu>
#include <QSignalBlocker>
#include <QToolButton>

#include <algorithm>

namespace kvscope::views {

namespace {

constexpr std::array kPercentiles{100.0, 99.9, 99.5, 99.0, 95.0};
// The kind box's entry that follows the selection.
constexpr int kFollowSelection = -1;
// The quantity box's entries from here on are views of the current plan.
constexpr int kFirstPlanView = 100;
// Frame and arrow of a box beside its text.
constexpr int kBoxFrame = 44;

QString text(std::string_view view) {
    return QString::fromUtf8(view.data(), static_cast<qsizetype>(view.size()));
}

void fitToText(QComboBox* box) {
    box->setFixedWidth(box->fontMetrics().horizontalAdvance(box->currentText()) + kBoxFrame);
    box->updateGeometry();
}

QComboBox* makeBox(QWidget* parent, const QString& name, const QString& help) {
    auto* box = new QComboBox(parent);
    box->setAccessibleName(name);
    box->setToolTip(help);
    box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    // As wide as what is chosen: the row stays short, and goes on below where a pane is narrow.
    QObject::connect(box, &QComboBox::currentTextChanged, box, [box] { fitToText(box); });
    explainChoice(box, help);
    return box;
}

void addItem(QComboBox* box, const QString& name, int data, const QString& help) {
    box->addItem(name, data);
    box->setItemData(box->count() - 1, help, Qt::ToolTipRole);
}

void choose(QComboBox* box, int data) {
    const QSignalBlocker blocker(box);
    // A pane that cannot show what is chosen for all (the error of a difference) shows the plainest.
    box->setCurrentIndex(std::max(0, box->findData(data)));
    fitToText(box);
    explainChoice(box);
}

} // namespace

HeatmapControls::HeatmapControls(QWidget* parent)
    : QWidget(parent)
    , map_(makeBox(this, tr("Map"), tr("Which two axes the map has.")))
    , kind_(makeBox(this, tr("Kind"), tr("Which planes are shown: keys (K), values (V) or what else the dump holds.")))
    , quantity_(makeBox(this, tr("Quantity"), tr("What is computed from the stored values before they are summed up.")))
    , reduction_(makeBox(this, tr("Reduction"), tr("How the values under one cell become one number.")))
    , colours_(new QToolButton(this))
    , view_(new QToolButton(this))
    , colourMenu_(new QMenu(this))
    , viewMenu_(new QMenu(this))
    , colourGroup_(new QActionGroup(this))
    , percentileGroup_(new QActionGroup(this)) {
    auto* layout = new FlowLayout(this, 3);
    layout->setContentsMargins(2, 2, 2, 2);
    for (QComboBox* box : {map_, kind_, quantity_, reduction_})
        layout->addWidget(box);
    for (QToolButton* button : {colours_, view_}) {
        button->setPopupMode(QToolButton::InstantPopup);
        button->setToolButtonStyle(Qt::ToolButtonTextOnly);
        button->setAutoRaise(true);
        button->setFocusPolicy(Qt::StrongFocus);
        layout->addWidget(button);
    }
    colours_->setText(tr("Colours"));
    colours_->setAccessibleName(tr("Colours"));
    colours_->setToolTip(tr("Colour map, scale, range and marks."));
    colours_->setMenu(colourMenu_);
    view_->setText(tr("View"));
    view_->setAccessibleName(tr("View"));
    view_->setToolTip(tr("Zoom, go to a place, find a token's text."));
    view_->setMenu(viewMenu_);

    for (const MapKind map : kAllMapKinds)
        addItem(map_, nameOf(map), static_cast<int>(map), explain::of(map));
    for (const Reduction reduction : kAllReductions)
        addItem(reduction_, nameOf(reduction), static_cast<int>(reduction), explain::of(reduction));
    fillColourMenu();

    connect(map_, &QComboBox::activated, this, [this] {
        HeatmapSettings settings = settings_;
        settings.map = static_cast<MapKind>(map_->currentData().toInt());
        settings.relative = HeatmapSettings::defaults(settings.map).relative;
        edit(settings);
    });
    connect(kind_, &QComboBox::activated, this, [this] {
        HeatmapSettings settings = settings_;
        const int kind = kind_->currentData().toInt();
        settings.kind = kind == kFollowSelection ? std::nullopt : std::optional(static_cast<PlaneKind>(kind));
        const KvGeometry& geometry = cache_.geometry();
        const auto planes = geometry.planes(settings.kind.value_or(shownKind_));
        if (!planes.empty() && !isAvailable(cache_, settings.quantity, planes.front()))
            settings.quantity = Quantity::Value;
        if (!isCacheKind(settings.kind.value_or(shownKind_)))
            settings = settings.withPlan(PlanView::None);
        edit(settings);
    });
    connect(quantity_, &QComboBox::activated, this, [this] {
        HeatmapSettings settings = settings_;
        const int chosen = quantity_->currentData().toInt();
        settings = settings.withPlan(chosen >= kFirstPlanView ? static_cast<PlanView>(chosen - kFirstPlanView)
                                                              : PlanView::None);
        if (chosen < kFirstPlanView)
            settings.quantity = static_cast<Quantity>(chosen);
        edit(settings);
    });
    connect(reduction_, &QComboBox::activated, this, [this] {
        HeatmapSettings settings = settings_;
        settings.reduction = static_cast<Reduction>(reduction_->currentData().toInt());
        edit(settings);
    });
}

void HeatmapControls::fillColourMenu() {
    colourMenu_->setToolTipsVisible(true);
    for (const ColourChoice choice : kAllColourChoices) {
        QAction* action = colourMenu_->addAction(nameOf(choice));
        action->setCheckable(true);
        action->setData(static_cast<int>(choice));
        colourGroup_->addAction(action);
        colourActions_ << action;
        connect(action, &QAction::triggered, this, [this, choice] {
            HeatmapSettings settings = settings_;
            settings.colours = choice;
            edit(settings);
        });
    }
    colourActions_.front()->setToolTip(tr("Viridis for magnitudes, blue-white-red for signed values."));
    colourMenu_->addSeparator();
    const auto addSwitch = [this](const QString& name, const QString& help, bool HeatmapSettings::*member) {
        QAction* action = colourMenu_->addAction(name);
        action->setCheckable(true);
        action->setToolTip(help);
        connect(action, &QAction::triggered, this, [this, member](bool on) {
            HeatmapSettings settings = settings_;
            settings.*member = on;
            edit(settings);
        });
        return action;
    };
    log_ = colourMenu_->addAction(tr("Symmetric log"));
    log_->setCheckable(true);
    log_->setToolTip(tr("Logarithmic in both directions, linear below a thousandth of the range."));
    connect(log_, &QAction::triggered, this, [this](bool on) {
        HeatmapSettings settings = settings_;
        settings.scaling = on ? Scaling::SymmetricLog : Scaling::Linear;
        edit(settings);
    });
    relative_ = addSwitch(tr("Relative to the layer's rms"),
                          tr("Divides by the root mean square of the cell's layer, so that layers can be compared."),
                          &HeatmapSettings::relative);
    markOutliers_ =
        addSwitch(tr("Mark hidden outliers"),
                  tr("White dots where one value stands far above what its cell's colour shows, which would hide it."),
                  &HeatmapSettings::markOutliers);
    colourMenu_->addSeparator();
    QMenu* clip = colourMenu_->addMenu(tr("Automatic range covers"));
    for (const double percentile : kPercentiles) {
        QAction* action = clip->addAction(tr("%1% of the cells").arg(percentile));
        action->setCheckable(true);
        action->setData(percentile);
        percentileGroup_->addAction(action);
        percentileActions_ << action;
        connect(action, &QAction::triggered, this, [this, percentile] {
            HeatmapSettings settings = settings_;
            settings.clipPercentile = percentile;
            edit(settings);
        });
    }
    locked_ = colourMenu_->addAction(tr("Lock the range"));
    locked_->setCheckable(true);
    locked_->setToolTip(tr("Keeps the range while the map changes, so that colours can be compared."));
    connect(locked_, &QAction::triggered, this, &HeatmapControls::rangeLockRequested);
}

bool HeatmapControls::event(QEvent* event) {
    const bool handled = QWidget::event(event);
    // As many rows as the width asks for: a pane that counts on one would take the others from the map.
    if (event->type() == QEvent::Resize || event->type() == QEvent::LayoutRequest)
        setMinimumHeight(layout()->heightForWidth(width()));
    return handled;
}

void HeatmapControls::setCache(const KvCache& cache, PlaneKind shownKind) {
    cache_ = cache;
    shownKind_ = shownKind;
    fillKinds();
    fillQuantities();
    show(settings_);
}

void HeatmapControls::setSettings(const HeatmapSettings& settings, PlaneKind shownKind) {
    const bool otherKind = shownKind != shownKind_;
    settings_ = settings;
    shownKind_ = shownKind;
    if (otherKind)
        fillQuantities();
    show(settings);
}

void HeatmapControls::fillKinds() {
    const QSignalBlocker blocker(kind_);
    kind_->clear();
    if (cache_.isNull())
        return;
    for (const PlaneKind kind : cache_.geometry().kinds())
        addItem(kind_, text(kvscope::nameOf(kind)), static_cast<int>(kind), explain::of(kind));
    if (kind_->count() > 1)
        addItem(kind_, tr("selected"), kFollowSelection, tr("The kind that was last clicked in any view."));
}

void HeatmapControls::fillQuantities() {
    const QSignalBlocker blocker(quantity_);
    quantity_->clear();
    if (cache_.isNull())
        return;
    const auto planes = cache_.geometry().planes(shownKind_);
    for (const Quantity quantity : kAllQuantities) {
        if (!planes.empty() && isAvailable(cache_, quantity, planes.front()))
            addItem(quantity_, text(kvscope::nameOf(quantity)), static_cast<int>(quantity), explain::of(quantity));
    }
    if (!plansOffered_ || planes.empty() || !isCacheKind(shownKind_))
        return;
    quantity_->insertSeparator(quantity_->count());
    for (const PlanView view : kAllPlanViews)
        addItem(quantity_, nameOf(view), kFirstPlanView + static_cast<int>(view), explain::of(view));
}

void HeatmapControls::setPlansOffered(bool offered) {
    plansOffered_ = offered;
    fillQuantities();
    show(settings_);
}

void HeatmapControls::show(const HeatmapSettings& settings) {
    choose(map_, static_cast<int>(settings.map));
    choose(kind_, settings.kind ? static_cast<int>(*settings.kind) : kFollowSelection);
    choose(quantity_, settings.plan == PlanView::None ? static_cast<int>(settings.quantity)
                                                      : kFirstPlanView + static_cast<int>(settings.plan));
    choose(reduction_, static_cast<int>(settings.reduction));
    for (QAction* action : colourActions_)
        action->setChecked(action->data().toInt() == static_cast<int>(settings.colours));
    for (QAction* action : percentileActions_)
        action->setChecked(action->data().toDouble() == settings.clipPercentile);
    log_->setChecked(settings.scaling == Scaling::SymmetricLog);
    relative_->setChecked(settings.relative);
    markOutliers_->setChecked(settings.markOutliers);
    locked_->setChecked(settings.lockedRange(shownKind_).has_value());
}

void HeatmapControls::edit(const HeatmapSettings& settings) {
    show(settings_);
    if (settings != settings_)
        emit edited(settings);
}

} // namespace kvscope::views
