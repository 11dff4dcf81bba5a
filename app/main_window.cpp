// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/main_window.h"

#include "app/compare_bar.h"
#include "app/maps_area.h"
#include "app/maps_room.h"
#include "app/message_bar.h"
#include "app/recent_files.h"
#include "app/screen_fit.h"
#include "app/view_catalogue.h"
#include "app/welcome_page.h"
#include "views/arrival_veil.h"
#include "views/dump_comparison.h"
#include "views/exportable.h"
#include "views/heatmap_pane.h"
#include "views/navigator.h"
#include "views/run_async.h"
#include "views/statistics_view.h"
#include "views/stream_session.h"

#include <QActionGroup>
#include <QCheckBox>
#include <QCloseEvent>
#include <QComboBox>
#include <QDialog>
#include <QDockWidget>
#include <QDragEnterEvent>
#include <QFileInfo>
#include <QLabel>
#include <QMenu>
#include <QMenuBar>
#include <QMimeData>
#include <QProgressBar>
#include <QSettings>
#include <QStackedWidget>
#include <QStatusBar>
#include <QTabBar>
#include <QToolButton>
#include <QUrl>
#include <QVBoxLayout>

#include <algorithm>
#include <array>

namespace kvscope::app {

namespace {

QStringList localPaths(const QMimeData* data) {
    QStringList paths;
    for (const QUrl& url : data->urls()) {
        if (url.isLocalFile())
            paths.append(url.toLocalFile());
    }
    return paths;
}

/// How compared dumps and their difference are called for short.
const std::array kRoles{QStringLiteral("A"), QStringLiteral("B"), QStringLiteral("A \u2212 B")};

/// Stands where a view will be once there is a dump to show.
QWidget* makePlaceholder(const QString& what) {
    auto* label = new QLabel(what);
    label->setAlignment(Qt::AlignCenter);
    label->setWordWrap(true);
    label->setMargin(16);
    label->setEnabled(false);
    return label;
}

/// What is chosen in the boxes and tabs of a view, by their names.
QMap<QString, int> choicesIn(const QWidget* view) {
    QMap<QString, int> choices;
    if (view == nullptr)
        return choices;
    for (const auto* box : view->findChildren<QComboBox*>())
        choices.insert(box->objectName(), box->currentIndex());
    for (const auto* box : view->findChildren<QCheckBox*>())
        choices.insert(box->objectName(), box->isChecked() ? 1 : 0);
    for (const auto* tabs : view->findChildren<QTabBar*>())
        choices.insert(tabs->objectName(), tabs->currentIndex());
    choices.remove(QString());
    return choices;
}

/// Chooses the same in a view of another dump, as far as it has it.
void choose(QWidget* view, const QMap<QString, int>& choices) {
    for (auto* box : view->findChildren<QComboBox*>()) {
        if (const int index = choices.value(box->objectName(), -1); index >= 0 && index < box->count())
            box->setCurrentIndex(index);
    }
    for (auto* box : view->findChildren<QCheckBox*>()) {
        if (choices.contains(box->objectName()))
            box->setChecked(choices.value(box->objectName()) == 1);
    }
    for (auto* tabs : view->findChildren<QTabBar*>()) {
        if (const int index = choices.value(tabs->objectName(), -1); index >= 0 && index < tabs->count())
            tabs->setCurrentIndex(index);
    }
}

} // namespace

MainWindow::MainWindow(QWidget* parent)
    : QMainWindow(parent)
    , messages_(new MessageBar)
    , compare_(new CompareBar)
    , pages_(new QStackedWidget)
    , welcome_(new WelcomePage)
    , maps_(new MapsArea(workspace_.selection(), workspace_.undoStack()))
    , mapsRoom_(new MapsRoom(maps_))
    , arrangementGroup_(new QActionGroup(this)) {
    setObjectName(QStringLiteral("mainWindow"));
    setAcceptDrops(true);
    setDockOptions(AnimatedDocks | AllowNestedDocks | AllowTabbedDocks);
    setDockNestingEnabled(true);
    setTabPosition(Qt::AllDockWidgetAreas, QTabWidget::North);
    resizeWithinScreen(*this, {1440, 900});

    pages_->addWidget(welcome_);
    pages_->addWidget(mapsRoom_);
    auto* centre = new QWidget;
    auto* layout = new QVBoxLayout(centre);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    layout->addWidget(messages_);
    layout->addWidget(compare_);
    layout->addWidget(pages_, 1);
    setCentralWidget(centre);

    makeDocks();
    makeStatusBar();
    makeCommands();
    makeMenus();

    connect(welcome_, &WelcomePage::openRequested, this, [this] { chooseFile(Workspace::Slot::Main); });
    connect(welcome_, &WelcomePage::openFolderRequested, this, &MainWindow::chooseFolder);
    connect(welcome_, &WelcomePage::fileChosen, this, [this](const QString& path) { openPaths({path}); });
    connect(&workspace_, &Workspace::documentsChanged, this, &MainWindow::rebuildViews);
    connect(&workspace_, &Workspace::failed, this, &MainWindow::showError);
    connect(&workspace_, &Workspace::opened, this, [this](const QString& path) {
        messages_->hide();
        rememberFile(path);
        updateRecentMenu();
        openNext();
    });
    connect(compare_, &CompareBar::chosen, this, [this](int index) {
        shownDump_ = static_cast<std::size_t>(std::max(0, index));
        maps_->setDifferenceInFront(index == 2);
        rebuildDocks();
    });
    connect(maps_, &MapsArea::said, this, [this](const QString& text) { statusBar()->showMessage(text); });
    connect(maps_, &MapsArea::failed, this, [this](const Error& error) { showError(error, {}); });
    // What was said about the place selected before is over.
    connect(&workspace_.selection(), &views::SelectionModel::changed, statusBar(), &QStatusBar::clearMessage);
    connect(&workspace_.selection(), &views::SelectionModel::hoverChanged, this, &MainWindow::showHover);
    rebuildViews();

    const QSettings settings;
    restoreGeometry(settings.value(QStringLiteral("geometry")).toByteArray());
    restoreArrangements();
}

MainWindow::~MainWindow() {
    // The views let go of the documents before the workspace, a member, destroys them.
    disconnect(&workspace_, nullptr, this, nullptr);
    // Dialogs that stand beside the window stop their work before the pool waits for it.
    qDeleteAll(findChildren<QDialog*>(QString(), Qt::FindDirectChildrenOnly));
    maps_->setDocuments(nullptr, nullptr, nullptr);
    for (QDockWidget* dock : docks_)
        delete dock->widget();
    delete navigatorDock_->widget();
}

QString MainWindow::errorText() const {
    return messages_->text();
}

void MainWindow::openPaths(const QStringList& paths) {
    waiting_ = paths;
    nextSlot_ = Workspace::Slot::Main;
    openNext();
}

void MainWindow::openNext() {
    if (waiting_.isEmpty())
        return;
    const QString path = waiting_.takeFirst();
    workspace_.open(path.toStdString(), {}, nextSlot_);
    nextSlot_ = Workspace::Slot::Compared;
}

void MainWindow::showError(const Error& error, const QString& path) {
    waiting_.clear();
    if (error.kind == Error::Kind::Cancelled)
        return;
    const QString text = QString::fromStdString(error.message());
    if (path.endsWith(QLatin1String(".kvz"))) {
        // A container says how it is to be read; one that holds text alone is shown as that.
        messages_->showError(text);
        showTextLevel(path, true);
    } else if (error.kind == Error::Kind::Input && !path.isEmpty())
        messages_->showError(text, tr("Say how to read it ..."), [this, path] { openWithLayout(path, {}, {}); });
    else
        messages_->showError(text);
}

QMap<QString, views::ExportableView*> MainWindow::exportableViews() const {
    QMap<QString, views::ExportableView*> views = maps_->exportableViews();
    for (auto dock = docks_.begin(); dock != docks_.end(); ++dock) {
        if (auto* view = dynamic_cast<views::ExportableView*>(dock.value()->widget()))
            views.insert(dock.key(), view);
    }
    return views;
}

void MainWindow::dragEnterEvent(QDragEnterEvent* event) {
    if (!localPaths(event->mimeData()).isEmpty())
        event->acceptProposedAction();
}

void MainWindow::dropEvent(QDropEvent* event) {
    const QStringList paths = localPaths(event->mimeData());
    if (paths.isEmpty())
        return;
    event->acceptProposedAction();
    openPaths(paths);
}

void MainWindow::closeEvent(QCloseEvent* event) {
    QSettings settings;
    settings.setValue(QStringLiteral("geometry"), saveGeometry());
    saveArrangements();
    QMainWindow::closeEvent(event);
}

void MainWindow::makeStatusBar() {
    hoverLabel_ = new QLabel;
    hoverLabel_->setObjectName(QStringLiteral("hoverLabel"));
    jobLabel_ = new QLabel;
    jobProgress_ = new QProgressBar;
    jobProgress_->setMaximumWidth(160);
    jobProgress_->setMaximumHeight(14);
    jobCancel_ = new QToolButton;
    jobCancel_->setText(tr("Cancel"));
    statusBar()->addWidget(hoverLabel_, 1);
    for (QWidget* widget : std::initializer_list<QWidget*>{jobLabel_, jobProgress_, jobCancel_}) {
        statusBar()->addPermanentWidget(widget);
        widget->hide();
    }
    connect(jobCancel_, &QToolButton::clicked, this, [this] {
        waiting_.clear();
        workspace_.cancelOpening();
    });
    connect(&workspace_, &Workspace::openingStarted, this, [this](const QString& name) {
        jobLabel_->setText(tr("Opening %1").arg(name));
        jobProgress_->setRange(0, 0);
        jobLabel_->show();
        jobProgress_->show();
        jobCancel_->show();
    });
    connect(&workspace_, &Workspace::openingProgress, this, [this](double fraction) {
        jobProgress_->setRange(0, fraction > 0 ? 100 : 0);
        jobProgress_->setValue(static_cast<int>(fraction * 100));
    });
    connect(&workspace_, &Workspace::openingFinished, this, [this] {
        jobLabel_->hide();
        jobProgress_->hide();
        jobCancel_->hide();
    });
}

void MainWindow::rebuildViews() {
    auto* main = workspace_.document(Workspace::Slot::Main);
    maps_->setDocuments(main, workspace_.document(Workspace::Slot::Compared), workspace_.difference());
    for (views::HeatmapPane* pane : maps_->panes())
        views::ArrivalVeil::follow(*pane, main != nullptr ? &views::StreamSession::of(*main) : nullptr);
    shownDump_ = 0;
    rebuildDocks();
    restoreLayoutStream();
    updateCompareBar();
    if (main != nullptr && !arranged_) {
        // Empty docks have no width to give; the first dump fills them.
        arranged_ = true;
        arrangeDefault();
    }
    showTabTitles();
    if (main == nullptr)
        welcome_->refresh();
    // The page that is not shown asks for no room.
    const auto asks = main != nullptr ? QSizePolicy::Ignored : QSizePolicy::Preferred;
    welcome_->setSizePolicy(asks, asks);
    pages_->setCurrentWidget(main != nullptr ? static_cast<QWidget*>(mapsRoom_) : welcome_);
    for (const char* id : {"file.compare", "file.layout", "file.close", "file.export", "view.nextOutlier",
                           "view.previousOutlier", "edit.find", "edit.goTo", "edit.copy"}) {
        if (QAction* action = commands_.find(QLatin1String(id)))
            action->setEnabled(main != nullptr);
    }
    for (QAction* action : commands_.actions()) {
        if (action->objectName().startsWith(QLatin1String("arrangement.")) ||
            action->objectName().startsWith(QLatin1String("map.")) ||
            action->objectName().startsWith(QLatin1String("statistics.")) ||
            action->objectName().startsWith(QLatin1String("stream.")))
            action->setEnabled(main != nullptr);
    }
    if (QAction* action = commands_.find(QStringLiteral("view.difference")))
        action->setEnabled(workspace_.difference() != nullptr);
    if (QAction* action = commands_.find(QStringLiteral("file.closeCompared")))
        action->setEnabled(workspace_.document(Workspace::Slot::Compared) != nullptr);
    updateCodecCommands();
    updateTitle();
}

std::vector<views::Document*> MainWindow::comparedDocuments() const {
    auto* main = workspace_.document(Workspace::Slot::Main);
    auto* compared = workspace_.document(Workspace::Slot::Compared);
    if (main == nullptr || compared == nullptr)
        return {main};
    std::vector<views::Document*> documents{main, compared};
    if (workspace_.difference() != nullptr)
        documents.push_back(workspace_.difference());
    return documents;
}

void MainWindow::rebuildDocks() {
    const auto documents = comparedDocuments();
    views::Document* shown = documents[std::min(shownDump_, documents.size() - 1)];
    const QString role = documents.size() > 1 ? kRoles[std::min(shownDump_, documents.size() - 1)] : QString();
    for (const ViewEntry& entry : viewCatalogue()) {
        QDockWidget* dock = docks_.value(entry.name);
        const auto choices = choicesIn(dock->widget());
        delete dock->widget();
        if (shown == nullptr) {
            dock->setWidget(makePlaceholder(entry.help));
            continue;
        }
        QWidget* widget = entry.make(shown, &workspace_.selection());
        choose(widget, choices);
        if (auto* view = qobject_cast<views::StatisticsView*>(widget))
            view->setCaption(role);
        dock->setWidget(widget);
    }
    delete navigatorDock_->widget();
    if (shown != nullptr) {
        auto* navigator = new views::Navigator(shown, &workspace_.selection());
        offerSequences(*navigator);
        navigatorDock_->setWidget(navigator);
    } else {
        navigatorDock_->setWidget(makePlaceholder(tr("What is in the dump")));
    }
    navigatorDock_->setWindowTitle(role.isEmpty() ? tr("Dump") : tr("Dump %1").arg(role));
}

void MainWindow::offerSequences(views::Navigator& navigator) {
    // The difference of two dumps has no file of its own.
    if (shownDump_ > 1)
        return;
    const auto slot = shownDump_ == 0 ? Workspace::Slot::Main : Workspace::Slot::Compared;
    const DumpSequences& sequences = workspace_.sequences(slot);
    QStringList names;
    for (const auto& one : sequences.all)
        names << tr("Sequence %1: %2 tokens").arg(one.id).arg(one.tokens);
    navigator.setSequences(names, static_cast<int>(sequences.shown));
    // Queued: opening makes the navigator anew.
    connect(
        &navigator, &views::Navigator::sequenceChosen, this,
        [this, slot](int index) {
            const auto& all = workspace_.sequences(slot).all;
            const auto* document = workspace_.document(slot);
            if (document == nullptr || index < 0 || static_cast<std::size_t>(index) >= all.size())
                return;
            OpenOptions options = workspace_.options(slot);
            options.sequence = all[static_cast<std::size_t>(index)].id;
            waiting_.clear();
            workspace_.open(document->cache().info().path, options, slot);
        },
        Qt::QueuedConnection);
}

void MainWindow::updateCompareBar() {
    const int ticket = ++comparisons_;
    const auto documents = comparedDocuments();
    compare_->setVisible(documents.size() > 1);
    if (documents.size() < 2)
        return;
    QStringList names;
    for (std::size_t i = 0; i < documents.size(); ++i)
        names << QStringLiteral("%1: %2").arg(kRoles[i], QString::fromStdString(documents[i]->cache().info().name));
    compare_->setDumps(names);
    QStringList known;
    if (const Error* error = workspace_.differenceError())
        known << tr("There is no difference to show: %1").arg(QString::fromStdString(error->message()));
    compare_->setNotice(known);
    views::runAsync(
        workspace_.pool(), this,
        [a = documents[0]->cache(), b = documents[1]->cache()] { return views::compareDumps(a, b); },
        [this, ticket, known](const QStringList& sentences) {
            if (ticket == comparisons_)
                compare_->setNotice(known + sentences);
        });
}

void MainWindow::showPart(const QString& view, const std::function<void(QWidget*)>& show) {
    QDockWidget* dock = docks_.value(view);
    if (dock == nullptr || dock->widget() == nullptr)
        return;
    showView(view);
    show(dock->widget());
}

void MainWindow::updateTitle() {
    const auto* main = workspace_.document(Workspace::Slot::Main);
    const auto* compared = workspace_.document(Workspace::Slot::Compared);
    QString title = QStringLiteral("KVScope");
    if (main != nullptr) {
        const auto name = [](const views::Document* document) {
            const CacheInfo& info = document->cache().info();
            return QString::fromStdString(info.name) + (info.synthetic ? tr(" [synthetic]") : QString());
        };
        title = name(main) + (compared != nullptr ? tr(" vs ") + name(compared) : QString()) +
                QStringLiteral(" \u2013 KVScope");
    }
    setWindowTitle(title);
}

void MainWindow::showHover() {
    const auto& hover = workspace_.selection().hover();
    const auto* main = workspace_.document(Workspace::Slot::Main);
    if (!hover || main == nullptr) {
        hoverLabel_->clear();
        return;
    }
    statusBar()->clearMessage();
    const std::string_view kind = nameOf(hover->kind);
    QStringList parts{tr("layer %1").arg(hover->layer.value),
                      QString::fromUtf8(kind.data(), static_cast<qsizetype>(kind.size()))};
    const PlaneGeometry* plane = main->cache().geometry().find({hover->layer, hover->kind, hover->sequence});
    if (hover->channel && plane != nullptr)
        parts << tr("head %1").arg(plane->headOf(*hover->channel).value) << tr("channel %1").arg(hover->channel->value);
    if (hover->token && plane != nullptr && hover->token->value < plane->tokens) {
        const std::int64_t position = plane->position(*hover->token);
        parts << tr("token %1").arg(hover->token->value);
        if (position != hover->token->value)
            parts << tr("position %1").arg(position);
        const std::string text = main->cache().tokenText(hover->sequence, position);
        if (!text.empty())
            parts << QStringLiteral("\u201C%1\u201D")
                         .arg(QString::fromStdString(text).replace(QLatin1Char('\n'), QStringLiteral("\u21B5")));
    }
    hoverLabel_->setText(parts.join(QStringLiteral("  \u00B7  ")));
}

} // namespace kvscope::app
