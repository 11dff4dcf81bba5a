// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli.h"
#include "app/main_window.h"
#include "app/maps_area.h"
#include "app/theme.h"
#include "views/heatmap_pane.h"

#include <QApplication>
#include <QTimer>

#include <csignal>

namespace {

constexpr auto kExitWhenShown = "--exit-when-shown";

/// Leaves once the window has been painted and, with a dump, its first map is complete: what the start-up benchmark
/// times.
void exitWhenShown(const kvscope::app::MainWindow& window, bool withDump) {
    auto* timer = new QTimer(qApp);
    QObject::connect(timer, &QTimer::timeout, [&window, withDump] {
        if (!withDump || window.maps()->panes().front()->isReady())
            QApplication::quit();
    });
    timer->start(1);
}

int runWindow(int argc, char** argv) {
    QApplication application(argc, argv);
    kvscope::app::applyTheme(kvscope::app::savedTheme());
    kvscope::app::MainWindow window;
    window.show();
    QStringList paths = QApplication::arguments();
    paths.removeFirst();
    const bool leaves = paths.removeAll(QLatin1String(kExitWhenShown)) > 0;
    window.openPaths(paths);
    if (leaves)
        exitWhenShown(window, !paths.isEmpty());
    return QApplication::exec();
}

} // namespace

int main(int argc, char** argv) {
    // A limit of the size of files and a pipe that nobody reads are errors of the write, not the end of the program.
    std::signal(SIGXFSZ, SIG_IGN);
    std::signal(SIGPIPE, SIG_IGN);
    QCoreApplication::setOrganizationName(QStringLiteral("kvscope"));
    QCoreApplication::setApplicationName(QStringLiteral("kvscope"));
    QCoreApplication::setApplicationVersion(QStringLiteral(KVSCOPE_VERSION));
    if (argc > 1 && kvscope::app::isCommand(argv[1]))
        return kvscope::app::runCommand(argc, argv);
    return runWindow(argc, argv);
}
