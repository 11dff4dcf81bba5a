// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/kv_cache.h"
#include "views/heatmap_settings.h"

#include <QWidget>

class QAction;
class QActionGroup;
class QComboBox;
class QMenu;
class QToolButton;

namespace kvscope::views {

/// The row of controls over a heatmap: what is shown as boxes, how it is coloured and the ways to move as two menus.
class HeatmapControls : public QWidget {
    Q_OBJECT

public:
    explicit HeatmapControls(QWidget* parent = nullptr);

    /// Offers only what the dump has: its kinds, and quantities known for the kind shown.
    void setCache(const KvCache& cache, PlaneKind shownKind);
    void setSettings(const HeatmapSettings& settings, PlaneKind shownKind);
    /// Whether what the codec's current plan makes of the dump is among the quantities.
    void setPlansOffered(bool offered);
    /// Menu of the ways to move; the pane fills it.
    [[nodiscard]] QMenu* viewMenu() const { return viewMenu_; }

signals:
    void edited(const kvscope::views::HeatmapSettings& settings);
    /// The user wants the range held, or automatic again.
    void rangeLockRequested(bool locked);

protected:
    bool event(QEvent* event) override;

private:
    void fillColourMenu();
    void edit(const HeatmapSettings& settings);
    void fillKinds();
    void fillQuantities();
    void show(const HeatmapSettings& settings);

    KvCache cache_;
    HeatmapSettings settings_;
    PlaneKind shownKind_ = PlaneKind::Key;
    bool plansOffered_ = true;
    QComboBox* map_;
    QComboBox* kind_;
    QComboBox* quantity_;
    QComboBox* reduction_;
    QToolButton* colours_;
    QToolButton* view_;
    QMenu* colourMenu_;
    QMenu* viewMenu_;
    QActionGroup* colourGroup_;
    QActionGroup* percentileGroup_;
    QList<QAction*> colourActions_;
    QList<QAction*> percentileActions_;
    QAction* log_ = nullptr;
    QAction* relative_ = nullptr;
    QAction* markOutliers_ = nullptr;
    QAction* locked_ = nullptr;
};

} // namespace kvscope::views
