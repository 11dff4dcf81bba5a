// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/outliers.h"
#include "views/heatmap_settings.h"
#include "views/selection.h"

#include <QByteArray>
#include <QMap>
#include <QPair>
#include <QSplitter>
#include <QUndoStack>

#include <array>
#include <functional>
#include <memory>

namespace kvscope::views {
class Document;
class ExportableView;
class HeatmapLink;
class HeatmapPane;
class HeatmapScaleLink;
class OutlierNavigator;
} // namespace kvscope::views

namespace kvscope::app {

/// The heatmaps in the middle of the window. One dump: K and V by layer and token side by side, below them token by
/// channel of the selected layer. Two dumps: one beside the other, below them their difference.
class MapsArea : public QSplitter {
    Q_OBJECT

public:
    MapsArea(views::SelectionModel& selection, QUndoStack& undo, QWidget* parent = nullptr);
    ~MapsArea() override;

    /// Shows other documents (null: none); the maps keep their settings.
    void setDocuments(views::Document* main, views::Document* compared, views::Document* difference);

    /// Left, right, bottom; those without a document are hidden.
    [[nodiscard]] const std::array<views::HeatmapPane*, 3>& panes() const { return panes_; }
    /// The pane that has or had the keyboard focus, else the first.
    [[nodiscard]] views::HeatmapPane* currentPane() const;
    [[nodiscard]] views::ExportableView* currentExportable() const;
    /// All panes by the name that `kvscope render` gives them.
    [[nodiscard]] QMap<QString, views::ExportableView*> exportableViews() const;

    /// The name of the left map when it shows something of the codec's plan: "map-decoded", "map-error", "map-bits",
    /// "map-wipe"; "map-left" otherwise.
    static QString nameOfMap(views::PlanView view);
    /// Makes the left map show what a name asks for: something of the plan, or what is stored where the name is that of
    /// a map's place; nothing for other names.
    void showNamed(const QString& name);

    void findToken();
    void goTo();
    /// Goes to the next (1) or previous (-1) of the largest values of the selected kind.
    void stepOutlier(int direction);
    /// Whether panes with the same axis move together.
    void setLinked(bool on);
    /// Whether compared dumps and their difference show the same thing on one scale.
    void setAlike(bool on);
    /// Goes to the map of the difference of two dumps.
    void showDifference();
    /// Where there is no room for all maps of two dumps: their difference instead of the two.
    void setDifferenceInFront(bool on);
    /// Changes what the current pane shows, as its controls do.
    void editCurrent(const std::function<void(views::HeatmapSettings&)>& change);
    /// Takes the brush that paints bits of the codec's plan in the current pane.
    void paintBits();
    /// Whether there is room for the lower map; without it two dumps and their difference take turns.
    void setLowerMapOffered(bool on);
    /// Gives all the room to the current pane.
    void setSinglePane(bool on);

    [[nodiscard]] QByteArray saveSettings() const;
    /// Takes back what saveSettings gave; what cannot be read is left as it is.
    void restoreSettings(const QByteArray& saved);
    void resetSettings();

    /// Gestures of the maps and what they do, for the help.
    static QList<QPair<QString, QString>> gestures();

signals:
    /// Something for the status line.
    void said(const QString& text);
    void failed(const kvscope::Error& error);

private:
    enum Place : std::uint8_t { Left, Right, Bottom };

    [[nodiscard]] std::array<views::HeatmapSettings, 3>& settings() { return settings_[comparing_ ? 1 : 0]; }
    void makePane(Place place);
    void updateVisible();
    void applySettings();
    void pushSettings(Place place, const views::HeatmapSettings& before, const views::HeatmapSettings& after);
    void setCaptions(const std::array<views::Document*, 3>& documents);
    void showOutlier(const Outlier& outlier, int index, int count);

    views::SelectionModel& selection_;
    QUndoStack& undo_;
    QSplitter* top_;
    std::array<views::HeatmapPane*, 3> panes_{};
    /// For one dump and for two.
    std::array<std::array<views::HeatmapSettings, 3>, 2> settings_;
    views::Document* main_ = nullptr;
    bool comparing_ = false;
    bool single_ = false;
    bool lowerOffered_ = true;
    bool differenceInFront_ = false;
    bool alike_ = true;
    Place current_ = Left;
    std::unique_ptr<views::HeatmapLink> link_;
    std::unique_ptr<views::HeatmapScaleLink> scales_;
    std::unique_ptr<views::OutlierNavigator> outliers_;
};

} // namespace kvscope::app
