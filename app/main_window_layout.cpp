// SPDX-License-Identifier: GPL-3.0-or-later
// Where the docks of the window stand: the arrangements, and the layouts that people save.
#include "app/main_window.h"
#include "app/maps_area.h"
#include "app/message_bar.h"
#include "app/view_catalogue.h"
#include "views/stream_session.h"
#include "views/stream_settings_store.h"

#include <QActionGroup>
#include <QCoreApplication>
#include <QDockWidget>
#include <QHBoxLayout>
#include <QInputDialog>
#include <QLineEdit>
#include <QMenu>
#include <QMenuBar>
#include <QSettings>
#include <QTabBar>
#include <QToolButton>

#include <algorithm>
#include <utility>

namespace kvscope::app {

namespace {

constexpr auto kLayouts = "layouts";
constexpr auto kArrangements = "arrangements";
constexpr auto kArrangement = "arrangement";
// Windows at least so high have room for two rows of maps above other views.
constexpr int kHeightForTwoRows = 1100;
// Below, the titles of the tabs would be cut.
constexpr int kLeastStatisticsWidth = 470;

struct ArrangementText {
    QString name;
    QString text;
    QString help;
    QString keys;
};

ArrangementText textOf(Arrangement arrangement) {
    switch (arrangement) {
    case Arrangement::Explore:
        break;
    case Arrangement::Tune:
        return {MainWindow::tr("Tune"), MainWindow::tr("T&une the codec"),
                MainWindow::tr("The codec's settings and what they cost, beside the maps"), QStringLiteral("F6")};
    case Arrangement::Stream:
        return {MainWindow::tr("Stream"), MainWindow::tr("&Stream the cache"),
                MainWindow::tr("How the context streams over a network, below the maps"), QStringLiteral("F7")};
    }
    return {MainWindow::tr("Explore"), MainWindow::tr("&Explore the cache"),
            MainWindow::tr("Statistics of the dump beside the maps"), QStringLiteral("F5")};
}

std::size_t indexOf(Arrangement arrangement) {
    return static_cast<std::size_t>(arrangement);
}

} // namespace

void MainWindow::makeDocks() {
    navigatorDock_ = new QDockWidget(tr("Dump"), this);
    navigatorDock_->setObjectName(QStringLiteral("dock.navigator"));
    for (const ViewEntry& entry : viewCatalogue()) {
        auto* dock = new QDockWidget(entry.title, this);
        dock->setObjectName(QStringLiteral("dock.") + entry.name);
        docks_.insert(entry.name, dock);
        dockOrder_.append(entry.name);
    }
    arrangeDefault();
}

void MainWindow::arrangeDefault() {
    makeRoomForDocks();
    addDockWidget(Qt::LeftDockWidgetArea, navigatorDock_);
    navigatorDock_->setFloating(false);
    navigatorDock_->setVisible(arrangement_ != Arrangement::Stream);
    setCorner(Qt::BottomRightCorner, Qt::RightDockWidgetArea);
    // The first dock of each side; the others of the side are tabs behind it.
    QDockWidget* right = nullptr;
    QDockWidget* bottom = nullptr;
    for (const ViewEntry& entry : viewCatalogue()) {
        QDockWidget* dock = docks_.value(entry.name);
        dock->setFloating(false);
        // Taken out first: a dock that is already there would stay in the group of tabs where it is.
        removeDockWidget(dock);
        // What the codec's settings cost is seen while they are changed: beside them, below the maps.
        const bool below = entry.arrangement == Arrangement::Stream ||
                           (entry.arrangement == Arrangement::Tune && entry.name != QLatin1String("codec"));
        const auto area = below ? Qt::BottomDockWidgetArea : Qt::RightDockWidgetArea;
        if (entry.arrangement != arrangement_) {
            addDockWidget(area, dock);
            dock->hide();
            continue;
        }
        QDockWidget*& first = below ? bottom : right;
        if (first == nullptr)
            addDockWidget(area, first = dock);
        else
            tabifyDockWidget(first, dock);
        dock->show();
    }
    resizeDocks({navigatorDock_}, {std::clamp(width() / 6, 210, 280)}, Qt::Horizontal);
    if (right != nullptr) {
        right->raise();
        resizeDocks({right}, {std::max(width() * 34 / 100, kLeastStatisticsWidth)}, Qt::Horizontal);
    }
    if (bottom != nullptr) {
        bottom->raise();
        resizeDocks({bottom}, {height() * (arrangement_ == Arrangement::Stream ? 55 : 40) / 100}, Qt::Vertical);
    }
    showTabTitles();
    updateMapsRoom();
}

void MainWindow::makeRoomForDocks() {
    // Docks shown beside maps that ask for more room than there is would make the window grow.
    maps_->setLowerMapOffered(false);
    // So would the docks of two arrangements at once, on their way from one to the other.
    for (QDockWidget* dock : std::as_const(docks_))
        dock->hide();
    QCoreApplication::sendPostedEvents(nullptr, QEvent::LayoutRequest);
}

void MainWindow::updateMapsRoom() {
    // Above other views in a low window, one row of maps can be read and two cannot.
    maps_->setLowerMapOffered(arrangement_ == Arrangement::Explore || height() >= kHeightForTwoRows);
}

void MainWindow::setArrangement(Arrangement arrangement) {
    commands_.find(QStringLiteral("arrangement.") + nameOf(arrangement))->setChecked(true);
    if (arrangement == arrangement_)
        return;
    arrangements_[indexOf(arrangement_)] = saveState(layoutVersion());
    arrangement_ = arrangement;
    makeRoomForDocks();
    if (!restoreState(arrangements_[indexOf(arrangement)], layoutVersion()))
        arrangeDefault();
    showTabTitles();
    updateMapsRoom();
}

void MainWindow::showView(const QString& name) {
    maps_->showNamed(name);
    QDockWidget* dock = docks_.value(name);
    if (dock == nullptr)
        return;
    const auto entry = std::find_if(viewCatalogue().begin(), viewCatalogue().end(),
                                    [&name](const ViewEntry& one) { return one.name == name; });
    if (dock->isHidden())
        setArrangement(entry->arrangement);
    dock->show();
    dock->raise();
    showTabTitles();
    if (dock->widget() != nullptr)
        dock->widget()->setFocus();
}

void MainWindow::showTabTitles() {
    // Qt cuts the titles of docks off when there are many; people find a view by its whole name.
    for (QTabBar* tabs : findChildren<QTabBar*>(QString(), Qt::FindDirectChildrenOnly)) {
        tabs->setElideMode(Qt::ElideNone);
        tabs->setUsesScrollButtons(true);
    }
}

void MainWindow::makeArrangementCommands(const QString& menu) {
    for (const Arrangement arrangement : kAllArrangements) {
        const ArrangementText text = textOf(arrangement);
        QAction* action = commands_.addToggle(
            {QStringLiteral("arrangement.") + nameOf(arrangement), menu, text.text, text.help, QKeySequence(text.keys)},
            arrangement == arrangement_, [this, arrangement](bool on) {
                if (on)
                    setArrangement(arrangement);
            });
        action->setIconText(text.name);
        arrangementGroup_->addAction(action);
    }
}

void MainWindow::makeArrangementBar() {
    auto* bar = new QWidget;
    bar->setObjectName(QStringLiteral("arrangements"));
    auto* layout = new QHBoxLayout(bar);
    layout->setContentsMargins(0, 0, 4, 0);
    layout->setSpacing(0);
    for (const Arrangement arrangement : kAllArrangements) {
        auto* button = new QToolButton;
        button->setDefaultAction(commands_.find(QStringLiteral("arrangement.") + nameOf(arrangement)));
        button->setToolButtonStyle(Qt::ToolButtonTextOnly);
        button->setAutoRaise(true);
        layout->addWidget(button);
    }
    menuBar()->setCornerWidget(bar);
}

int MainWindow::layoutVersion() const {
    // Places saved by a version with other views say nothing about where the new ones go.
    return 100 + static_cast<int>(dockOrder_.size());
}

void MainWindow::saveArrangements() {
    arrangements_[indexOf(arrangement_)] = saveState(layoutVersion());
    QSettings settings;
    settings.setValue(QLatin1String(kArrangement), nameOf(arrangement_));
    settings.beginGroup(QLatin1String(kArrangements));
    for (const Arrangement arrangement : kAllArrangements)
        settings.setValue(nameOf(arrangement), arrangements_[indexOf(arrangement)]);
}

void MainWindow::restoreArrangements() {
    QSettings settings;
    const auto last = arrangementNamed(settings.value(QLatin1String(kArrangement)).toString());
    settings.beginGroup(QLatin1String(kArrangements));
    for (const Arrangement arrangement : kAllArrangements)
        arrangements_[indexOf(arrangement)] = settings.value(nameOf(arrangement)).toByteArray();
    if (!last)
        return;
    arrangement_ = *last;
    commands_.find(QStringLiteral("arrangement.") + nameOf(*last))->setChecked(true);
    arranged_ = restoreState(arrangements_[indexOf(*last)], layoutVersion());
    if (!arranged_)
        arrangeDefault();
    updateMapsRoom();
}

void MainWindow::saveLayout() {
    bool accepted = false;
    const QString name =
        QInputDialog::getText(this, tr("Save layout"), tr("Name"), QLineEdit::Normal, {}, &accepted).trimmed();
    if (!accepted || name.isEmpty())
        return;
    QSettings settings;
    settings.beginGroup(QLatin1String(kLayouts));
    settings.setValue(name + QStringLiteral("/arrangement"), nameOf(arrangement_));
    settings.setValue(name + QStringLiteral("/docks"), saveState(layoutVersion()));
    settings.setValue(name + QStringLiteral("/maps"), maps_->saveSettings());
    if (auto* main = workspace_.document(Workspace::Slot::Main)) {
        const auto& stream = views::StreamSession::of(*main);
        settings.setValue(name + QStringLiteral("/stream"), views::toBytes(stream.settings()));
        settings.setValue(name + QStringLiteral("/strategy"), QString::fromStdString(stream.focusName()));
    }
    settings.endGroup();
    updateLayoutMenu();
}

void MainWindow::restoreLayout(const QString& name) {
    QSettings saved;
    saved.beginGroup(QLatin1String(kLayouts));
    saved.beginGroup(name);
    if (const auto arrangement = arrangementNamed(saved.value(QStringLiteral("arrangement")).toString()))
        setArrangement(*arrangement);
    restoreState(saved.value(QStringLiteral("docks")).toByteArray(), layoutVersion());
    maps_->restoreSettings(saved.value(QStringLiteral("maps")).toByteArray());
    showTabTitles();
    layoutStream_ = LayoutStream{name, saved.value(QStringLiteral("stream")).toByteArray(),
                                 saved.value(QStringLiteral("strategy")).toString()};
    restoreLayoutStream();
}

void MainWindow::restoreLayoutStream() {
    auto* main = workspace_.document(Workspace::Slot::Main);
    if (main == nullptr || !layoutStream_)
        return;
    const LayoutStream layout = *std::exchange(layoutStream_, std::nullopt);
    if (layout.settings.isEmpty())
        return;
    auto& session = views::StreamSession::of(*main);
    const auto settings = views::streamSettingsFrom(layout.settings);
    if (!settings) {
        messages_->showError(layout.name + QStringLiteral(": ") + QString::fromStdString(settings.error().message()));
        return;
    }
    // Pulls are of the run that was played when they were made.
    session.player().rewind();
    if (const auto edited = session.edit(tr("layout %1").arg(layout.name), *settings); !edited)
        messages_->showError(QString::fromStdString(edited.error().message()));
    else if (const std::string strategy = layout.strategy.toStdString();
             session.rows().empty() || session.row(strategy) != nullptr)
        session.setFocus(strategy.empty() ? views::StreamSession::kFirstRow : strategy);
}

void MainWindow::updateLayoutMenu() {
    layoutMenu_->clear();
    QSettings settings;
    settings.beginGroup(QLatin1String(kLayouts));
    for (const QString& name : settings.childGroups())
        connect(layoutMenu_->addAction(name), &QAction::triggered, this, [this, name] { restoreLayout(name); });
    layoutMenu_->setEnabled(!layoutMenu_->isEmpty());
}

} // namespace kvscope::app
