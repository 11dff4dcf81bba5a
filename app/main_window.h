// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "app/command_table.h"
#include "app/view_catalogue.h"
#include "app/workspace.h"

#include <QMainWindow>
#include <QMap>
#include <QPointer>

#include <array>
#include <functional>
#include <optional>
#include <vector>

class QActionGroup;
class QDockWidget;
class QLabel;
class QProgressBar;
class QStackedWidget;
class QToolButton;

namespace kvscope {
struct Fetched;
}

namespace kvscope::views {
class Document;
class ExportableView;
class Navigator;
struct ShownTransfer;
} // namespace kvscope::views

namespace kvscope::app {

class CompareBar;
class MapsArea;
class MapsRoom;
class MessageBar;
class WelcomePage;

/// The one window: the navigator, the heatmaps in the middle, and the statistics views as docks around them.
class MainWindow : public QMainWindow {
    Q_OBJECT

public:
    explicit MainWindow(QWidget* parent = nullptr);
    ~MainWindow() override;

    [[nodiscard]] Workspace& workspace() { return workspace_; }
    [[nodiscard]] const CommandTable& commands() const { return commands_; }
    [[nodiscard]] MapsArea* maps() const { return maps_; }
    [[nodiscard]] QString errorText() const;

    /// Opens paths given by the user: the first becomes the main dump, a second one is compared with it.
    void openPaths(const QStringList& paths);

    /// Brings a statistics view to the front; does nothing for maps, which are always there.
    void showView(const QString& name);
    /// Shows the views of one arrangement, as they were left when it was last shown.
    void setArrangement(Arrangement arrangement);
    [[nodiscard]] Arrangement arrangement() const { return arrangement_; }
    /// Puts the docks of the present arrangement where they are at first, with their shares of the window.
    void arrangeDefault();

    /// All views that can be exported, by the name `kvscope render --view` takes; those of docks that are hidden too.
    [[nodiscard]] QMap<QString, views::ExportableView*> exportableViews() const;

protected:
    void dragEnterEvent(QDragEnterEvent* event) override;
    void dropEvent(QDropEvent* event) override;
    void closeEvent(QCloseEvent* event) override;

private:
    void makeCommands();
    void makeFileCommands();
    void makeEditCommands();
    void makeViewCommands();
    void makeHelpCommands();
    void makeMenus();
    void makeStatusBar();
    void makeDocks();
    void showTabTitles();
    void makeRoomForDocks();
    void updateMapsRoom();

    void chooseFile(Workspace::Slot slot);
    void chooseFolder();
    /// Asks how to read a file, and opens it so as the main dump.
    void openWithLayout(const QString& path, const OpenOptions& options, const std::vector<LayoutCandidate>& layouts);
    void openNext();
    void showError(const Error& error, const QString& path);
    void rebuildViews();
    /// Makes the navigator and the statistics views anew for the document that they are to show.
    void rebuildDocks();
    /// Main, compared and difference while two dumps are open, else the main one alone.
    [[nodiscard]] std::vector<views::Document*> comparedDocuments() const;
    void offerSequences(views::Navigator& navigator);
    void updateCompareBar();
    void makeMapCommands();
    void makeStatisticsCommands();
    void makeCodecCommands();
    void makeStreamCommands();
    void showServe();
    void showFetch();
    /// Makes what was fetched the main dump, with the timeline of how it came.
    void openFetched(const std::shared_ptr<const Fetched>& fetched, const views::ShownTransfer& shown);
    /// Which of them make sense for what is open.
    void updateCodecCommands();
    void showSweep();
    void showKvzExport();
    void chooseLevel();
    /// Shows the tokens of a .kvz; with `onlyText` where it holds nothing else.
    void showTextLevel(const QString& path, bool onlyText = false);
    /// Shows a statistics view and a part of it.
    void showPart(const QString& view, const std::function<void(QWidget*)>& show);
    void updateTitle();
    void updateRecentMenu();
    void exportCurrent();
    void copyCurrent();
    void showPalette();
    void showShortcuts();
    void showAbout();
    void saveLayout();
    void restoreLayout(const QString& name);
    /// The streaming settings of the layout chosen last, as soon as there is a dump to stream: one undo step.
    void restoreLayoutStream();
    [[nodiscard]] int layoutVersion() const;
    void makeArrangementCommands(const QString& menu);
    /// A button of each arrangement at the right end of the menu bar.
    void makeArrangementBar();
    void saveArrangements();
    void restoreArrangements();
    void updateLayoutMenu();
    void showHover();

    Workspace workspace_;
    CommandTable commands_;
    MessageBar* messages_;
    CompareBar* compare_;
    QStackedWidget* pages_;
    WelcomePage* welcome_;
    MapsArea* maps_;
    MapsRoom* mapsRoom_;
    QDockWidget* navigatorDock_ = nullptr;
    /// The statistics docks by the name of their view.
    QMap<QString, QDockWidget*> docks_;
    QList<QString> dockOrder_;
    QMenu* recentMenu_ = nullptr;
    QMenu* layoutMenu_ = nullptr;
    /// Of the streaming timelines, from a layout that was chosen.
    struct LayoutStream {
        QString name;
        QByteArray settings;
        QString strategy;
    };
    std::optional<LayoutStream> layoutStream_;
    QLabel* hoverLabel_ = nullptr;
    QLabel* jobLabel_ = nullptr;
    QProgressBar* jobProgress_ = nullptr;
    QToolButton* jobCancel_ = nullptr;
    /// Which of comparedDocuments() the navigator and the statistics show.
    std::size_t shownDump_ = 0;
    /// Answers about an older pair of dumps are dropped.
    int comparisons_ = 0;
    /// Paths still to be opened, and where the next one goes.
    QStringList waiting_;
    Workspace::Slot nextSlot_ = Workspace::Slot::Main;
    Arrangement arrangement_ = Arrangement::Explore;
    QActionGroup* arrangementGroup_;
    /// Where the docks of each arrangement were when it was last left; empty: their default places.
    std::array<QByteArray, kAllArrangements.size()> arrangements_;
    /// The docks have got their widths, from the user's last layout or from the first dump.
    bool arranged_ = false;
};

} // namespace kvscope::app
