// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli.h"
#include "app/main_window.h"
#include "app/theme.h"

#include <QApplication>

namespace {

int runWindow(int argc, char** argv) {
    QApplication application(argc, argv);
    kvscope::app::applyTheme(kvscope::app::savedTheme());
    kvscope::app::MainWindow window;
    window.show();
    QStringList paths = QApplication::arguments();
    paths.removeFirst();
    window.openPaths(paths);
    return QApplication::exec();
}

} // namespace

int main(int argc, char** argv) {
    QCoreApplication::setOrganizationName(QStringLiteral("kvscope"));
    QCoreApplication::setApplicationName(QStringLiteral("kvscope"));
    QCoreApplication::setApplicationVersion(QStringLiteral(KVSCOPE_VERSION));
    if (argc > 1 && kvscope::app::isCommand(argv[1]))
        return kvscope::app::runCommand(argc, argv);
    return runWindow(argc, argv);
}
