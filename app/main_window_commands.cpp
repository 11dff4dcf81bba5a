// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/command_palette.h"
#include "app/export.h"
#include "app/main_window.h"
#include "app/maps_area.h"
#include "app/message_bar.h"
#include "app/open_dialog.h"
#include "app/overview_cache.h"
#include "app/recent_files.h"
#include "app/screen_fit.h"
#include "app/theme.h"
#include "app/view_catalogue.h"
#include "app/welcome_page.h"
#include "views/explanations.h"
#include "views/heatmap_settings.h"
#include "views/timeline_canvas.h"

#include <QActionGroup>
#include <QApplication>
#include <QClipboard>
#include <QDialog>
#include <QDialogButtonBox>
#include <QDir>
#include <QDockWidget>
#include <QElapsedTimer>
#include <QFileDialog>
#include <QFileInfo>
#include <QHeaderView>
#include <QMenu>
#include <QMenuBar>
#include <QMessageBox>
#include <QPointer>
#include <QSettings>
#include <QStatusBar>
#include <QTableWidget>
#include <QTimer>
#include <QVBoxLayout>

namespace kvscope::app {

namespace {

constexpr int kExportPollMs = 20;
constexpr qint64 kLongestExportWaitMs = 60000;

QString withoutMnemonic(QString text) {
    return text.remove(QLatin1Char('&'));
}

} // namespace

void MainWindow::makeCommands() {
    makeFileCommands();
    makeEditCommands();
    makeViewCommands();
    makeMapCommands();
    makeStatisticsCommands();
    makeCodecCommands();
    makeStreamCommands();
    makeHelpCommands();
}

void MainWindow::makeFileCommands() {
    const QString menu = tr("&File");
    commands_.add({QStringLiteral("file.open"), menu, tr("&Open ..."), tr("Open a dump"), QKeySequence::Open},
                  [this] { chooseFile(Workspace::Slot::Main); });
    commands_.add({QStringLiteral("file.openFolder"), menu, tr("Open &folder ..."),
                   tr("Open a folder of files as one dump"), QKeySequence(tr("Ctrl+Shift+O"))},
                  [this] { chooseFolder(); });
    commands_.add({QStringLiteral("file.compare"), menu, tr("&Compare with ..."),
                   tr("Show another dump beside this one, and their difference"), QKeySequence(tr("Ctrl+D"))},
                  [this] { chooseFile(Workspace::Slot::Compared); });
    commands_.add({QStringLiteral("file.layout"), menu, tr("Read with another &layout ..."),
                   tr("Say how the shape is to be read, and which model it belongs to"), QKeySequence(tr("Ctrl+L"))},
                  [this] {
                      const auto* document = workspace_.document(Workspace::Slot::Main);
                      openWithLayout(QString::fromStdString(document->cache().info().path.string()),
                                     workspace_.options(Workspace::Slot::Main),
                                     workspace_.layouts(Workspace::Slot::Main));
                  });
    commands_.add({QStringLiteral("file.closeCompared"), menu, tr("Close the com&pared dump"),
                   tr("Go back to one dump"), QKeySequence(tr("Ctrl+Shift+W"))},
                  [this] { workspace_.close(Workspace::Slot::Compared); });
    commands_.add({QStringLiteral("file.close"), menu, tr("&Close"), tr("Close the dump"), QKeySequence(tr("Ctrl+W"))},
                  [this] { workspace_.close(Workspace::Slot::Main); });
    commands_.add({QStringLiteral("file.export"), menu, tr("&Export view ..."),
                   tr("Write the view that has the focus as PNG, SVG, PDF or CSV"), QKeySequence(tr("Ctrl+E"))},
                  [this] { exportCurrent(); });
    commands_.add({QStringLiteral("file.forgetRecent"), menu, tr("Forget recent files"),
                   tr("Empty the list of recent dumps"), QKeySequence(tr("Ctrl+Shift+Del"))},
                  [this] {
                      forgetRecentFiles();
                      updateRecentMenu();
                  });
    commands_.add({QStringLiteral("file.overviewLimit"), menu, tr("&Disk space for overviews ..."),
                   tr("Say how much of the disk the kept overviews of dumps may take"), QKeySequence(tr("Ctrl+Alt+D"))},
                  [this] { chooseOverviewLimit(this); });
    commands_.add({QStringLiteral("file.quit"), menu, tr("&Quit"), tr("Leave KVScope"), QKeySequence(tr("Ctrl+Q"))},
                  [this] { close(); });
}

void MainWindow::makeEditCommands() {
    const QString menu = tr("&Edit");
    commands_.adopt({QStringLiteral("edit.undo"), menu, {}, tr("Take back the last change"), QKeySequence::Undo},
                    workspace_.undoStack().createUndoAction(&commands_, tr("&Undo")));
    commands_.adopt(
        {QStringLiteral("edit.redo"), menu, {}, tr("Make the change again"), QKeySequence(tr("Ctrl+Shift+Z"))},
        workspace_.undoStack().createRedoAction(&commands_, tr("&Redo")));
    commands_.add({QStringLiteral("edit.copy"), menu, tr("&Copy picture"),
                   tr("Copy the view that has the focus as a picture"), QKeySequence(tr("Ctrl+Shift+C"))},
                  [this] { copyCurrent(); });
    commands_.add(
        {QStringLiteral("edit.find"), menu, tr("&Find token ..."), tr("Find tokens by their text"), QKeySequence::Find},
        [this] { maps_->findToken(); });
    commands_.add({QStringLiteral("edit.goTo"), menu, tr("&Go to ..."),
                   tr("Go to a layer, token and channel by number"), QKeySequence(tr("Ctrl+G"))},
                  [this] { maps_->goTo(); });
}

void MainWindow::makeViewCommands() {
    const QString menu = tr("&View");
    makeArrangementCommands(menu);
    commands_.add(
        {QStringLiteral("view.nextOutlier"), menu, tr("&Next outlier"),
         tr("Go to the next outlier of the selected kind (K or V), the largest first: |value| in multiples of "
            "the rms of its plane"),
         QKeySequence(tr("F3"))},
        [this] { maps_->stepOutlier(1); });
    commands_.add({QStringLiteral("view.previousOutlier"), menu, tr("&Previous outlier"),
                   tr("Go back to the outlier before"), QKeySequence(tr("Shift+F3"))},
                  [this] { maps_->stepOutlier(-1); });
    commands_.addToggle({QStringLiteral("view.link"), menu, tr("&Link panes"),
                         tr("Move and zoom all maps with a token axis together"), QKeySequence(tr("Ctrl+Shift+L"))},
                        true, [this](bool on) { maps_->setLinked(on); });
    commands_.addToggle({QStringLiteral("view.alike"), menu, tr("Compare &alike"),
                         tr("Both compared dumps and their difference show the same thing, with one range of colours"),
                         QKeySequence(tr("Ctrl+Shift+A"))},
                        true, [this](bool on) { maps_->setAlike(on); });
    commands_.add({QStringLiteral("view.difference"), menu, tr("&Difference of the two dumps"),
                   tr("Go to the map of the difference of the compared dumps"), QKeySequence(tr("Ctrl+Shift+D"))},
                  [this] { maps_->showDifference(); });
    commands_.addToggle({QStringLiteral("view.onePane"), menu, tr("&One map only"),
                         tr("Give the map that has the focus all the room"), QKeySequence(tr("Ctrl+1"))},
                        false, [this](bool on) { maps_->setSinglePane(on); });
    navigatorDock_->toggleViewAction();
    commands_.adopt(
        {QStringLiteral("view.navigator"), menu, {}, tr("Show or hide what is in the dump"), QKeySequence(tr("F2"))},
        navigatorDock_->toggleViewAction());
    for (const ViewEntry& entry : viewCatalogue()) {
        commands_.add({QStringLiteral("view.") + entry.name, menu, entry.title, entry.help, entry.shortcut},
                      [this, name = entry.name] { showView(name); });
    }
    auto* themes = new QActionGroup(this);
    const auto addTheme = [&](const QString& id, const QString& text, const QString& keys, ThemeChoice choice) {
        QAction* action =
            commands_.addToggle({id, menu, text, tr("Colours of the window and the plots"), QKeySequence(keys)},
                                savedTheme() == choice, [choice](bool on) {
                                    if (!on)
                                        return;
                                    saveTheme(choice);
                                    applyTheme(choice);
                                });
        themes->addAction(action);
    };
    addTheme(QStringLiteral("view.themeSystem"), tr("Theme of the &desktop"), tr("Ctrl+Alt+0"), ThemeChoice::System);
    addTheme(QStringLiteral("view.themeLight"), tr("L&ight theme"), tr("Ctrl+Alt+1"), ThemeChoice::Light);
    addTheme(QStringLiteral("view.themeDark"), tr("Dar&k theme"), tr("Ctrl+Alt+2"), ThemeChoice::Dark);
    commands_.add({QStringLiteral("view.saveLayout"), menu, tr("&Save layout ..."),
                   tr("Keep the arrangement of docks and maps under a name"), QKeySequence(tr("Ctrl+Alt+S"))},
                  [this] { saveLayout(); });
    commands_.add({QStringLiteral("view.defaultLayout"), menu, tr("&Restore default layout"),
                   tr("Put every dock and map back"), QKeySequence(tr("Ctrl+Alt+R"))},
                  [this] {
                      maps_->resetSettings();
                      arrangeDefault();
                  });
    commands_.addToggle({QStringLiteral("view.fullScreen"), menu, tr("F&ull screen"), tr("Use the whole screen"),
                         QKeySequence(tr("F11"))},
                        false, [this](bool on) { on ? showFullScreen() : showNormal(); });
}

void MainWindow::makeMapCommands() {
    using views::HeatmapSettings;
    const auto text = [](std::string_view name) {
        return QString::fromUtf8(name.data(), static_cast<qsizetype>(name.size()));
    };
    const auto add = [this](const QString& id, const QString& group, const QString& name, const QString& help,
                            const QString& keys, const std::function<void(HeatmapSettings&)>& change) {
        commands_.add({QStringLiteral("map.") + id, tr("&Map") + u'/' + group, name, help,
                       QKeySequence(tr("Ctrl+M") + QStringLiteral(", ") + keys)},
                      [this, change] { maps_->editCurrent(change); });
    };
    for (const MapKind map : kAllMapKinds)
        add(QStringLiteral("kind%1").arg(static_cast<int>(map)), tr("A&xes"), views::nameOf(map),
            views::explain::of(map), QStringLiteral("X, %1").arg(static_cast<int>(map) + 1),
            [map](HeatmapSettings& settings) {
                settings.map = map;
                settings.relative = HeatmapSettings::defaults(map).relative;
            });
    for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value})
        add(QStringLiteral("plane%1").arg(static_cast<int>(kind)), tr("&Kind"), text(kvscope::nameOf(kind)),
            views::explain::of(kind), kind == PlaneKind::Key ? QStringLiteral("K") : QStringLiteral("V"),
            [kind](HeatmapSettings& settings) { settings.kind = kind; });
    for (const Quantity quantity : kAllQuantities)
        add(QStringLiteral("quantity%1").arg(static_cast<int>(quantity)), tr("&Quantity"),
            text(kvscope::nameOf(quantity)), views::explain::of(quantity),
            QStringLiteral("Q, %1").arg(static_cast<int>(quantity) + 1), [quantity](HeatmapSettings& settings) {
                settings = settings.withPlan(views::PlanView::None);
                settings.quantity = quantity;
            });
    for (const views::PlanView view : views::kAllPlanViews)
        add(QStringLiteral("plan%1").arg(static_cast<int>(view)), tr("&Codec's plan"), views::nameOf(view),
            views::explain::of(view), QStringLiteral("P, %1").arg(static_cast<int>(view)),
            [view](HeatmapSettings& settings) { settings = settings.withPlan(view); });
    commands_.add({QStringLiteral("map.paint"), tr("&Map") + u'/' + tr("&Codec's plan"), tr("&Paint bits ..."),
                   tr("Drag over layers and chunks of tokens to say how many bits a value they get"),
                   QKeySequence(tr("Ctrl+M") + QStringLiteral(", P, B"))},
                  [this] { maps_->paintBits(); });
    for (const views::Reduction reduction : views::kAllReductions)
        add(QStringLiteral("reduction%1").arg(static_cast<int>(reduction)), tr("&Reduction"), views::nameOf(reduction),
            views::explain::of(reduction), QStringLiteral("R, %1").arg(static_cast<int>(reduction) + 1),
            [reduction](HeatmapSettings& settings) { settings.reduction = reduction; });
}

void MainWindow::makeStatisticsCommands() {
    int view = 0;
    for (const ViewEntry& entry : viewCatalogue()) {
        ++view;
        int part = 0;
        // 1 to 9, then A, B, C ...
        const QString key = view < 10 ? QString::number(view) : QString(QChar(u'A' + view - 10));
        for (const ViewPart& one : entry.parts)
            commands_.add({QStringLiteral("statistics.%1.%2").arg(entry.name, one.name),
                           tr("&Statistics") + u'/' + entry.title, one.title, one.help,
                           QKeySequence(QStringLiteral("%1, %2, %3").arg(tr("Ctrl+T")).arg(key).arg(++part))},
                          [this, name = entry.name, show = one.show] { showPart(name, show); });
    }
}

void MainWindow::makeHelpCommands() {
    const QString menu = tr("&Help");
    commands_.add({QStringLiteral("help.palette"), menu, tr("Command &palette ..."),
                   tr("Find and run any command by typing"), QKeySequence(tr("Ctrl+Shift+P"))},
                  [this] { showPalette(); });
    commands_.add({QStringLiteral("help.shortcuts"), menu, tr("&Keyboard and mouse"),
                   tr("What every key and gesture does"), QKeySequence(tr("F1"))},
                  [this] { showShortcuts(); });
    commands_.add({QStringLiteral("help.about"), menu, tr("&About KVScope"), tr("Version and licence"),
                   QKeySequence(tr("Shift+F1"))},
                  [this] { showAbout(); });
}

void MainWindow::makeMenus() {
    QMap<QString, QMenu*> parents;
    for (const QString& name : commands_.menus()) {
        // "Map/Quantity" is a menu of its own within "Map".
        const QString top = name.section(u'/', 0, 0);
        if (!parents.contains(top))
            parents.insert(top, menuBar()->addMenu(top));
        QMenu* menu = name.contains(u'/') ? parents.value(top)->addMenu(name.section(u'/', 1)) : parents.value(top);
        menu->setToolTipsVisible(true);
        for (QAction* action : commands_.actions()) {
            if (commands_.menuOf(action) != name)
                continue;
            menu->addAction(action);
            if (action->objectName() == QLatin1String("file.openFolder")) {
                recentMenu_ = menu->addMenu(tr("Open &recent"));
                menu->addSeparator();
            } else if (action->objectName() == QLatin1String("view.saveLayout")) {
                layoutMenu_ = menu->addMenu(tr("Saved la&youts"));
            } else if (action->objectName() == QLatin1String("file.close") ||
                       action->objectName() == QLatin1String("file.forgetRecent") ||
                       action->objectName() == QLatin1String("edit.redo") ||
                       action->objectName() == QStringLiteral("arrangement.") + nameOf(kAllArrangements.back()) ||
                       action->objectName() == QLatin1String("view.onePane") ||
                       (!dockOrder_.isEmpty() && action->objectName() == QStringLiteral("view.") + dockOrder_.back()) ||
                       action->objectName() == QLatin1String("view.themeDark")) {
                menu->addSeparator();
            }
        }
    }
    // A shortcut works wherever the focus is, also while its menu has never been open.
    addActions(commands_.actions());
    makeArrangementBar();
    updateRecentMenu();
    updateLayoutMenu();
}

void MainWindow::chooseFile(Workspace::Slot slot) {
    QStringList filters{
        tr("KV-cache dumps (*.npy *.npz *.safetensors *.pt *.pth *.bin *.raw *.data *.gguf-state *.state)")};
    for (const DumpFormat& format : dumpFormats()) {
        QStringList patterns;
        for (const std::string& pattern : format.patterns)
            patterns.append(QString::fromStdString(pattern));
        filters.append(
            QStringLiteral("%1 (%2)").arg(QString::fromStdString(format.name), patterns.join(QLatin1Char(' '))));
    }
    filters.append(tr("All files (*)"));
    const QString folder = QSettings().value(QStringLiteral("openFolder")).toString();
    const QString path =
        QFileDialog::getOpenFileName(this, slot == Workspace::Slot::Main ? tr("Open a dump") : tr("Compare with"),
                                     folder, filters.join(QStringLiteral(";;")));
    if (path.isEmpty())
        return;
    QSettings().setValue(QStringLiteral("openFolder"), QFileInfo(path).absolutePath());
    waiting_.clear();
    workspace_.open(path.toStdString(), {}, slot);
}

void MainWindow::chooseFolder() {
    const QString path = QFileDialog::getExistingDirectory(this, tr("Open a folder as one dump"),
                                                           QSettings().value(QStringLiteral("openFolder")).toString());
    if (!path.isEmpty())
        openPaths({path});
}

void MainWindow::openWithLayout(const QString& path, const OpenOptions& options,
                                const std::vector<LayoutCandidate>& layouts) {
    const auto* main = workspace_.document(Workspace::Slot::Main);
    const bool isOpen = main != nullptr && QString::fromStdString(main->cache().info().path.string()) == path;
    OpenDialog dialog(path, options, layouts, isOpen, this);
    if (dialog.exec() == QDialog::Accepted)
        workspace_.open(path.toStdString(), dialog.options(), Workspace::Slot::Main);
}

void MainWindow::updateRecentMenu() {
    recentMenu_->clear();
    for (const QString& path : recentFiles()) {
        QAction* action = recentMenu_->addAction(QFileInfo(path).fileName());
        action->setToolTip(path);
        connect(action, &QAction::triggered, this, [this, path] { openPaths({path}); });
    }
    recentMenu_->setEnabled(!recentMenu_->isEmpty());
    welcome_->refresh();
}

void MainWindow::exportCurrent() {
    views::ExportableView* view = maps_->currentExportable();
    QSize size = maps_->size();
    for (const QString& name : dockOrder_) {
        QWidget* widget = docks_.value(name)->widget();
        if (widget != nullptr && widget->isAncestorOf(QApplication::focusWidget())) {
            view = dynamic_cast<views::ExportableView*>(widget);
            size = widget->size();
        }
    }
    if (view == nullptr)
        return;
    QString folder = QSettings().value(QStringLiteral("exportFolder")).toString();
    if (folder.isEmpty())
        folder = QDir::homePath();
    QString chosen;
    QString path = QFileDialog::getSaveFileName(this, tr("Export view"),
                                                folder + QLatin1Char('/') + view->exportName() + QStringLiteral(".png"),
                                                exportFilter(), &chosen);
    if (path.isEmpty())
        return;
    if (QFileInfo(path).suffix().isEmpty())
        path += QLatin1Char('.') + chosen.section(QStringLiteral("*."), 1).chopped(1);
    QSettings().setValue(QStringLiteral("exportFolder"), QFileInfo(path).absolutePath());
    // A picture larger than its view needs finer cells; the file is written when they have come, or without them.
    view->prepare(size);
    auto* wait = new QTimer(this);
    QElapsedTimer waited;
    waited.start();
    connect(wait, &QTimer::timeout, this,
            [this, wait, waited, view, path, size, alive = QPointer<QObject>(dynamic_cast<QObject*>(view))] {
                if (alive && !view->isReady() && waited.elapsed() < kLongestExportWaitMs)
                    return;
                wait->stop();
                wait->deleteLater();
                if (!alive)
                    return;
                if (const auto written = exportView(*view, path, size); !written)
                    messages_->showError(QString::fromStdString(written.error().message()));
                else
                    statusBar()->showMessage(tr("Exported %1").arg(QDir::toNativeSeparators(path)));
            });
    wait->start(kExportPollMs);
}

void MainWindow::copyCurrent() {
    if (views::ExportableView* view = maps_->currentExportable())
        QApplication::clipboard()->setImage(pictureOf(*view, maps_->size(), devicePixelRatioF()));
}

void MainWindow::showPalette() {
    auto* palette = new CommandPalette(commands_, this);
    palette->setAttribute(Qt::WA_DeleteOnClose);
    palette->show();
}

void MainWindow::showShortcuts() {
    QDialog dialog(this);
    dialog.setWindowTitle(tr("Keyboard and mouse"));
    const auto gestures = MapsArea::gestures();
    const auto timeline = views::TimelineCanvas::gestures();
    const auto rows = commands_.actions().size() + gestures.size() + timeline.size();
    auto* table = new QTableWidget(static_cast<int>(rows), 3, &dialog);
    table->setHorizontalHeaderLabels({tr("Key or gesture"), tr("Command"), tr("What it does")});
    table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    table->verticalHeader()->hide();
    int row = 0;
    const auto add = [&](const QString& keys, const QString& name, const QString& help) {
        table->setItem(row, 0, new QTableWidgetItem(keys));
        table->setItem(row, 1, new QTableWidgetItem(name));
        table->setItem(row, 2, new QTableWidgetItem(help));
        ++row;
    };
    for (const QAction* action : commands_.actions())
        add(action->shortcut().toString(QKeySequence::NativeText), withoutMnemonic(action->text()),
            action->statusTip());
    for (const auto& [gesture, help] : gestures)
        add(gesture, tr("in a map"), help);
    for (const auto& [gesture, help] : timeline)
        add(gesture, tr("in the timelines"), help);
    // The last column takes what is left, in as many lines as it needs.
    table->resizeColumnToContents(0);
    table->resizeColumnToContents(1);
    table->horizontalHeader()->setStretchLastSection(true);
    table->verticalHeader()->setSectionResizeMode(QHeaderView::ResizeToContents);
    auto* layout = new QVBoxLayout(&dialog);
    layout->addWidget(table);
    auto* buttons = new QDialogButtonBox(QDialogButtonBox::Close, &dialog);
    connect(buttons, &QDialogButtonBox::rejected, &dialog, &QDialog::reject);
    layout->addWidget(buttons);
    resizeWithinScreen(dialog, {820, 620});
    dialog.exec();
}

void MainWindow::showAbout() {
    QMessageBox::about(
        this, tr("About KVScope"),
        tr("<b>KVScope %1</b><p>Inspector and streaming visualiser for the KV caches of language models.</p>"
           "<p>Licence: GPL-3.0-or-later. Built on Qt %2 and QCustomPlot.</p>")
            .arg(QApplication::applicationVersion(), QString::fromLatin1(qVersion())));
}

} // namespace kvscope::app
